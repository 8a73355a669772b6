"""How a job ended, and the place kept for noting it on a full disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["OUTCOME_BYTES", "Outcome", "read", "write_in_place"]

OUTCOME_BYTES = 16384  # written when the job is made, so that its end can be noted on a full disk


class Outcome(NamedTuple):
    """How a job ended.

    Attributes:
        state: The final state.
        message: What to tell the user, or None.
        exit_code: The first replica's (negative: a signal), or None where that is not known.
    """

    state: str
    message: str | None = None
    exit_code: int | None = None


def write_in_place(path: Path, outcome: Outcome) -> None:
    """Overwrite the bytes that are there already: this needs no room on the disk.

    Raises:
        OSError: The file cannot be written.
    """
    values = outcome._asdict()
    text = json.dumps(values).encode()
    if len(text) > OUTCOME_BYTES:
        text = json.dumps(values | {"message": (outcome.message or "")[: OUTCOME_BYTES // 12]}).encode()
    with open(path, "r+b") as file:
        file.write(text.ljust(OUTCOME_BYTES))
        os.fsync(file.fileno())


def read(path: Path) -> Outcome | None:
    """Return the end that was noted, or None where nothing was."""
    try:
        found = json.loads(path.read_bytes())
        return Outcome(found["state"], found["message"], found["exit_code"])
    except (OSError, ValueError, KeyError):
        return None
