"""The ledger: what was made in the cloud from here, one file a thing in `<home>/ledger`, so that nothing is forgotten.

A line is written before the request is sent, so that also what a lost connection left behind is looked for; it gets
its resource name when that is known, and goes when the thing is known to be gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError
from mlhelpers.settings import current, home_folder

__all__ = ["KINDS", "Entry", "entries", "forget", "intend", "made"]

# kind -> whether it costs money for as long as it is there; deleted in this order
KINDS: Mapping[str, bool] = {
    "endpoint": True,
    "custom_job": True,
    "tuning_job": True,
    "batch_job": True,
    "model": False,
    "object": True,
    "bucket": True,
}


@dataclass(frozen=True)
class Entry:
    """One thing that was made, or asked for.

    Attributes:
        kind: A key of `KINDS`.
        mark: This submission's own mark, which the thing carries as a label or in its name.
        project: Whose it is.
        region: Where it is.
        title: What a person calls it: the job's name, the model's.
        name: The resource's full name, or gs:// address; empty until it is known.
        endpoint: The address that was asked, where not Google's own.
        labels: As they were asked for.
        time: When, RFC 3339 in UTC.
    """

    kind: str
    mark: str
    project: str
    region: str
    title: str
    name: str = ""
    endpoint: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    time: str = ""

    @property
    def is_billable(self) -> bool:
        """Tell whether it costs money for as long as it is there."""
        return KINDS[self.kind]


def intend(
    kind: str,
    project: str,
    region: str,
    title: str,
    endpoint: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Entry:
    """Note what is about to be made; return the entry with its mark.

    Raises:
        DataError: The ledger cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    entry = Entry(kind, secrets.token_hex(8), project, region, title, "", endpoint, dict(labels or {}), now)
    _write(entry)
    return entry


def made(entry: Entry, name: str) -> Entry:
    """Note the resource name under which the thing is there now.

    Raises:
        DataError: The ledger cannot be written.
    """
    entry = replace(entry, name=name)
    _write(entry)
    return entry


def forget(entry: Entry) -> None:
    """Take a thing off the ledger that is known to be gone, or never to have come."""
    _path(entry).unlink(missing_ok=True)


def entries() -> list[Entry]:
    """Return what is on the ledger, oldest first.

    Raises:
        DataError: A file of it is damaged.
    """
    folder = current().home / "ledger"
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            values: dict[str, Any] = json.loads(path.read_text("utf-8"))
            found.append(Entry(**values))
        except FileNotFoundError:  # another process has just taken it off
            continue
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"The ledger's file {path} cannot be read ({error}). Look at it, then move it away."
            ) from error
    return sorted(found, key=lambda entry: entry.time)


def _path(entry: Entry) -> Path:
    digest = hashlib.sha256(f"{entry.kind} {entry.mark}".encode()).hexdigest()[:16]
    return home_folder("ledger") / f"{digest}.json"


def _write(entry: Entry) -> None:
    path = _path(entry)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        aside.write_text(json.dumps(asdict(entry), indent=1), "utf-8")
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise DataError(
            f"The ledger {path.parent} cannot be written: {error.strerror}. Nothing was started."
        ) from error
