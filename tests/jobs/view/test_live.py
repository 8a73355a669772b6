"""The panel that moves, in a real kernel whose notebook has no widgets; with them it is met in tests/browser."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from mlhelpers import jobs
from mlhelpers.jobs.view import JobSubject, live

_SUBMIT = """
from pathlib import Path
from mlhelpers import jobs
job = jobs.submit(jobs.JobSpec("shown", "trainer.task", package_path={package!r}, grace_s=1))
job
"""
_THREADS = "import threading; [thread.name for thread in threading.enumerate() if 'job-views' in thread.name]"
_WIDGET = "application/vnd.jupyter.widget-view+json"


def _run(folder: Path, *cells: str) -> list[list[Any]]:
    """Execute cells in a kernel; return the outputs of each as a stored notebook has them."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell["outputs"] for cell in notebook.cells]


@pytest.fixture
def write(write_trainer: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    root = str(Path(jobs.__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    return lambda code: _SUBMIT.format(package=str(write_trainer(code)))


def test_a_stored_notebook_holds_the_end_as_text_and_no_widget(write: Callable[[str], str], tmp_path: Path) -> None:
    submit = write("import time\nprint('hello <b>')\ntime.sleep(1)\nprint('done')")
    shown, _, threads = _run(
        tmp_path,
        submit,
        "job.wait(progress=False)\nimport time; time.sleep(5)",  # the panel's farewell, and a little more
        _THREADS,
    )

    plain, widget = shown
    assert plain["data"]["text/plain"].startswith("Job local://shown  SUCCEEDED")
    assert 'data-state="SUCCEEDED"' in plain["data"]["text/html"]
    assert "hello &lt;b&gt;\ndone" in plain["data"]["text/html"]
    assert dict(widget["data"]) == {"text/plain": ""}
    assert threads[0]["data"]["text/plain"] == "[]"  # the thread ended with the last job that was shown


def test_a_job_shown_again_leaves_its_first_place_and_one_thread_serves_all(
    write: Callable[[str], str], tmp_path: Path
) -> None:
    submit = write("import time\ntime.sleep(60)")
    first, second, threads, *_, last = _run(
        tmp_path, submit, "job", _THREADS, "job.cancel()\njob.wait(progress=False)", "job"
    )

    assert dict(first[1]["data"]) == {"text/plain": ""}
    assert "seen at" in first[0]["data"]["text/html"]
    assert _WIDGET in second[1]["data"] or 'data-state="CANCELLED"' in second[0]["data"]["text/html"]
    assert threads[0]["data"]["text/plain"] == "['mlhelpers-job-views']"
    assert len(last) == 1, "a job that is over needs no widget"
    assert 'data-state="CANCELLED"' in last[0]["data"]["text/html"]


def test_without_ipywidgets_the_text_moves_alone(write: Callable[[str], str], tmp_path: Path) -> None:
    submit = write("import time\ntime.sleep(1.5)")
    hide = "import sys; sys.modules['ipywidgets'] = None"
    _, shown, _ = _run(tmp_path, hide, submit, "job.wait(progress=False)\nimport time; time.sleep(1.5)")

    assert len(shown) == 1
    assert 'data-state="SUCCEEDED"' in shown[0]["data"]["text/html"]


def test_a_plain_terminal_shows_the_text(write_trainer: Callable[..., Path], home: Path, tmp_path: Path) -> None:
    code = _SUBMIT.format(package=str(write_trainer("pass"))) + "\n_ = job.wait(progress=False)\njob"
    script = tmp_path / "session.ipy"
    script.write_text("")
    root = str(Path(jobs.__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        f"shell = InteractiveShell.instance()\nshell.run_cell({code!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )

    assert "Job local://shown  SUCCEEDED" in done.stdout
    assert "mlh-job" not in done.stdout
    assert done.stderr == ""


class _Place:
    """What a display handle is told."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], raw: bool) -> None:
        self.bundles.append(bundle)

    update = display


@pytest.fixture
def shown_view(submit: Callable[..., jobs.Job], monkeypatch: pytest.MonkeyPatch) -> tuple[live.LivePanel, jobs.Job]:
    monkeypatch.setattr("IPython.display.DisplayHandle", _Place)
    job = submit("import time\ntime.sleep(60)", grace_s=0.5)
    view = live.LivePanel(JobSubject(job))
    view.display()
    return view, job


def test_the_button_asks_once_and_is_out_of_use_from_then_on(
    shown_view: tuple[live.LivePanel, jobs.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    view, job = shown_view
    cancel = job._backend.cancel
    was_disabled = []

    def watched(name: str) -> None:
        was_disabled.append(view._button.disabled)
        cancel(name)

    monkeypatch.setattr(job._backend, "cancel", watched)
    assert not view._button.disabled

    view._button.click()
    view._button.click()

    assert was_disabled == [True]
    assert job.wait(20, progress=False) == "CANCELLED"
    view.refresh()
    assert view._button.disabled
    assert 'data-state="CANCELLED"' in view._state.value
    view.close()


def test_what_goes_wrong_with_the_button_is_shown_and_can_be_tried_again(
    shown_view: tuple[live.LivePanel, jobs.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    view, job = shown_view

    def fail(name: str) -> None:
        raise OSError("no <room> left")

    with monkeypatch.context() as patched:
        patched.setattr(job._backend, "cancel", fail)
        view._button.click()
    assert "It could not be cancelled: no &lt;room&gt; left" in view._log.value
    assert not view._button.disabled

    view._button.click()
    assert "could not be cancelled" not in view._log.value
    job.wait(20, progress=False)
    view.close()


def test_a_panel_that_breaks_says_so_and_the_thread_goes_on(
    shown_view: tuple[live.LivePanel, jobs.Job], monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    view, job = shown_view

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(view, "_update", fail)
    live._watch(view)
    until(lambda: "This panel stopped: RuntimeError: broken" in view._plain.bundles[-1]["text/html"])
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "mlhelpers-job-views"])
    job.cancel()
    job.wait(20, progress=False)


def test_another_log_is_shown_when_it_is_chosen(
    shown_view: tuple[live.LivePanel, jobs.Job], until: Callable[..., None]
) -> None:
    view, job = shown_view
    until(lambda: "starting" in job.log(task="service") if "service" in job.tasks else False)
    view.refresh()

    view._choice.value = "service"

    assert "starting master-replica-0" in view._log.value
    view.refresh()
    assert view._choice.value == "service"
    job.cancel()
    job.wait(20, progress=False)
    view.close()


def test_a_job_that_cannot_be_read_keeps_its_last_look_until_patience_ends(
    shown_view: tuple[live.LivePanel, jobs.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    view, job = shown_view

    def fail(name: str) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(job._backend, "describe", fail)
        view.refresh()
        assert "gone" in view._log.value
        assert view._shown.state in ("PREPARING", "RUNNING", "QUEUED")
        assert not view.is_closed
        patched.setattr(live, "_PATIENCE_S", 0.0)
        view.refresh()
        assert view.is_closed
    job.cancel()
    job.wait(20, progress=False)
