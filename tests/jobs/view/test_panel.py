"""The panel as HTML: what a person reads of a job, also where a trainer reports nonsense."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlhelpers import jobs
from mlhelpers.jobs.base import JobState
from mlhelpers.jobs.view.panel import Snapshot, clock, elapsed, panel_html, replicas_html, take_snapshot

_NOW = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)


def _snapshot(state: str = "RUNNING", replicas: list[dict[str, Any]] | None = None, **resource: Any) -> Snapshot:
    begin = (_NOW - timedelta(seconds=75)).isoformat()
    values = {"createTime": begin, "startTime": begin, "localOutput": {"retries": 0, "replicas": replicas or []}}
    return Snapshot("local://first", _NOW, JobState(state), values | resource)


def _text(html: str) -> str:
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_replica_shows_its_steps_speed_metrics_and_restarts() -> None:
    progress = {
        "step": 1200,
        "total_steps": 6000,
        "steps_per_second": 41.23,
        "seconds_left": 117,
        "phase": "training",
        "metrics": {"loss": 0.25},
    }
    shown = replicas_html(_snapshot(replicas=[{"task": "worker-replica-1", "restarts": 2, "progress": progress}]))

    assert '<progress value="1200" max="6000" aria-label="Progress of worker-replica-1">' in shown
    assert "worker-replica-1 1,200 / 6,000 training 41.2, 1:57 left loss 0.2500 running, started again 2 x" in _text(
        shown
    )


def test_a_batch_prediction_counts_instances_and_its_errors_are_whole() -> None:
    progress = {"step": 61696, "total_steps": 300000, "steps_per_second": 30662.4, "unit": "instances"}
    shown = _text(replicas_html(_snapshot(replicas=[{"task": "t", "progress": progress | {"metrics": {"errors": 3}}}])))

    assert shown == ("replica progress instances/s metrics process t 61,696 / 300,000 30,662.4 errors 3 running")


@pytest.mark.parametrize(
    ("replica", "words"),
    [
        ({"exitCode": 0}, "finished"),
        ({"exitCode": 3}, "exit code 3"),
        ({"exitCode": -9}, "signal 9"),
        ({"endTime": "…"}, "ended"),
    ],
)
def test_the_end_of_a_replica_is_told(replica: dict[str, Any], words: str) -> None:
    assert _text(replicas_html(_snapshot(replicas=[{"task": "t"} | replica]))).endswith(words)


def test_a_report_that_makes_no_sense_is_left_out() -> None:
    nonsense = {"step": "many", "total_steps": None, "steps_per_second": float("nan"), "metrics": {"loss": "low"}}
    for progress in (nonsense, {"metrics": [1]}, {"step": True, "total_steps": 0}):
        shown = _text(replicas_html(_snapshot(replicas=[{"task": "t", "progress": progress}])))
        assert shown.endswith("process t running")


def test_everything_foreign_is_escaped_and_control_characters_are_taken_out() -> None:
    evil = "<script>hurt()</script>\x00\x07"
    replica = {"task": evil, "progress": {"phase": evil, "metrics": {evil: 1.0}}}
    snapshot = _snapshot(replicas=[replica])
    snapshot = Snapshot(
        evil, _NOW, snapshot.state, snapshot.resource, tasks=[evil], task=evil, lines=[evil], trouble=evil
    )
    shown = panel_html(snapshot)

    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") >= 6
    assert not set(shown) & {"\x00", "\x07"}


def test_the_state_is_spoken_when_it_changes() -> None:
    shown = panel_html(_snapshot())

    assert 'role="status" aria-live="polite" data-state="RUNNING"' in shown


def test_a_job_that_is_not_over_says_when_it_was_seen() -> None:
    assert "seen at" in panel_html(_snapshot())
    assert "seen at" not in panel_html(_snapshot("SUCCEEDED"))


def test_a_failed_job_shows_its_message_which_holds_the_last_lines() -> None:
    shown = panel_html(_snapshot("FAILED", errorMessage="The trainer exited with code 1.\n  boom"))

    assert 'role="alert">The trainer exited with code 1.\n  boom</div>' in shown
    assert "<pre" not in shown


def test_time_runs_from_the_start_and_stops_at_the_end() -> None:
    ended = (_NOW - timedelta(seconds=5)).isoformat()

    assert elapsed(_snapshot()) == "1:15"
    assert elapsed(_snapshot("SUCCEEDED", endTime=ended)) == "1:10"
    assert elapsed(_snapshot("QUEUED", startTime=None)) == "waiting for 1:15"
    assert elapsed(_snapshot(localOutput={"retries": 2})) == "1:15, the whole job tried again 2 x"
    assert clock(3725.9) == "1:02:05"


def test_a_snapshot_of_a_real_job_holds_its_last_lines_without_colours(submit: Callable[..., jobs.Job]) -> None:
    job = submit(
        "import os, pathlib\n"
        "pathlib.Path(os.environ['MLHELPERS_PROGRESS_FILE']).write_text('{\"step\": 3, \"total_steps\": 9}')\n"
        "for n in range(100): print(f'\\x1b[32mline {n}\\x1b[0m')\n"
        "print('10 %\\r20 %\\r30 %', end='')"
    )
    job.wait(30, progress=False)

    seen = take_snapshot(job)

    assert seen.state is JobState.SUCCEEDED
    assert seen.task == "master-replica-0"
    assert list(seen.tasks) == job.tasks
    assert seen.lines == [*(f"line {n}" for n in range(93, 100)), "30 %"]
    assert "3 / 9" in _text(panel_html(seen))
    assert take_snapshot(job, "service").task == "service"


def test_a_job_that_is_gone_is_told_and_not_raised(submit: Callable[..., jobs.Job], home: Any) -> None:
    job = submit("pass")
    job.wait(30, progress=False)
    shutil.rmtree(home)

    seen = take_snapshot(job)

    assert seen.state is None
    assert "'first'" in seen.trouble
    assert "UNKNOWN" in _text(panel_html(seen))
