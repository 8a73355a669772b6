"""The local engine: jobs on this machine that outlive the process which submitted them.

What each file does, from the outside in:

| file | what |
|---|---|
| engine | the `Backend`: plan, submit, state, log, cancel, list |
| launch | the request that a spec becomes, and the folder that holds a job |
| cluster | which replicas a scale tier becomes here, and what each is told of the others |
| environment | the variables and arguments that a trainer finds |
| foreground | a trainer in this terminal, for `mlhelpers local train` |
| supervisor | the process that stands behind one job |
| replica | one trainer's process, started, watched, started again |
| nursery | a process that has the supervisor's code imported, forked for each trial of a study |
| warm | a process that has the frameworks imported, forked for each trial of a study |
| queue | who starts next |
| lost, outcome | jobs whose supervisor is gone; ends that the store had no room for |
| store, database | what is known of all jobs, in SQLite, also on a full disk |
| logs | one file for each replica, and when its lines were printed |
| processes, identity | the processes of a job, found and stopped for certain |

The supervisor starts from this package, so importing it costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlhelpers.jobs.base import Backend

__all__ = ["backend"]


def backend() -> Backend:
    """Return the local backend over the store of the home in force."""
    from mlhelpers.jobs.local.engine import LocalBackend
    from mlhelpers.settings import home_folder

    return LocalBackend(home_folder("jobs"))
