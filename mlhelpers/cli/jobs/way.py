"""How a job, or the study that its hyperparameters make it, goes from its plan to a running job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mlhelpers.jobs import Bill, Job, JobSpec, Plan

__all__ = ["Way", "way_of"]


class Way(NamedTuple):
    """A plan, and how it is priced, submitted, and found again as a job."""

    plan: Plan
    bill: Callable[[float | None], Bill | None]
    submit: Callable[[], Sequence[str] | None]
    attach: Callable[[], Job]


def way_of(spec: JobSpec, backend: str | None) -> Way:
    """Return the way of a job, or of the study that its hyperparameters make it.

    Args:
        spec: What to run.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in it cannot work there.
    """
    from mlhelpers import jobs as room

    if "hyperparameters" in spec.cloud:
        from mlhelpers import tuning

        studies = tuning.place(backend)
        study = studies.plan(tuning.study_of(spec))
        submit_study, attach_study = partial(studies.submit, study), partial(studies.attach, spec.name)
        return Way(study, partial(studies.bill, study), submit_study, attach_study)
    place = room.backend(backend)
    plan = place.plan(spec)
    return Way(plan, partial(place.bill, plan), partial(place.submit, plan), partial(room.Job, spec.name, place))
