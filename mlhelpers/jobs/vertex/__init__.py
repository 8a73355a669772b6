"""Vertex AI as a place to run: the same spec becomes a CustomJob.

Planning is offline, needs no account and not even Google's packages. What each file does, from the outside in:

| file | what |
|---|---|
| engine | the `Backend`: plan, submit, state, log, cancel, list |
| request | the CustomJob that a spec becomes, and back |
| machines | the old scale tiers, and machines of one's own, as worker pools of today |
| package, needs | the code as it is sent, and what it needs beside the image |
| start | the program that a container starts with |
| checks | the bucket, and the bill, before money is spent |
| client | custom jobs over the wire: made once, never twice |
| description | a CustomJob as our Job resource |
| logs | what a job printed, from Cloud Logging |

None of this was run against Google's own service: requests are checked with Google's own classes, and everything over
the wire with Google's own clients against `mlhelpers emulator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlhelpers.jobs.base import Backend

__all__ = ["backend"]


def backend() -> Backend:
    """Return the backend for the project and region that the settings name."""
    from mlhelpers.jobs.vertex.engine import VertexBackend

    return VertexBackend()
