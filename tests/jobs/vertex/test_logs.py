"""A job's lines, by Google's own client for logs."""

from __future__ import annotations

import pytest
from vertex import Vertex
from vertex_jobs import MakeSpec, in_an_image

from mlhelpers import jobs
from mlhelpers.cloud import place
from mlhelpers.errors import CloudError
from mlhelpers.jobs import Pool
from mlhelpers.jobs.vertex.logs import log_entries, replica, task_on_the_wire

__all__ = ["in_an_image"]


@pytest.mark.parametrize(
    ("wire", "ours"),
    [
        ("workerpool0-0", "master-replica-0"),
        ("workerpool1-12", "worker-replica-12"),
        ("workerpool2-0", "ps-replica-0"),
        ("workerpool3-0", "evaluator-replica-0"),
        ("service", "service"),
    ],
)
def test_replicas_have_the_names_that_they_have_here(wire: str, ours: str) -> None:
    assert replica(wire) == ours
    assert task_on_the_wire(ours) == wire


def test_lines_come_once_with_their_replica_and_severity(vertex: Vertex, in_an_image: MakeSpec) -> None:
    pool = Pool("n1-standard-4", image_uri="mine")
    code = "import os\nprint('WARNING: nearly full') if 'chief' in os.environ['TF_CONFIG'] else print('two')"
    job = jobs.run(in_an_image("two_replicas", code, master=pool, workers=Pool("n1-standard-4", 1)))
    number = job.handle.rpartition("/")[2]

    first, cursor = log_entries(place(), number, {})
    again, after = log_entries(place(), number, cursor)

    assert ("WARNING", "master-replica-0") in [
        (line.severity, line.task) for line in first if "nearly full" in line.message
    ]
    assert {line.task for line in first} >= {"master-replica-0", "worker-replica-0", "service"}
    assert (again, after) == ([], cursor)
    assert job.tasks == ["master-replica-0", "worker-replica-0", "service"]
    newest, _ = log_entries(place(), number, {}, "service", newest=1)
    assert [line.message for line in newest] == ["the job is over: SUCCEEDED"]


def test_a_refused_log_names_the_role(vertex: Vertex) -> None:
    from faults import Fault, google_error, proxy

    from mlhelpers.settings import using

    with proxy(vertex.address) as wire, using(vertex_endpoint=wire.address):
        message = "Permission 'logging.logEntries.list' denied on resource"
        wire.add(Fault("POST", "entries:list", times=9, status=403, body=google_error(403, message)))
        with pytest.raises(CloudError, match=r"logging\.logEntries\.list is missing.*roles/logging\.viewer"):
            log_entries(place(), "1", {})
