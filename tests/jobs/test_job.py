"""Waiting for a job, following its log, and how it shows itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError
from mlhelpers.jobs import JobState

Submit = Callable[..., jobs.Job]
Until = Callable[..., None]

_GOES_ON = "import time\nprint('started')\ntime.sleep(60)"


def test_a_wait_that_takes_too_long_raises_and_the_job_goes_on(submit: Submit) -> None:
    job = submit(_GOES_ON)

    with pytest.raises(
        JobError, match=r"still (QUEUED|PREPARING|RUNNING) after 0.2 s of waiting. It goes on.*jobs cancel first"
    ):
        job.wait(timeout_s=0.2)

    assert not job.state.is_final
    job.cancel()


def test_following_yields_each_line_within_a_fifth_of_a_second(submit: Submit) -> None:
    job = submit("import time\nfor _ in range(5):\n    print(time.time())\n    time.sleep(0.3)")

    delays = [time.time() - float(line) for line in job.follow()]

    assert len(delays) == 5
    assert sorted(delays)[2] < 0.2, delays


def test_following_ends_with_the_job_and_gives_a_last_line_without_an_end(submit: Submit) -> None:
    job = submit("import sys\nprint('one')\nsys.stdout.write('two')")

    assert list(job.follow()) == ["one", "two"]


def test_a_finished_log_is_followed_from_its_start_or_near_its_end(submit: Submit) -> None:
    job = submit("print('one')\nprint('two')\nprint('three')")
    job.wait(30)

    assert list(job.follow()) == ["one", "two", "three"]
    assert list(job.follow(start=4)) == ["two", "three"]
    assert list(job.follow(start=-6)) == ["three"]
    assert job.log(-6) == "three\n"
    assert job.log(-10_000) == "one\ntwo\nthree\n"


def test_a_line_that_a_bar_rewrote_is_given_as_it_stood_at_last(submit: Submit) -> None:
    job = submit("import sys\nsys.stdout.write('10%\\r50%\\r\\x1b[32m100%\\x1b[0m\\r\\n')\nprint('done')")

    assert list(job.follow()) == ["100%", "done"]


def test_bytes_that_are_no_text_do_not_stop_the_log(submit: Submit) -> None:
    job = submit("import sys\nsys.stdout.buffer.write(b'\\xff\\xfe\\nafter\\n')")

    assert list(job.follow()) == ["\ufffd\ufffd", "after"]


def test_a_line_without_end_is_given_in_pieces(submit: Submit) -> None:
    job = submit("import sys\nsys.stdout.write('x' * 300_000)")
    job.wait(30)

    assert "".join(job.follow()) == "x" * 300_000


def test_a_job_shows_its_state_and_what_can_be_done(submit: Submit, until: Until) -> None:
    job = submit(_GOES_ON)
    until(lambda: job.state is JobState.RUNNING)

    shown = repr(job)

    assert shown.startswith("Job local://first  RUNNING  ")
    assert "follow    mlhelpers jobs stream-logs first" in shown
    assert "describe  mlhelpers jobs describe first" in shown
    assert "cancel    mlhelpers jobs cancel first" in shown
    job.cancel()
    job.wait(10)
    assert "CANCELLED" in repr(job)
    assert "cancel first" not in repr(job)


def test_a_failed_job_shows_why_and_its_page_is_safe(submit: Submit) -> None:
    job = submit("raise SystemExit('<b>')")
    with pytest.raises(JobError):
        job.wait(30)

    assert "The trainer exited with code 1." in repr(job)
    assert "<b>Job local://first  FAILED" in job._repr_html_()
    assert "&lt;b&gt;" not in job._repr_html_()


def test_what_the_trainer_reports_is_its_progress(submit: Submit) -> None:
    job = submit(
        """
        import json, os
        with open(os.environ["MLHELPERS_PROGRESS_FILE"], "w") as file:
            json.dump({"step": 5, "total_steps": 10, "metrics": {"accuracy": 0.5}}, file)
        """
    )
    job.wait(30)

    assert job.progress["step"] == 5
    assert job.describe()["localOutput"]["progress"]["metrics"] == {"accuracy": 0.5}


def test_a_progress_file_that_is_no_json_is_no_progress(submit: Submit) -> None:
    job = submit("import os\nopen(os.environ['MLHELPERS_PROGRESS_FILE'], 'w').write('{')")
    job.wait(30)

    assert job.progress == {}
