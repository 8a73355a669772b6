"""`mlhelpers local train` and `local predict`, run as a person runs it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs, serving
from mlhelpers.cli import main
from mlhelpers.jobs.local import foreground

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Give a function that starts `mlhelpers local train` on some code, in another folder than the package's."""
    package = tmp_path / "project" / "trainer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()

    def start_code(trainer: str, *words: str, path: Path = package) -> subprocess.Popen[str]:
        (package / "task.py").write_text(textwrap.dedent(trainer))
        root = str(Path(jobs.__file__).parents[2])
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
        command = [sys.executable, "-m", "mlhelpers.cli", "local", "train", "--module-name", "trainer.task"]
        return subprocess.Popen(
            [*command, "--package-path", str(path), *words],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start_code


@pytest.fixture(autouse=True)
def _nothing_runs_on(home: Path) -> Iterator[None]:
    yield
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MLHELPERS_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except (psutil.Error, OSError):
            continue
    for process in left:
        process.kill()
    assert left == []


_SHOWS_ITSELF = "import json, os, sys\nprint(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]))"


def test_the_trainer_runs_beside_its_package_with_the_job_dir_last(start: Start, tmp_path: Path, home: Path) -> None:
    out, _ = start(
        _SHOWS_ITSELF, "--job-dir", "gs://bucket/out", "--", "--x", "gs://bucket/in", "--", "y"
    ).communicate()

    argv, cwd, env = json.loads(out)

    buckets = home / "buckets" / "bucket"
    assert argv == ["--x", f"{buckets}/in", "--", "y", "--job-dir", f"{buckets}/out"]
    assert cwd == str(tmp_path / "project")
    assert json.loads(env["TF_CONFIG"])["job"]["job_name"] == "trainer.task"
    assert env["AIP_MODEL_DIR"] == f"{buckets}/out/model/"


@pytest.mark.parametrize("code", [0, 1, 3, 42])
def test_the_exit_code_is_the_trainers(start: Start, code: int) -> None:
    process = start(f"print('out')\nraise SystemExit({code})")

    assert process.communicate() == ("out\n", "")
    assert process.returncode == code


def test_a_trainer_ended_by_a_signal_gives_128_and_its_number(start: Start) -> None:
    process = start("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")

    process.communicate()

    assert process.returncode == 137


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_the_trainer_ends_when_the_command_is_ended(start: Start, number: signal.Signals) -> None:
    process = start("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    assert process.stdout is not None
    trainer = psutil.Process(int(process.stdout.readline()))

    process.send_signal(number)
    process.communicate(timeout=10)
    deadline = time.monotonic() + 2
    while trainer.is_running() and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not trainer.is_running()
    assert process.returncode not in (0, None)


def test_children_that_the_trainer_leaves_behind_end_too(start: Start) -> None:
    process = start(
        "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True, stdout=-3, stderr=-3)"
    )

    process.communicate(timeout=10)

    assert process.returncode == 0  # that nothing runs on is seen by the fixture


def test_a_package_path_that_is_no_package_is_refused(start: Start, tmp_path: Path) -> None:
    process = start("", path=tmp_path)

    _, told = process.communicate()

    assert process.returncode == 2
    assert "has no __init__.py" in told


def test_a_flag_before_the_dashes_is_refused_with_the_way(start: Start) -> None:
    process = start("", "--train_steps", "5")

    _, told = process.communicate()

    assert process.returncode == 2
    assert "goes after a lone --" in told


_SHOWS_ITS_PLACE = """
import json, os, sys, time
config = json.loads(os.environ["TF_CONFIG"])
sys.stdout.write(json.dumps(config) + "\\n")
sys.stdout.flush()
time.sleep(1.5 if config["task"]["type"] == "chief" else 0)
"""


def test_a_distributed_run_starts_every_replica_at_its_port(start: Start) -> None:
    port = _free_ports(4)

    process = start(
        _SHOWS_ITS_PLACE,
        *("--distributed", "--worker-count", "2", "--parameter-server-count", "1", "--start-port", str(port)),
    )
    out, told = process.communicate(timeout=60)

    configs = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, told
    assert sorted((one["task"]["type"], one["task"]["index"]) for one in configs) == [
        ("chief", 0),
        ("ps", 0),
        ("worker", 0),
        ("worker", 1),
    ]
    assert {json.dumps(one["cluster"]) for one in configs} == {
        json.dumps(
            {
                "chief": [f"localhost:{port}"],
                "ps": [f"localhost:{port + 1}"],
                "worker": [f"localhost:{port + 2}", f"localhost:{port + 3}"],
            }
        )
    }


@pytest.mark.parametrize(
    ("words", "counts", "port"),
    [
        ([], {"chief": 1, "ps": 2, "worker": 2}, 27182),
        (["--evaluator-count", "1", "--worker-count", "0"], {"chief": 1, "ps": 2, "evaluator": 1}, 27182),
        (["--parameter-server-count", "0", "--start-port", "3000"], {"chief": 1, "worker": 2}, 3000),
    ],
)
def test_the_counts_are_the_originals(
    words: list[str], counts: dict[str, int], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(foreground, "run_foreground", lambda spec, *rest: asked.append(rest) or 0)

    with pytest.raises(SystemExit) as end:
        main(["local", "train", "--module-name", "json.tool", "--distributed", *words])

    assert end.value.code == 0
    assert asked == [(counts, port)]
    assert list(asked[0][0]) == list(counts)  # the ports go by this order


@pytest.mark.parametrize(
    "words", [["--worker-count", "3"], ["--parameter-server-count", "0"], ["--start-port", "3000"]]
)
def test_counts_without_distributed_only_say_so(start: Start, words: list[str]) -> None:
    process = start("import json, os\nprint(json.loads(os.environ['TF_CONFIG'])['cluster'])", *words)

    out, told = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, "{}\n")
    assert told == "Counts and --start-port are for --distributed; without it one process trains.\n"


def test_a_taken_port_is_told_with_the_way(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("", "--distributed", "--start-port", str(taken.getsockname()[1]))
        _, told = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "is taken" in told
    assert "--start-port" in told


@pytest.mark.parametrize(("port", "code"), [(65531, 0), (65532, 2), (65535, 2)])
def test_a_cluster_has_room_for_its_ports_or_is_refused(
    port: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(foreground, "run_foreground", lambda *_: 0)

    with pytest.raises(SystemExit) as end:
        main(["local", "train", "--module-name", "json.tool", "--distributed", "--start-port", str(port)])

    assert end.value.code == code
    assert ("needs 5 in a row" in capsys.readouterr().err) == (code == 2)


def test_the_help_names_the_port_that_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["local", "train", "--help"])

    assert f"[default: {foreground.START_PORT}]" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("word", "told", "untold"),
    [
        ("--module-nam", "Did you mean '--module-name'?", "lone --"),
        ("--steps", "goes after a lone --, as in  -- --steps", "Did you mean"),
    ],
)
def test_a_wrong_option_gets_the_nearest_or_the_way_to_the_trainer(
    word: str, told: str, untold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["local", "train", word, "x"])

    said = capsys.readouterr().err
    assert end.value.code == 2
    assert told in said
    assert untold not in said


def _free_ports(count: int) -> int:
    """Return the first of some consecutive ports that are free now."""
    for first in range(28000, 32000, 10):
        try:
            for port in range(first, first + count):
                with socket.socket() as listener:
                    listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_local_predict_prints_what_predict_prints(
    form: str, store: serving.ModelStore, tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "instances.json"
    path.write_text("".join(json.dumps({"inputs": [level / 10] * 784}) + "\n" for level in range(3)))

    said = []
    for words in (["predict", "--model", "MNIST"], ["local", "predict", "--model-dir", str(tiny_export)]):
        with pytest.raises(SystemExit) as end:
            main([*words, "--json-instances", str(path), "--format", form])
        assert end.value.code == 0
        said.append(capsys.readouterr().out)

    assert said[0] == said[1]
    assert len(said[0].splitlines()) > 3


def test_local_predict_takes_a_model_in_a_bucket_and_a_request_from_stdin(
    home: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_export, home / "buckets" / "my-bucket" / "export")
    request = {"instances": [[255] * 784], "signature_name": "pixels"}
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(request).encode()))
    monkeypatch.setattr("sys.stdin", stdin)

    with pytest.raises(SystemExit) as end:
        main(["local", "predict", "--model-dir", "gs://my-bucket/export", "--json-request", "-", "--format", "json"])

    assert end.value.code == 0
    inside = serving.load(tiny_export).predict([[1.0] * 784])
    assert json.loads(capsys.readouterr().out) == {"predictions": inside}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--model-dir", "{export}"], 2, "exactly one of"),
        (["--model-dir", "none", "--json-instances", "x"], 1, "'x' cannot be read"),
        (["--model-dir", "none", "--json-instances", "{file}"], 1, "'none' does not exist"),
        (["--model-dir", "{export}", "--json-instances", "{file}", "--framework", "xgboost"], 2, "holds model.tflite"),
        (["--model-dir", "{export}", "--text-instances", "{file}"], 1, "instances[0]"),
    ],
)
def test_a_slip_in_local_predict_is_told(
    words: list[str], code: int, message: str, tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("[1]\n")
    places = {"{export}": str(tiny_export), "{file}": str(tmp_path / "file")}

    with pytest.raises(SystemExit) as end:
        main(["local", "predict", *(places.get(word, word) for word in words)])

    assert end.value.code == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--framework", "tensorflow"], ["--framework", "TensorFlow", "--trust-pickle"]])
def test_local_predict_takes_the_framework_that_the_files_are_of(
    words: list[str], tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "instances").write_text(json.dumps([0.5] * 784) + "\n")

    with pytest.raises(SystemExit) as end:
        main(
            [
                "local",
                "predict",
                "--model-dir",
                str(tiny_export),
                "--json-instances",
                str(tmp_path / "instances"),
                *words,
            ]
        )

    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("CLASSES")
