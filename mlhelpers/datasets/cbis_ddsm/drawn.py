"""The phantoms as a data set: drawn once, then kept in memory and in the local store."""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from mlhelpers.datasets.base import Part
from mlhelpers.datasets.cbis_ddsm import phantoms
from mlhelpers.settings import home_folder
from mlhelpers.storage import write_aside

__all__ = ["part"]

_log = logging.getLogger(__name__)


@cache
def part(name: str) -> Part:
    """Return the phantoms of a part, drawn on first use (a few seconds) and kept in the local store.

    Args:
        name: "train" (400 pictures) or "test" (120).

    Returns:
        `images` (n, 128, 95) uint16, `labels` (n,) int64, `case` and `patient` (n,) text; not to be written to.

    Raises:
        UsageError: There is no such part.
        DataError: The local store cannot be written.
    """
    path = home_folder("cache", "cbis_ddsm") / f"phantoms-{name}-{_version()}.npz"
    kept = _read(path) if path.is_file() else None
    if kept is None:
        images, labels, cases, patients = phantoms.arrays(name)
        kept = {"images": images, "labels": labels, "case": np.array(cases), "patient": np.array(patients)}
        with write_aside(path) as aside, aside.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **kept)
    for column in kept.values():
        column.flags.writeable = False  # the next caller gets the same arrays
    return kept


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """Return what an earlier process has drawn, or None where it cannot be read: then it is drawn again."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in ("images", "labels", "case", "patient")}
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        _log.warning("%s cannot be read (%s); the phantoms are drawn again.", path, error)
        return None


def _version() -> str:
    """Return a word that changes when the drawing's code or numpy does, so that nothing outdated is taken."""
    code = Path(phantoms.__file__).read_bytes() + np.__version__.encode()
    return hashlib.sha256(code).hexdigest()[:12]
