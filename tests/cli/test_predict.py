from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlhelpers import serving
from mlhelpers.cli import main
from mlhelpers.cli.predict import print_predictions, read_request, read_texts
from mlhelpers.errors import PredictionError


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


class _Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture
def instances(tmp_path: Path) -> Path:
    """Three instances, one a line."""
    path = tmp_path / "instances.json"
    lines = [{"inputs": [level / 10] * 784} for level in range(3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def wanted(store: serving.ModelStore, instances: Path) -> list[dict[str, Any]]:
    """What the model says to the three instances."""
    return serving.load("MNIST").predict([json.loads(line) for line in instances.read_text().splitlines()])


def test_predictions_are_a_table_with_sorted_upper_case_columns(
    instances: Path, wanted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", "--model", "MNIST", "--json-instances", str(instances)) == 0

    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["CLASSES", "PROBABILITIES"]
    assert [row.split(maxsplit=1)[0] for row in rows] == [str(one["classes"]) for one in wanted]
    assert [json.loads(row.split(maxsplit=1)[1]) for row in rows] == [one["probabilities"] for one in wanted]


@pytest.mark.parametrize(("output_format", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_hold_the_whole_answer(
    instances: Path,
    wanted: list[dict[str, Any]],
    output_format: str,
    read: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["predict", "--model", "MNIST", "--version", "v1", "--format", output_format]

    assert run(*words, "--json-instances", str(instances)) == 0
    assert read(capsys.readouterr().out) == {"predictions": wanted}


def test_stdin_a_byte_order_mark_and_crlf_are_fine(
    instances: Path, wanted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\xef\xbb\xbf" + instances.read_bytes().replace(b"\n", b"\r\n")
    monkeypatch.setattr("sys.stdin", _Stdin(content))

    assert run("predict", "--model", "MNIST", "--json-instances", "-", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"predictions": wanted}


def test_a_whole_request_names_its_signature(
    store: serving.ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"instances": [[255] * 784], "signature_name": "pixels"}, indent=1))

    assert run("predict", "--model", "MNIST", "--json-request", str(path), "--format", "json") == 0
    inside = serving.load("MNIST").predict([[1.0] * 784])
    assert json.loads(capsys.readouterr().out) == {"predictions": inside}


def test_the_option_names_the_signature(
    store: serving.ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps([[0] * 28] * 28))

    assert run("predict", "--model", "MNIST", "--json-instances", str(path), "--signature-name", "pixels") == 0
    assert "CLASSES" in capsys.readouterr().out


def test_a_server_is_asked_by_its_address(
    instances: Path, wanted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving.start() as server:
        words = ["predict", "--model", "MNIST", "--address", server.address, "--format", "json"]
        assert run(*words, "--json-instances", str(instances)) == 0

    assert json.loads(capsys.readouterr().out) == {"predictions": wanted}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; write one JSON instance per line"),
        (b"[1]\n\n[2]\n", "Line 2 of "),
        (b"[1]\n\n", "Line 2 of "),
        (b"[1]\n \t\n[2]", "is empty; write one JSON instance per line"),
        (b"[1]\n[2\n", "is not JSON: Expecting ',' delimiter at column 3: '[2'"),
        (b"\xff\xfe[1]", "is not UTF-8 text: byte 0 is 0xff"),
        (b"[" * 100_000, "is nested too deep"),
        (b"[" + b"NaN, " * 783 + b"0]", "holds nan at [0]"),
        (b'{"inputs": [1, 2]}', "instances[0]: 'inputs' has the shape [2]"),
        (b"[1]\n" * 101, "101 instances are more than the 100 of one call"),
    ],
)
def test_bad_instances_are_refused_by_line(
    store: serving.ModelStore, tmp_path: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(content)

    assert run("predict", "--model", "MNIST", "--json-instances", str(path)) in (1, 2)
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[1]]", 'should hold {"instances": [...]}. For one instance per line use --json-instances'),
        ("{}", 'should hold {"instances": [...]}'),
        ('{"instances": [[1]], "instance": 1}', "Did you mean 'instances'?"),
        ('{"instances":\n [1', "is not JSON: Expecting ',' delimiter at line 2 column 4"),
        ('{"instances": {}}', "instances is an object; it should be a list"),
    ],
)
def test_a_bad_request_is_refused(
    store: serving.ModelStore, tmp_path: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "request.json"
    path.write_text(content)

    assert run("predict", "--model", "MNIST", "--json-request", str(path)) in (1, 2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "exactly one of --json-instances FILE, --json-request FILE and --text-instances"),
        (["--json-instances", "a", "--json-request", "b"], 2, "exactly one of"),
        (["--json-instances", "/nowhere"], 1, "'/nowhere' cannot be read: No such file"),
        (["--json-instances", "{file}", "--version", "v2"], 1, "There is no MNIST version 'v2'. Known: v1."),
        (["--json-instances", "{file}", "--signature-name", "pixel"], 1, "Did you mean 'pixels'?"),
        (["--json-instances", "{file}", "--address", "here"], 2, "'here' is no address of a server"),
        (["--json-instances", "{file}", "--address", "http://127.0.0.1:9"], 1, "mlhelpers serve --port 9"),
    ],
)
def test_wrong_words_are_refused(
    store: serving.ModelStore,
    instances: Path,
    words: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [word.replace("{file}", str(instances)) for word in words]

    assert run("predict", "--model", "MNIST", *given) == code
    assert message in capsys.readouterr().err


def test_an_unknown_model_is_refused_with_the_nearest(
    store: serving.ModelStore, instances: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", "--model", "MNITS", "--json-instances", str(instances)) == 1
    assert "There is no model 'MNITS'. Did you mean 'MNIST'?" in capsys.readouterr().err


AWKWARD = [
    "a/b",
    "",
    " ",
    "a.b[0]",
    "{x}",
    "名前",
    "line\nbreak",
    "tab\there",
    "\x1b[31mred",
    "<b>",
    "a:b,c",
    "x" * 300,
]


@pytest.mark.parametrize("key", AWKWARD)
def test_the_table_survives_any_key_and_value(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_predictions([{key: 1, "zz": key}, {key: [2], "zz": {key: None}}], "table")

    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3
    assert "\x1b" not in out


def test_the_first_predictions_columns_come_first_and_none_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    print_predictions([{"b": 1}, {"a": 2}], "table")

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["B", "A"], ["1"], ["2"]]


@pytest.mark.parametrize("predictions", [[1, 2], [[0.5], [0.25]], ["a"], [{"a": 1}, 2], [], [{}]])
def test_what_is_no_list_of_objects_is_printed_as_json(
    predictions: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_predictions(predictions, "table")

    assert json.loads(capsys.readouterr().out) == predictions


def test_texts_are_read_a_line_each_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_bytes(b"\xef\xbb\xbfone two\r\n[3]\n\xc3\xa9")

    assert read_texts(str(path)) == ["one two", "[3]", "é"]


def test_texts_reach_the_model_as_texts(
    store: serving.ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts").write_text("[0]\n")

    assert run("predict", "--model", "MNIST", "--text-instances", str(tmp_path / "texts")) == 1
    assert "instances[0]" in capsys.readouterr().err  # this model takes numbers


def test_an_empty_line_among_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("a\n\nb\n")

    with pytest.raises(PredictionError, match=r"Line 2 of .* is empty; write one text per line"):
        read_texts(str(tmp_path / "texts"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.text(max_size=8), _JSON, min_size=1, max_size=4), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_keys_and_values_make_a_table_of_a_line_per_prediction(
    capsys: pytest.CaptureFixture[str], predictions: list[dict[str, Any]]
) -> None:
    capsys.readouterr()
    print_predictions(predictions, "table")
    head, *rows = capsys.readouterr().out.removesuffix("\n").split("\n")

    def shown(text: str) -> str:
        return text.strip() if text.isprintable() else ascii(text)

    columns = sorted(predictions[0]) + sorted({key for one in predictions for key in one} - set(predictions[0]))
    expected = [[shown(key.upper()) for key in columns]]
    for one in predictions:
        values = [one.get(key, "") for key in columns]
        expected.append([shown(v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)) for v in values])
    for line, cells in zip([head, *rows], expected, strict=True):
        assert re.fullmatch(" *" + " *".join(map(re.escape, cells)) + " *", line)
        assert line.isprintable()


def test_a_slash_a_dot_and_a_line_break_in_a_key_leave_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_predictions([{"dnn/head.logits": [1.5], "a\nb": None}, {"dnn/head.logits": "x\ty"}], "table")

    assert capsys.readouterr().out.splitlines() == [
        "'A\\nB'  DNN/HEAD.LOGITS",
        "null    [1.5]",
        "        'x\\ty'",
    ]


def test_two_keys_that_are_shown_alike_stay_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_predictions([{"a": 1, "A": 2, "'\\n'": 3, "\n": 4}], "table")

    assert capsys.readouterr().out.splitlines()[1].split() == ["4", "3", "2", "1"]


def test_a_request_may_bring_parameters_and_no_model_takes_one(
    store: serving.ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"instances": [[0.5] * 784], "parameters": {}}))
    assert read_request(str(path)).parameters == {}
    assert run("predict", "--model", "MNIST", "--json-request", str(path)) == 0

    path.write_text(json.dumps({"instances": [[0.5] * 784], "parameters": {"top": 3}}))
    assert run("predict", "--model", "MNIST", "--json-request", str(path)) == 1
    assert "parameters has 'top', but this model takes no parameters" in capsys.readouterr().err


def test_more_than_a_hundred_instances_are_told_where_to_go(
    store: serving.ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "many").write_text("[1]\n" * 1001)

    assert run("predict", "--model", "MNIST", "--json-instances", str(tmp_path / "many")) == 2
    told = capsys.readouterr().err
    assert "1,001 instances are more than the 100 of one call" in told
    assert "mlhelpers jobs submit prediction" in told
    assert "predict_frame" in told


def test_texts_from_stdin_with_a_byte_order_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin("\ufeffé\n".encode()))

    assert read_texts("-") == ["é"]


def test_a_terminal_that_knows_no_umlauts_gets_a_table_too(store: serving.ModelStore, tmp_path: Path) -> None:
    code = "from mlhelpers.cli.predict import print_predictions; print_predictions([{'ä': 'ö', 'b': [1]}], 'table')"

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2
