"""How a study shows itself: the table and the picture of trials made by hand, and real studies in a real kernel."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from mlhelpers import plots, tuning
from mlhelpers.jobs import Job, JobSpec, JobState
from mlhelpers.jobs.local import backend
from mlhelpers.jobs.view import subject_html
from mlhelpers.tuning import view
from mlhelpers.tuning.record import Record
from mlhelpers.tuning.results import Trial, best_first
from mlhelpers.tuning.view import StudySnapshot, StudySubject

_NOW = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)
_SPACE = {"rate": tuning.Float(0.001, 1.0), "act": tuning.Choice(["relu", "<b>"])}


@pytest.fixture
def subject() -> StudySubject:
    spec = tuning.StudySpec(JobSpec("babies", "trainer.task"), _SPACE, metric="rmse", trials=40, algorithm="random")
    return StudySubject(Job("babies", backend()), Record(spec, list))


def _trial(number: int, state: str = "SUCCEEDED", objective: float | None = None, **more: Any) -> Trial:
    return Trial(number, state, {"rate": number / 100, "act": "relu"}, objective, **more)


def _snapshot(trials: list[Trial], state: str = "RUNNING", **progress: float) -> StudySnapshot:
    begin = (_NOW - timedelta(seconds=75)).isoformat()
    replicas = [{"task": "master-replica-0", "progress": progress}]
    resource = {"createTime": begin, "startTime": begin, "localOutput": {"retries": 0, "replicas": replicas}}
    return StudySnapshot("local://babies", _NOW, JobState(state), resource, trials=best_first(trials, minimizes=True))


def _rows(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]


def test_the_table_holds_the_ten_best_those_that_run_and_the_failed_and_the_rest_is_folded(
    subject: StudySubject,
) -> None:
    trials = [_trial(number, objective=1 / number, step=100, seconds=2.0) for number in range(1, 15)]
    trials[0] = _trial(1, "STOPPED_EARLY", 0.001, step=1000, seconds=1.5)
    trials += [_trial(15, "RUNNING", 9.0), _trial(16, "QUEUED")]
    trials += [_trial(number, "INFEASIBLE", error=f"no <room> {number}\nmore") for number in range(17, 22)]

    _, table, rest = subject.pieces(_snapshot(trials))

    head, *rows = _rows(table.html)
    assert head == ["trial", "rmse", "step", "rate", "act", "state", "seconds"]
    assert rows[0] == ["1", "0.001", "1,000", "0.01", "relu", "▼ stopped early", "1.5"]
    assert rows[1] == ["14", "0.0714286", "100", "0.14", "relu", "● succeeded", "2.0"]
    assert [row[0] for row in rows] == ["1", *map(str, range(14, 5, -1)), "15", "16", "21", "20", "19"]
    assert [row[5] for row in rows[10:13]] == ["○ running", "… queued", "✕ failed: no &lt;room&gt; 21"]
    assert 'title="no &lt;room&gt; 21\nmore"' in table.html  # the whole of it, where the pointer rests
    assert [row[0] for row in _rows(rest.html)[1:]] == ["5", "4", "3", "2", "18", "17"]
    assert rest.title == "The other trials"
    assert f"<details><summary>{rest.title}</summary>" in subject_html(subject, _snapshot(trials))


def test_a_small_study_has_no_rest_and_one_without_trials_no_table(subject: StudySubject) -> None:
    assert [piece.html for piece in subject.pieces(_snapshot([]))] == ["", "", ""]
    assert "<details>" not in subject_html(subject, _snapshot([]))
    one = _snapshot([_trial(1, objective=1.0)], "SUCCEEDED")
    assert [bool(piece.html) for piece in subject.pieces(one)] == [True, True, False]


def test_the_rest_of_thousands_is_cut_and_says_where_all_are(subject: StudySubject) -> None:
    rest = subject.pieces(_snapshot([_trial(number, objective=number) for number in range(1, 1001)], "SUCCEEDED"))[2]

    assert len(_rows(rest.html)) == 1 + 200
    assert "and 790 more: study.trials" in rest.html


def test_the_head_tells_time_trials_and_what_is_left(subject: StudySubject) -> None:
    trials = [_trial(1, objective=1.0), _trial(2, "INFEASIBLE"), _trial(3, "RUNNING")]

    assert (
        subject.time(_snapshot(trials, total_steps=30, seconds_left=130.0)) == "1:15, 2 of 30 trials, about 2:10 left"
    )
    assert subject.time(_snapshot(trials, "CANCELLED", seconds_left=130.0)).endswith("2 of 40 trials")


def test_foreign_text_is_escaped(subject: StudySubject) -> None:
    trial = Trial(1, "INFEASIBLE", {"rate": 0.1, "act": "<script>"}, error="<script>")

    assert "<script" not in subject_html(subject, _snapshot([trial]))


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Count the pictures that are really drawn."""
    made: list[tuple[float, float]] = []
    draw = plots.to_png

    def counted(draws: Any, size: tuple[float, float]) -> bytes:
        made.append(size)
        return draw(draws, size)

    monkeypatch.setattr(plots, "to_png", counted)
    return made


