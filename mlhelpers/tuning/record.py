"""What every place to run lets be read of a study: `Record`, which `Study` and its panel stand on.

A place is a module named in `tuning.BACKENDS` with five functions: `plan(study)` makes the request, `bill(plan)` says
what it costs, `submit(plan)` starts it and returns what could not be checked, `attach(name)` finds the study's job, and
`record(job)` opens its record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlhelpers.tuning.results import Trial
from mlhelpers.tuning.spec import StudySpec

__all__ = ["Record"]


@dataclass(frozen=True)
class Record:
    """One study as its place knows it. A thread of its own opens a record of its own.

    Attributes:
        spec: What the study is.
        read: Returns the trials begun by now, in the order of their numbers.
    """

    spec: StudySpec
    read: Callable[[], list[Trial]]
