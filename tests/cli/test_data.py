from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from mlhelpers import datasets
from mlhelpers.cli import main
from mlhelpers.datasets.records import read_records


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_prepare_writes_three_record_files_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "prepare", "mnist", "--output-dir", str(tmp_path / "out")) == 0

    out = capsys.readouterr().out
    for name in ("train", "validation", "test"):
        assert f"{name}.tfrecords" in out
    assert sum(1 for _ in read_records(tmp_path / "out" / "test.tfrecords")) == 10000


def test_request_writes_one_instance_a_line(tmp_path: Path) -> None:
    assert run("data", "request", "mnist", "-o", str(tmp_path / "request.json")) == 0

    lines = (tmp_path / "request.json").read_text().splitlines()
    assert len(lines) == 10
    assert {784} == {len(json.loads(line)["inputs"]) for line in lines}


def test_request_goes_to_stdout_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "request", "mnist", "-n", "1") == 0

    assert list(json.loads(capsys.readouterr().out)) == ["inputs"]


def test_list_names_the_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "list", "--format", "json") == 0

    assert "mnist" in {row["name"] for row in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["data", "prepare", "minst", "--output-dir", "x"], 2, "Did you mean 'mnist'?"),
        (["data", "prepare", "mnist", "--output-dir", "x", "--source", "ftp"], 2, "no source 'ftp'"),
        (["data", "prepare", "mnist"], 2, "Missing option '--output-dir'"),
        (["data", "request", "mnist", "-n", "0"], 2, "allowed is 1 to 10,000"),
        (["data", "prepare", "mnist", "--output-dir", "/proc/none"], 1, "Choose a folder you may write to"),
        (["data", "prepare", "mnist", "--output-dir", "gs://B/x"], 2, "names no bucket"),
    ],
)
def test_wrong_words_are_refused(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert code == run(*words)

    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", datasets.names())
@pytest.mark.parametrize("what", ["prepare", "request"])
def test_help_shows_an_option_with_a_text_for_each_keyword(
    name: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", what, name, "--help") == 0

    out = capsys.readouterr().out
    for keyword in inspect.signature(getattr(datasets.get(name), what)).parameters:
        if keyword not in ("n", "output_dir", "source"):
            assert re.search(rf"  --{keyword.replace('_', '-')} .*\w", out), keyword


def test_a_keyword_of_prepare_is_an_option(tmp_path: Path) -> None:
    assert run("data", "prepare", "mnist", "--output-dir", str(tmp_path), "--validation-size", "100") == 0

    assert sum(1 for _ in read_records(tmp_path / "validation.tfrecords")) == 100


@pytest.mark.parametrize("words", [["babyweight", "--shards", "0"], ["cbis_ddsm", "--split", "luck"]])
def test_an_option_out_of_range_is_wrong_usage(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "prepare", words[0], "--output-dir", str(tmp_path / "out"), *words[1:]) == 2

    assert words[2] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_hundreds_of_files_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "prepare", "cbis_ddsm", "--output-dir", str(tmp_path)) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"wrote {tmp_path / 'cache' / 'ddsm_train.tfrecords'} (")
    assert lines[2].startswith(f"wrote 400 files to {tmp_path / 'small_train'} (")


def test_what_was_written_is_printed_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "prepare", "iris", "--output-dir", str(tmp_path), "--format", "json") == 0

    rows = json.loads(capsys.readouterr().out)
    assert {row["path"]: row["bytes"] for row in rows} == {
        str(path): path.stat().st_size for path in tmp_path.rglob("*.csv")
    }
