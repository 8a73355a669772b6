"""After the cloud: what was made there from here, deleted on confirmation, and what is left, with the reason.

    for found in cleanup.find():
        print(cleanup.delete(found))

What was made stands on the ledger (`<home>/ledger`) from before its request was sent until it is known to be gone, so
that this can be ended at any moment and begun again. Taught nowhere but at the end of each notebook that makes things
in the cloud, with `reminder()`.

May import `errors`, `settings`, `storage`, `cloud`, `jobs` and `serving`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mlhelpers.cloud import ledger, place
from mlhelpers.cloud.ledger import KINDS, Entry
from mlhelpers.cloud.resources import FOUND_BY_MARK, answers, place_of
from mlhelpers.cloud.resources import delete as delete_resource
from mlhelpers.cloud.resources import find as find_resources
from mlhelpers.errors import CloudError

__all__ = ["Outcome", "delete", "find", "reminder"]

_SHOWN = 5  # things that the reminder names
_MAY_STILL_COME_S = 300.0  # a request that is tried again is given up long before


@dataclass(frozen=True)
class Outcome:
    """What became of one thing.

    Attributes:
        entry: The thing.
        state: "deleted"; "gone", which it was already; or "left".
        reason: Why it is left, or how it is known to be gone; may be empty.
    """

    entry: Entry
    state: str
    reason: str = ""


def find(
    everything: bool = False, older_than_s: float | None = None, labels: Mapping[str, str] | None = None
) -> list[Entry]:
    """Return what was made in the cloud from here, in the order in which it is to be deleted: billable first.

    Args:
        everything: Also what carries our mark in the project and region of the settings and stands on no ledger here;
            Google's service is asked for it.
        older_than_s: Only what was made so many seconds ago, or earlier.
        labels: Only what was given all of these labels.

    Raises:
        UsageError: Everything is asked for, and no project is set.
        DataError: The ledger is damaged.
        CloudError: Google's service refused, or did not answer.
    """
    found = ledger.entries()
    if everything:
        known = {entry.name for entry in found} | {(entry.kind, entry.mark) for entry in found}
        where = place()
        marked = [entry for kind in FOUND_BY_MARK for entry in find_resources(kind, where)]
        found += [one for one in marked if one.name not in known and (one.kind, one.mark) not in known]
    now = datetime.now(UTC)
    chosen = [
        entry
        for entry in found
        if (older_than_s is None or _age_s(entry, now) >= older_than_s)
        and all(entry.labels.get(key) == value for key, value in (labels or {}).items())
    ]
    order = list(KINDS)
    return sorted(chosen, key=lambda entry: (order.index(entry.kind), entry.time))


def delete(entry: Entry) -> Outcome:
    """Delete one thing, and take it off the ledger when it is gone.

    Endpoints are undeployed and jobs cancelled before; a bucket is deleted only where it is empty. What an emulator
    has made that runs no more counts as gone: it costs nothing.

    Args:
        entry: As `find` gave it.

    Raises:
        MissingExtraError: Google's packages are not installed.
    """
    where = place_of(entry)
    if not answers(where):
        ledger.forget(entry)
        return Outcome(entry, "gone", f"The emulator at {where.endpoint} has ended; what it held cost nothing.")
    try:
        if not entry.name:
            entry, reason = _identified(entry)
            if not entry.name:
                return Outcome(entry, "left" if reason else "gone", reason or "It never came to be.")
        was_there = delete_resource(entry)
    except CloudError as error:
        return Outcome(entry, "left", str(error))
    ledger.forget(entry)
    return Outcome(entry, "deleted" if was_there else "gone", "" if was_there else "It was deleted before.")


def reminder() -> str:
    """Return the line for the end of a notebook that makes things in the cloud: what is still billed, and the command.

    What stands on the ledger counts; a job that has ended is billed no more, and stands there until it is deleted.

    Raises:
        DataError: The ledger is damaged.
    """
    costly = [entry for entry in find() if entry.is_billable]
    if not costly:
        return "Nothing that was made in the cloud from here is left that costs money."
    count = f"{len(costly)} thing{'' if len(costly) == 1 else 's'} made in the cloud from here"
    cost = "in an emulator, which costs nothing" if all(place_of(entry).is_here for entry in costly) else "still billed"
    return f"{count}, {cost}: {_listed(costly)}. Delete with:  mlhelpers cleanup"


def _identified(entry: Entry) -> tuple[Entry, str]:
    """Return a thing whose creation nobody saw end with its name, found by its mark; else a reason to leave it."""
    if entry.kind not in FOUND_BY_MARK:
        return replace(entry, name=f"gs://{entry.title.removeprefix('gs://')}"), ""  # their titles are addresses
    found = next(find_resources(entry.kind, place_of(entry), entry.mark), None)
    if found is not None:
        return ledger.made(entry, found.name), ""
    age = _age_s(entry, datetime.now(UTC))
    if age < _MAY_STILL_COME_S:
        return entry, f"It was asked for {age:.0f} s ago and is not there yet. Run this again in some minutes."
    ledger.forget(entry)
    return entry, ""


def _age_s(entry: Entry, now: datetime) -> float:
    """Return how long ago a thing was made; one without a time is as old as can be."""
    return (now - datetime.fromisoformat(entry.time)).total_seconds() if entry.time else float("inf")


def _listed(found: Sequence[Entry]) -> str:
    names = [f"{entry.kind.replace('_', ' ')} {entry.title}" for entry in found[:_SHOWN]]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(names) + more
