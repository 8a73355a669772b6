"""Every notebook runs from top to bottom as it is stored, and the runner tells the truth about those that do not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

_FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
_SERIES = sorted(_FOLDER.glob("[0-9][0-9]_*.ipynb"))
_BUDGET_S = 240.0  # twice what a lesson may take on two cores, for machines that do other things too


def _load_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_notebooks", _FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


run = _load_runner()


def _write(path: Path, *cells: str, tags: dict[int, list[str]] | None = None) -> Path:
    """Write a notebook of code cells; return its path."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    for place, names in (tags or {}).items():
        book.cells[place].metadata["tags"] = names
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


@pytest.mark.notebooks
@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", _SERIES, ids=lambda path: path.stem)
def test_it_runs_as_stored_and_ends_with_a_headline(notebook: Path, tmp_path: Path, home: Path) -> None:
    outcome = run.execute(notebook, tmp_path / "executed", home)

    assert outcome.error is None, outcome.error
    assert outcome.headline
    assert outcome.seconds < _BUDGET_S
    assert outcome.page.stat().st_size > 10_000


@pytest.mark.notebooks
@pytest.mark.parametrize("notebook", _SERIES, ids=lambda path: path.stem)
def test_executing_leaves_the_stored_notebook_as_it_was(notebook: Path) -> None:
    book = nbformat.read(notebook, as_version=4)

    assert all(not cell.get("outputs") for cell in book.cells if "keep_output" not in cell.metadata.get("tags", []))


def test_the_headline_is_the_last_line_of_the_tagged_cell(tmp_path: Path, home: Path) -> None:
    cells = (
        "print('first')",
        "import os; print(os.environ['MLHELPERS_HOME']); print('99.1 % right\\n')",
        "print('last')",
    )
    notebook = _write(tmp_path / "01_x.ipynb", *cells, tags={1: ["headline"]})
    seen: list[int] = []

    outcome = run.execute(notebook, tmp_path / "out", home, on_cell=seen.append)

    assert (outcome.name, outcome.headline, outcome.error) == ("01_x", "99.1 % right", None)
    assert seen == [1, 2, 3]
    assert str(home) in outcome.page.read_text("utf-8")
    assert nbformat.read(tmp_path / "out" / "01_x.ipynb", as_version=4).cells[2].outputs[0].text == "last\n"


def test_a_failing_cell_is_shown_with_the_end_of_its_traceback(tmp_path: Path, home: Path) -> None:
    notebook = _write(tmp_path / "01_x.ipynb", "x = 0", "1 / x", "print('never')")

    outcome = run.execute(notebook, tmp_path / "out", home)

    assert "    1 / x\n" in outcome.error
    assert outcome.error.rstrip().endswith("ZeroDivisionError: division by zero")
    assert outcome.page.is_file()
    assert nbformat.read(tmp_path / "out" / "01_x.ipynb", as_version=4).cells[2].outputs == []


def test_a_cell_that_hangs_is_stopped_and_named(tmp_path: Path, home: Path) -> None:
    notebook = _write(tmp_path / "01_x.ipynb", "import time\ntime.sleep(600)")

    outcome = run.execute(notebook, tmp_path / "out", home, timeout_s=6)

    assert "time.sleep(600)" in outcome.error
    assert "stopped after 6 seconds. --timeout gives it longer." in outcome.error
    assert outcome.seconds < 60


def test_a_kernel_that_dies_is_told(tmp_path: Path, home: Path) -> None:
    notebook = _write(tmp_path / "01_x.ipynb", "import os\nos._exit(3)")

    outcome = run.execute(notebook, tmp_path / "out", home)

    assert "os._exit(3)" in outcome.error
    assert "Kernel died" in outcome.error


def test_a_kernel_cannot_reach_the_network_in_a_test(tmp_path: Path, home: Path) -> None:
    notebook = _write(tmp_path / "01_x.ipynb", "import socket\nsocket.create_connection(('192.0.2.1', 9), timeout=1)")

    outcome = run.execute(notebook, tmp_path / "out", home)

    assert "only loopback is open" in outcome.error


def test_a_kernel_does_not_see_the_readers_cloud_or_backend(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "somebodys-project")
    monkeypatch.setenv("MLHELPERS_BACKEND", "vertex")
    cell = "from mlhelpers import settings\nnow = settings.current()\nprint(now.project, now.backend)"
    notebook = _write(tmp_path / "01_x.ipynb", cell, tags={0: ["headline"]})

    assert run.execute(notebook, tmp_path / "out", home).headline == "None local"


@pytest.fixture
def series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small series whose second notebook fails, and point the runner at it."""
    folder = tmp_path / "notebooks"
    _write(folder / "01_good.ipynb", "print('all well')", tags={0: ["headline"]})
    _write(folder / "02_bad.ipynb", "raise ValueError('no')")
    _write(folder / "03_good.ipynb", "print('still here')", tags={0: ["headline"]})
    monkeypatch.setattr(run, "NOTEBOOKS", folder)
    monkeypatch.setattr(run, "RUNS", tmp_path / "runs")
    return folder


def test_a_failure_does_not_keep_the_others_from_running(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([]) == 1

    told = capsys.readouterr()
    lines = [line.split() for line in told.out.splitlines()]
    table = [line for line in lines if line and line[0] in ("01_good", "02_bad", "03_good")][-3:]
    assert [(line[0], " ".join(line[2:])) for line in table] == [
        ("01_good", "all well"),
        ("02_bad", "FAILED"),
        ("03_good", "still here"),
    ]
    assert f"Executed copies: {series.parent / 'runs' / 'executed'}" in told.out
    assert "02_bad failed. The cell" in told.err
    assert "ValueError: no" in told.err


def test_only_runs_the_chosen_ones_and_all_well_is_exit_zero(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--only", "03"]) == 0

    told = capsys.readouterr().out
    assert "still here" in told
    assert "01_good" not in told
    assert sorted(path.name for path in (series.parent / "runs" / "executed").iterdir()) == [
        "03_good.html",
        "03_good.ipynb",
    ]


def test_an_unknown_choice_is_wrong_usage(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--only", "7"]) == 2
    assert "There is no notebook '7'. Known: 01_good, 02_bad, 03_good. A number such as 05 will do." in (
        capsys.readouterr().err
    )


def test_a_timeout_that_is_no_time_is_wrong_usage(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run.main(["--timeout", "-1"])

    assert end.value.code == 2
    assert "should be a number of seconds above 0" in capsys.readouterr().err


def test_a_folder_without_notebooks_is_told(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in series.iterdir():
        path.unlink()

    assert run.main([]) == 1
    assert "There is no notebook in" in capsys.readouterr().err


def test_the_series_is_found_in_reading_order_and_by_number_or_name() -> None:
    assert run.find() == _SERIES
    assert run.find(["01", "00_start_here"]) == [_SERIES[0], _SERIES[1]]
