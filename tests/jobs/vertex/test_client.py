"""Google's client over a wire that does harm: no job twice, no handle lost, no wait ended by a lost answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from faults import Fault, Proxy, google_error, proxy
from vertex import Vertex
from vertex_jobs import MakeSpec, in_an_image

from mlhelpers import jobs
from mlhelpers.cloud import ledger, refusals
from mlhelpers.errors import CloudError, JobError, UnreachableError
from mlhelpers.jobs import JobState
from mlhelpers.jobs.vertex import client
from mlhelpers.settings import using

__all__ = ["in_an_image"]

_CREATE = ("POST", r"/customJobs(\?|$)")
_READ = ("GET", r"/customJobs")


@pytest.fixture
def wire(vertex: Vertex) -> Iterator[Proxy]:
    """Put the proxy in front of the emulator, and point the settings at it."""
    with proxy(vertex.address) as made, using(vertex_endpoint=made.address):
        yield made


class Clock:
    """Time that passes as fast as somebody waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waited = 0.0
        real, self._sleep = time.monotonic, time.sleep
        monkeypatch.setattr(time, "monotonic", lambda: real() + self.waited)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.waited += seconds
        self._sleep(min(seconds, 0.01))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _named(name: str) -> list[str]:
    return [row["jobId"] for row in jobs.list_jobs() if row["jobId"] == name]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("answer_lost", {"cut": "after"}),
        ("answer_torn", {"cut": "answering"}),
        ("never_came", {"cut": "before"}),
        ("unavailable", {"status": 503}),
        ("late", {"status": 504}),
    ],
)
def test_a_submission_whose_answer_is_lost_makes_one_job(
    wire: Proxy, clock: Clock, in_an_image: MakeSpec, name: str, fault: dict[str, object]
) -> None:
    wire.add(Fault(*_CREATE, **fault))  # type: ignore[arg-type]

    job = jobs.submit(in_an_image(name))

    assert wire.count(*_CREATE) == 1
    assert _named(name) == [name]
    (entry,) = ledger.entries()
    assert entry.name.rpartition("/")[2] == job.handle.rpartition("/")[2]
    assert job.wait(60, progress=False) is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("name", "status", "message", "expected"),
    [
        (
            "denied",
            403,
            "Permission 'aiplatform.customJobs.create' denied on resource '//x' (or it may not exist).",
            r"permission aiplatform\.customJobs\.create is missing.*roles/aiplatform\.user",
        ),
        ("quota", 429, "Quota exceeded for custom_model_training_cpus", "quota does not suffice to start the job"),
        ("exists", 409, "exists", "There is one of that name already"),
        ("unknown_project", 404, "Project not found", "Look at project and region"),
    ],
)
def test_a_refusal_says_what_to_do_and_leaves_nothing_behind(
    wire: Proxy, clock: Clock, in_an_image: MakeSpec, name: str, status: int, message: str, expected: str
) -> None:
    wire.add(Fault(*_CREATE, times=1000, status=status, body=google_error(status, message)))

    with pytest.raises(CloudError, match=expected):
        jobs.submit(in_an_image(name))

    assert wire.count(*_CREATE) == 0
    assert ledger.entries() == []


def test_a_service_that_is_away_for_long_leaves_a_line_in_the_ledger(
    wire: Proxy, clock: Clock, in_an_image: MakeSpec
) -> None:
    wire.add(Fault(*_CREATE, times=10_000, status=503))

    with pytest.raises(UnreachableError, match=r"may have been made all the same.*jobs list --backend vertex"):
        jobs.submit(in_an_image("perhaps"))

    (entry,) = ledger.entries()
    assert (entry.title, entry.name) == ("perhaps", "")


