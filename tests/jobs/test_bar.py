"""The progress bar, in a terminal, in a file, and in a notebook."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from mlhelpers.jobs.bar import ProgressBar, _page, progress_text
from mlhelpers.jobs.base import JobState

_PROGRESS = {
    "step": 50,
    "total_steps": 200,
    "steps_per_second": 41.23,
    "seconds_left": 3.6,
    "metrics": {"accuracy": 0.97},
    "phase": "training",
}
_SHOW = f"""
from mlhelpers.jobs.bar import ProgressBar
from mlhelpers.jobs.base import JobState
with ProgressBar("first") as bar:
    bar.show(JobState.PREPARING, {{}})
    bar.show(JobState.RUNNING, {_PROGRESS!r})
"""


def test_a_terminal_shows_steps_speed_time_left_and_metrics(child_environment: dict[str, str]) -> None:
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    subprocess.run([sys.executable, "-c", _SHOW], stderr=writing, env=child_environment, check=True)

    drawn = os.read(reading, 65536).decode()

    assert "first  preparing, 00:00" in drawn
    assert re.search(
        r"first  training:  25% \|.*\| 50/200 steps, 00:00, 41.2 steps/s, 4 s left, accuracy 0.9700", drawn
    )


def test_a_file_gets_no_bar(child_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW], capture_output=True, text=True, env=child_environment, check=True
    )

    assert done.stderr + done.stdout == ""


def test_a_bar_that_is_not_wanted_draws_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("first", shown=False) as bar:
        bar.show(JobState.RUNNING, _PROGRESS)

    assert capfd.readouterr() == ("", "")


def test_the_page_shows_its_own_bar_and_escapes_the_text() -> None:
    page = _page("a<b  training:  25% |##   | 50/200 steps, accuracy 0.97", 50, 200)

    assert page == (
        "<code>a&lt;b  training:  25% </code><progress value='50' max='200' style='vertical-align:middle'></progress>"
        "<code> 50/200 steps, accuracy 0.97</code>"
    )


def test_the_page_shows_text_until_the_steps_are_known() -> None:
    assert _page("first  preparing, 00:01", 0, None) == "<code>first  preparing, 00:01</code>"


def test_minutes_are_told_as_minutes() -> None:
    assert progress_text({"seconds_left": 75.2}) == "1 min 15 s left"


def test_a_count_of_something_else_is_told_as_that_and_whole_where_it_is_quick() -> None:
    report = {"unit": "instances", "steps_per_second": 30662.4, "metrics": {"errors": 3, "loss": 0.5}}

    assert progress_text(report) == "30,662 instances/s, errors 3, loss 0.5000"


def test_nothing_reported_is_no_text() -> None:
    assert progress_text({}) == ""


def test_what_was_started_again_is_told_first() -> None:
    assert progress_text({"restarts": 2, "retries": 1, "steps_per_second": 5.0}) == (
        "tried again once, started again 2 times, 5.0 steps/s"
    )


def test_a_bar_is_drawn_at_once_for_a_new_state_and_then_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [100.0]
    monkeypatch.setattr("mlhelpers.jobs.bar.time.monotonic", lambda: moment[0])
    bar = ProgressBar("first")

    assert bar.is_due(JobState.QUEUED)
    bar.show(JobState.QUEUED, {})
    moment[0] += 0.4
    assert not bar.is_due(JobState.QUEUED)
    assert bar.is_due(JobState.RUNNING)
    moment[0] += 0.2
    assert bar.is_due(JobState.QUEUED)


@pytest.mark.parametrize("odd", ["ten", None, [1], True, float("nan"), {}])
def test_what_is_no_number_in_a_report_is_passed_over(odd: object, monkeypatch: pytest.MonkeyPatch) -> None:
    report = {"step": odd, "total_steps": odd, "steps_per_second": odd, "seconds_left": odd, "metrics": {"loss": odd}}
    drawn = io.StringIO()
    monkeypatch.setattr("sys.stderr", drawn)
    monkeypatch.setattr(drawn, "isatty", lambda: True)

    with ProgressBar("first") as bar:
        bar.show(JobState.RUNNING, report)
        bar.show(JobState.RUNNING, {**_PROGRESS, "metrics": odd})
        bar.show(JobState.RUNNING, report)

    assert "50/200 steps" in drawn.getvalue()
    assert progress_text(report) == progress_text({"metrics": odd}) == ""
