"""What is known of a batch while it runs, in a folder beside its answers, so that it can be killed at any moment.

| file | what |
|---|---|
| lock | held by the controller for as long as it lives: one alone writes to an output folder |
| request.json | what is predicted, and the shards that it was cut into |
| NNNNN.json | a shard that is finished: its counts |
| results, errors | of a shard that a worker has under way |

A shard's files are moved to their place before it is called finished: a shard that was killed between the two is done
again, and the same files take the place of the same files. The folder goes when all is done. A batch that was ended
before goes on from it when the same is submitted again, under whatever name.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError
from mlhelpers.serving.batch.shards import Shard
from mlhelpers.storage import write_aside

__all__ = ["Counts", "State"]

# the form of a name of what is being written: the commands of `mlhelpers storage` leave it out
_NAME = ".prediction.00000000.part"


@dataclass(frozen=True)
class Counts:
    """What came of a shard, or of all.

    Attributes:
        predictions: Instances that were predicted.
        errors: Instances that were not.
        seconds: How long a worker was at it.
        first_error: What was wrong with the first of them, or empty.
    """

    predictions: int = 0
    errors: int = 0
    seconds: float = 0.0
    first_error: str = ""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.predictions + other.predictions,
            self.errors + other.errors,
            self.seconds + other.seconds,
            self.first_error or other.first_error,
        )


class State:
    """The folder of a batch that is under way.

    Args:
        output: The batch's output folder.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / _NAME

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock if nobody else does; gives whether it is held. The folder is made where it is not there.

        Raises:
            DataError: The folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataError(
                f"{self.output} cannot be written: {error.strerror}. Choose a folder you may write to."
            ) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(lock)

    def is_held(self) -> bool:
        """Tell whether a batch is at work there."""
        if not self.folder.is_dir():
            return False
        with self.held() as mine:
            return not mine

    def request(self) -> dict[str, Any]:
        """Return what is predicted there, "job", "fingerprint" and "shards"; empty where nothing has begun."""
        try:
            found = json.loads((self.folder / "request.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def begin(self, job: str, fingerprint: str, shards: Sequence[Shard]) -> None:
        """Note what is predicted.

        Raises:
            DataError: It cannot be written.
        """
        request = {"job": job, "fingerprint": fingerprint, "shards": [asdict(shard) for shard in shards]}
        self._write("request.json", request)

    def shards(self) -> list[Shard]:
        """Return the shards that the input was cut into."""
        return [Shard(**fields) for fields in self.request().get("shards", [])]

    def finished(self) -> dict[int, Counts]:
        """Return the shards that are finished, by number."""
        found = {}
        for path in self.folder.glob("[0-9]*.json"):
            found[int(path.stem)] = Counts(**json.loads(path.read_bytes()))
        return found

    def under_way(self, number: int) -> tuple[Path, Path]:
        """Return the files that a worker writes a shard's answers and errors to."""
        return self.folder / f"{number:05}.results", self.folder / f"{number:05}.errors"

    def finish(self, number: int, of: int, counts: Counts) -> None:
        """Put a shard's two files in their place, then call it finished.

        Raises:
            DataError: They cannot be moved.
        """
        results, errors = self.under_way(number)
        try:
            os.replace(results, self.output / f"prediction.results-{number:05}-of-{of:05}")
            os.replace(errors, self.output / f"prediction.errors_stats-{number:05}-of-{of:05}")
        except OSError as error:
            raise DataError(f"The answers cannot be put into {self.output}: {error.strerror}.") from error
        self._write(f"{number:05}.json", asdict(counts))

    def clear(self) -> None:
        """Remove the folder: all is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        with write_aside(self.folder / name) as aside:
            aside.write_text(json.dumps(document), encoding="utf-8")
