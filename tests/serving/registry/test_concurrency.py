"""Several processes at one store: no change is lost, none sees half a state, and one that is killed leaves none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlhelpers import serving
from mlhelpers.errors import ModelError
from mlhelpers.serving.registry import documents

# each waits until all are there, so that they meet
_TOGETHER = """
import pathlib, sys, time
from mlhelpers import serving
from mlhelpers.errors import ModelError
store, number, gate = serving.ModelStore(), int(sys.argv[1]), pathlib.Path(sys.argv[2])
(gate / sys.argv[1]).touch()
while len(list(gate.iterdir())) < int(sys.argv[3]):
    time.sleep(0.001)
"""


def _run_together(code: str, gate: Path, count: int) -> list[str]:
    gate.mkdir()
    words = [[sys.executable, "-c", _TOGETHER + code, str(number), str(gate), str(count)] for number in range(count)]
    processes = [subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for one in words]
    outputs = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        outputs.append(out)
    return outputs


def test_processes_that_change_one_model_at_once_lose_no_label(store: serving.ModelStore, tmp_path: Path) -> None:
    code = """
for step in range(25):
    store.update_model("MNIST", labels={f"p{number}-{step}": "x"})
    store.update_version("MNIST", "v1", labels={f"p{number}-{step}": "x"})
"""
    _run_together(code, tmp_path / "gate", 4)

    wanted = {f"p{number}-{step}" for number in range(4) for step in range(25)}
    assert store.model("MNIST").labels.keys() == wanted
    assert store.version("MNIST", "v1").labels.keys() == wanted


def test_of_processes_that_make_one_version_one_wins(
    store: serving.ModelStore, tiny_export: Path, tmp_path: Path
) -> None:
    code = f"""
try:
    store.create_version("MNIST", "v2", {str(tiny_export)!r}, description=str(number))
    print("made", number)
except ModelError as error:
    assert "has a version 'v2' already" in str(error), error
"""
    told = [out for out in _run_together(code, tmp_path / "gate", 4) if out]

    assert told == [f"made {store.version('MNIST', 'v2').description}\n"]


def test_a_model_is_not_deleted_under_a_version_that_is_being_made(
    home: Path, tiny_export: Path, tmp_path: Path
) -> None:
    store = serving.ModelStore()
    code = f"""
for step in range(15):
    try:
        if number:
            store.delete_version("MNIST", "v1")
            store.delete_model("MNIST")
        else:
            store.create_model("MNIST")
            store.create_version("MNIST", "v1", {str(tiny_export)!r})
    except ModelError:
        pass
"""
    _run_together(code, tmp_path / "gate", 3)

    for model in store.root.glob("[A-Z]*"):
        assert (model / "model.json").is_file()
        for version in model.glob("versions/*"):
            assert store.version(model.name, version.name).describe()["state"] == "READY"


def test_a_reader_never_meets_half_a_state(store: serving.ModelStore, tiny_export: Path, tmp_path: Path) -> None:
    store.create_model("other")
    code = f"""
deadline = time.monotonic() + 4
names = ("v1", "v2", "v3")
if number == 0:
    turn = 0
    while time.monotonic() < deadline:
        old, new = names[turn % 3], names[(turn + 1) % 3]
        store.create_version("MNIST", new, {str(tiny_export)!r})
        store.set_traffic("MNIST", {{new: 100}})
        store.set_default("MNIST", new)
        store.delete_version("MNIST", old)
        store.delete_model("other")
        store.create_model("other")
        turn += 1
    print(turn)
else:
    looks = 0
    while time.monotonic() < deadline:
        looks += 1
        answering = store.version("MNIST")
        assert answering.is_default and answering.folder.name == "model"
        model = store.model("MNIST")
        assert model.default_version in names and sum(model.traffic.values()) in (0, 100), model
        listed = store.list_versions("MNIST")
        assert not [one for one in listed if one.fault], listed
        assert [one.is_default for one in listed].count(True) <= 1
        assert not [one for one in store.list_models() if one.fault]
    print(looks)
"""
    changes, *looks = (int(out) for out in _run_together(code, tmp_path / "gate", 3))

    assert changes > 5
    assert min(looks) > 50


_SLOW_COPY = """
import shutil, sys, time
from mlhelpers import serving
from mlhelpers.serving.registry import copying
def half(source, copy):
    copy.write(source.read(1000))
    copy.flush()
    print("copying", flush=True)
    time.sleep(60)
copying.shutil.copyfileobj = half
serving.ModelStore().create_version("MNIST", "v2", sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="this system has no SIGKILL")
def test_a_copy_that_is_killed_leaves_no_version_and_no_lock(store: serving.ModelStore, tiny_export: Path) -> None:
    words = [sys.executable, "-c", _SLOW_COPY, str(tiny_export)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "copying\n"
        assert [one.name for one in store.list_versions("MNIST")] == ["v1"]
        # others are not held up by a copy
        store.update_model("MNIST", description="changed meanwhile")
        os.kill(process.pid, signal.SIGKILL)

    left = [path.name for path in store.root.glob(".v2*")]
    assert len(left) == 1
    assert [one.name for one in store.list_versions("MNIST")] == ["v1"]
    assert [one.name for one in store.list_models()] == ["MNIST"]
    store.create_version("MNIST", "v2", tiny_export)
    assert [path.name for path in store.root.glob(".*")] == [".lock"]
    assert serving.load("MNIST/v2").predict([[0.5] * 784])


@pytest.mark.skipif(os.name != "posix", reason="this system has no SIGKILL")
def test_a_process_killed_while_it_holds_the_lock_holds_nobody_up(store: serving.ModelStore) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mlhelpers.serving.registry.documents import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        os.kill(process.pid, signal.SIGKILL)

    begin = time.monotonic()
    store.update_model("MNIST", description="on")
    assert time.monotonic() - begin < 5


def test_a_lock_that_is_held_for_ever_is_told(store: serving.ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_PATIENCE_S", 0.1)
    before = json.loads((store.root / "MNIST" / "model.json").read_text())

    with (
        documents.locked(store.root),
        pytest.raises(ModelError, match="Another process has been changing the models in"),
    ):
        store.update_model("MNIST", description="new")

    assert json.loads((store.root / "MNIST" / "model.json").read_text()) == before