def test_an_hour_without_a_connection_does_not_end_a_wait(
    wire: Proxy, clock: Clock, in_an_image: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_LONGEST_WAIT_S", 300.0)  # fewer questions in that hour than a person would have
    monkeypatch.setattr(client, "_PATIENCE_S", 600.0)
    job = jobs.submit(in_an_image("outage"))
    begun = clock.waited

    def come_back() -> None:
        if clock.waited - begun > 3600:
            wire.clear()

    wire.add(Fault(*_READ, times=1_000_000, cut="before", do=come_back))
    state = job.wait(progress=False)

    assert state is JobState.SUCCEEDED
    assert clock.waited - begun > 3600
    assert _named("outage") == ["outage"]


def test_following_a_log_goes_on_after_a_lost_connection(wire: Proxy, clock: Clock, in_an_image: MakeSpec) -> None:
    job = jobs.submit(in_an_image("told", "print('one')\nprint('two')"))
    wire.add(Fault(*_READ, nth=2, times=20, cut="before"), Fault("POST", "entries:list", times=20, status=503))

    messages = [entry.message for entry in job.follow("master-replica-0")]

    assert messages[-2:] == ["one", "two"]


def test_a_killed_submission_is_still_known(
    wire: Proxy, in_an_image: MakeSpec, child_environment: dict[str, str]
) -> None:
    spec = in_an_image("killed")
    children: list[subprocess.Popen[str]] = []

    def kill(answer: bytes) -> bytes:
        children[0].send_signal(signal.SIGKILL)
        return answer

    wire.add(Fault(*_CREATE, damage=kill))
    code = (
        "from mlhelpers import jobs, use\n"
        "from mlhelpers.jobs import JobSpec, Pool\n"
        f"jobs.submit(JobSpec('killed', {spec.module!r}, scale_tier='CUSTOM', env={dict(spec.env)!r},\n"
        "    master=Pool('n1-standard-4', image_uri='mine')), 'vertex')\n"
    )
    place = {
        "MLHELPERS_VERTEX_ENDPOINT": wire.address,
        "GOOGLE_CLOUD_PROJECT": "test-project",
        "MLHELPERS_BUCKET": "staging",
    }
    environment = child_environment | place | {"STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"]}
    children.append(subprocess.Popen([sys.executable, "-c", code], env=environment, text=True))
    assert children[0].wait(90) == -signal.SIGKILL

    (entry,) = ledger.entries()
    assert (entry.title, entry.name) == ("killed", "")
    assert _named("killed") == ["killed"]
    with pytest.raises(JobError, match="'killed' is taken"):
        jobs.submit(spec)
    assert jobs.attach("killed").wait(60, progress=False) is JobState.SUCCEEDED


def test_a_job_that_is_gone_is_not_there(wire: Proxy, clock: Clock, in_an_image: MakeSpec) -> None:
    job = jobs.submit(in_an_image("gone"))
    job.wait(60, progress=False)
    wire.add(Fault("GET", r"/customJobs/\d+", times=100, status=404))

    with pytest.raises(JobError, match="no job 'gone'"):
        _ = job.state


def test_cancelling_a_job_that_ends_meanwhile_is_no_error(wire: Proxy, clock: Clock, in_an_image: MakeSpec) -> None:
    job = jobs.submit(in_an_image("ends", "import time\ntime.sleep(1)"))

    def until_it_is_over() -> None:
        with using(vertex_endpoint=wire.server):
            jobs.attach(job.handle).wait(progress=False)  # by the compressed clock any limit is soon over

    wire.add(Fault("POST", ":cancel", status=400, do=until_it_is_over, body=google_error(400, "it has ended")))
    job.cancel()

    assert job.state is JobState.SUCCEEDED


def test_labels_of_a_job_stay_and_that_is_said(vertex: Vertex, in_an_image: MakeSpec) -> None:
    job = jobs.run(in_an_image("labelled", labels={"team": "blue"}))

    with pytest.raises(JobError, match=r"Vertex AI lets nobody change a custom job.*--labels"):
        job.relabel({"team": "red"})
    assert job.describe()["labels"] == {"team": "blue"}


def test_lists_have_all_pages(wire: Proxy, monkeypatch: pytest.MonkeyPatch, in_an_image: MakeSpec) -> None:
    monkeypatch.setattr(client, "_SHOWN", 1)
    names = [f"page_{number}" for number in range(3)]
    for name in names:
        jobs.submit(in_an_image(name, "print(1)"))
    wire.clear()

    found = [row["jobId"] for row in jobs.list_jobs()]

    assert [name for name in found if name in names] == names[::-1]
    assert wire.count("GET", "pageToken") >= 2
    for name in names:
        jobs.attach(name).wait(60, progress=False)