def _picture(subject: StudySubject, trials: list[Trial]) -> str:
    """Return the picture after a look, drawn to its end."""
    subject.pieces(_snapshot(trials))
    if subject._picture._thread is not None:
        subject._picture._thread.join()
    return subject.pieces(_snapshot(trials))[0].html


def test_the_picture_is_drawn_again_only_where_a_value_has_changed(
    subject: StudySubject, drawings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(view, "_DRAW_EVERY_S", 0.0)
    monkeypatch.setattr(view, "_DRAW_SHARE", float("inf"))
    trials = [_trial(1, objective=1.0), _trial(2, "RUNNING", 3.0, seconds=1.0)]

    assert _picture(subject, [_trial(1, "RUNNING")]) == ""
    first = _picture(subject, trials)
    again = _picture(subject, [trials[0], _trial(2, "RUNNING", 3.0, seconds=2.0)])
    assert len(drawings) == 1
    assert first == again
    assert 'alt="rmse of 2 trials; the best so far is 1, trial 1"' in first
    assert 'src="data:image/png;base64,iVBOR' in first

    assert _picture(subject, [trials[0], _trial(2, "RUNNING", 2.0)]) != first
    assert len(drawings) == 2
    assert plt.get_fignums() == []


def test_the_picture_is_drawn_at_most_every_two_seconds_and_at_the_end_at_once(
    subject: StudySubject, drawings: list[Any]
) -> None:
    for value in (3.0, 2.0, 1.0):
        _picture(subject, [_trial(1, "RUNNING", value)])
    assert len(drawings) == 1

    subject.pieces(_snapshot([_trial(1, objective=1.0)], "SUCCEEDED"))
    assert len(drawings) == 2


def test_a_look_does_not_wait_for_the_picture_and_its_trouble_is_told(
    subject: StudySubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def fail(*_: object) -> bytes:
        assert may_end.wait(10)
        raise RuntimeError("no <font>")

    monkeypatch.setattr(plots, "to_png", fail)
    assert subject.pieces(_snapshot([_trial(1, objective=1.0)]))[0].html == ""

    may_end.set()
    assert "No picture: no &lt;font&gt;" in _picture(subject, [_trial(1, objective=1.0)])


def test_the_panel_of_a_cancelled_study_says_that_its_last_trials_are_unfinished(
    tune: Callable[..., Any], until: Callable[..., None]
) -> None:
    study = tune(trials=10, args={"pause": 5.0, "steps": 100})
    until(lambda: [trial for trial in study.results if trial.state == "RUNNING"], 30)
    running = study._subject().look(None)
    assert running.trials[0].seconds >= 0
    assert "○ running" in subject_html(study._subject(), running)

    study.cancel()
    study.wait(30, progress=False)

    html = study._repr_html_()
    assert 'data-state="CANCELLED"' in html
    assert "unfinished" in html
    assert "running" not in html
    with pytest.raises(NotImplementedError):
        study._ipython_display_()  # where there is no notebook, IPython goes on to the text


_SUBMIT = """
from mlhelpers import jobs, tuning
job = jobs.JobSpec("shown", "trainer.task", package_path={package!r}, max_restarts=0, max_retries=0,
                   args={{"fail-above": 0.9}})
space = {{"x": tuning.Choice([0.25, 0.5, 1.0]), "layers": tuning.Int(1, 1)}}
study = tuning.tune(job, space, metric="loss", trials=3, parallel=2, algorithm="grid")
study
"""
# until the panel has taken its leave
_WAIT = """
study.wait(progress=False)
import threading, time
while any("job-views" in thread.name for thread in threading.enumerate()): time.sleep(0.1)
"""


def test_a_stored_notebook_holds_the_studys_end_as_text_and_no_widget(
    trainer: Path, tmp_path: Path, child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", child_environment["PYTHONPATH"])
    sources = [_SUBMIT.format(package=str(trainer)), _WAIT]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])

    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()

    plain, widget = notebook.cells[0]["outputs"]
    html = plain["data"]["text/html"]
    assert plain["data"]["text/plain"].startswith("Study local://shown  SUCCEEDED  3 of 3 trials\n  best loss 0.35")
    assert 'data-state="SUCCEEDED"' in html
    assert 'class="mlh-study-history" alt="loss of 3 trials; the best so far is 0.35' in html
    rows = _rows(html)[1:]
    assert [row[1] for row in rows] == ["0.35", "0.4125", ""]
    assert rows[2][5] == "✕ failed: The trainer exited with code 1: this x is too great"
    assert dict(widget["data"]) == {"text/plain": ""}
