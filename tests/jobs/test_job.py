"""Waiting for a job, following its log, and how it shows itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs import JobState

Submit = Callable[..., jobs.Job]
Until = Callable[..., None]

_FIRST = "master-replica-0"
_GOES_ON = "import time\nprint('started')\ntime.sleep(60)"


def _followed(job: jobs.Job) -> list[str]:
    return [entry.message for entry in job.follow(_FIRST)]


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

    delays = [time.time() - float(entry.message) for entry in job.follow(_FIRST)]

    assert len(delays) == 5
    assert sorted(delays)[2] < 0.2, delays


def test_following_ends_with_the_job_and_gives_a_last_line_without_an_end(submit: Submit) -> None:
    job = submit("import sys\nprint('one')\nsys.stdout.write('two')")

    assert _followed(job) == ["one", "two"]


def test_a_log_is_read_from_its_start_or_near_its_end(submit: Submit) -> None:
    job = submit("print('one')\nprint('two')\nprint('three')")
    job.wait(30)

    assert _followed(job) == ["one", "two", "three"]
    assert job.log(4) == "two\nthree\n"
    assert job.log(-6) == "three\n"
    assert job.log(-10_000) == "one\ntwo\nthree\n"


def test_following_tells_what_the_engine_did_too(submit: Submit) -> None:
    job = submit("print('one')")

    told = [(entry.task, entry.message) for entry in job.follow()]

    assert told == [
        ("service", "starting master-replica-0"),
        (_FIRST, "one"),
        ("service", "the job is over: SUCCEEDED"),
    ]
    assert job.tasks == [_FIRST, "service"]


def test_a_line_has_the_time_at_which_it_was_printed_also_when_read_late(submit: Submit) -> None:
    job = submit("import time\nfor _ in range(4):\n    print(time.time())\n    time.sleep(0.4)")
    job.wait(30)
    time.sleep(0.5)

    entries = list(job.follow(_FIRST))

    late = [datetime.fromisoformat(entry.time).timestamp() - float(entry.message) for entry in entries]
    assert len(late) == 4
    assert min(late) > -0.01
    assert sorted(late)[1] < 0.3, late


def test_severity_is_read_from_the_line(submit: Submit) -> None:
    job = submit("print('WARNING:root:nearly full')\nprint('fine')")

    assert [entry.severity for entry in job.follow(_FIRST)] == ["WARNING", "INFO"]


def test_a_task_that_is_not_there_is_refused_with_those_that_are(submit: Submit) -> None:
    job = submit("print('one')")
    job.wait(30)

    with pytest.raises(UsageError, match=r"There is no task 'worker-replica-0'.*Known: master-replica-0, service"):
        list(job.follow("worker-replica-0"))


def test_a_line_that_a_bar_rewrote_is_given_as_it_stood_at_last(submit: Submit) -> None:
    job = submit("import sys\nsys.stdout.write('10%\\r50%\\r\\x1b[32m100%\\x1b[0m\\r\\n')\nprint('done')")

    assert _followed(job) == ["100%", "done"]


def test_empty_lines_are_given_once_each_also_while_the_job_runs(submit: Submit) -> None:
    job = submit("import time\nprint('one')\nprint('')\ntime.sleep(0.5)\nprint('two')\nprint('')")

    assert _followed(job) == ["one", "", "two", ""]


def test_bytes_that_are_no_text_do_not_stop_the_log(submit: Submit) -> None:
    job = submit("import sys\nsys.stdout.buffer.write(b'\\xff\\xfe\\nafter\\n')")

    assert _followed(job) == ["\ufffd\ufffd", "after"]


def test_a_line_without_end_is_given_in_pieces(submit: Submit) -> None:
    job = submit("import sys\nsys.stdout.write('x' * 300_000)")
    job.wait(30)

    assert "".join(_followed(job)) == "x" * 300_000


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
    assert re.fullmatch(r"Job local://first  CANCELLED  \d+:\d\d", repr(job).splitlines()[0])  # as the panel says it
    assert "cancel first" not in repr(job)


def test_a_failed_job_shows_why_and_its_page_is_safe(submit: Submit) -> None:
    job = submit("raise SystemExit('<b>')", max_restarts=0, max_retries=0)
    with pytest.raises(JobError):
        job.wait(30)

    assert "The trainer exited with code 1." in repr(job)
    page = job._repr_html_()
    assert 'data-state="FAILED"' in page
    assert "The trainer exited with code 1." in page
    assert "&lt;b&gt;" in page


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
    assert job.describe()["localOutput"]["replicas"][0]["progress"]["metrics"] == {"accuracy": 0.5}


def test_a_progress_file_that_is_no_json_is_no_progress(submit: Submit) -> None:
    job = submit("import os\nopen(os.environ['MLHELPERS_PROGRESS_FILE'], 'w').write('{')")
    job.wait(30)

    assert job.progress == {}
