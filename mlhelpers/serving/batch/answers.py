"""The two files that a shard becomes: a JSON object a line for what was predicted, and for what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

__all__ = ["Answers"]

_BUFFER = 1 << 20
_KEPT = 1000  # characters of what could not be predicted
_AS_LINE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


class Answers:
    """Writes the files of one shard.

    Args:
        results: The file for predictions.
        errors: The file for errors.
        source: The input file, for the errors.
        unit: What an instance is there: "line" or "record".
    """

    def __init__(self, results: Path, errors: Path, source: str, unit: str) -> None:
        self._results = results.open("wb", buffering=_BUFFER)
        self._errors = errors.open("wb")
        self._source = source
        self._unit = unit
        self.predictions = self.errors = 0
        self.first_error = ""
        self._waiting: list[tuple[int, dict[str, Any]]] = []

    def predicted(self, columns: Mapping[str, NDArray[Any]], keys: Sequence[Mapping[str, Any]]) -> None:
        """Write predictions, a float32 as the shortest number that means it.

        Args:
            columns: By output name: array (n, …).
            keys: For each instance {"key": …}, or nothing where it has none.
        """
        names = tuple(columns)
        arrays = [
            array.tolist() if array.dtype.kind == "O" else np.ascontiguousarray(array) for array in columns.values()
        ]
        dumps = orjson.dumps
        self._results.write(
            b"".join(
                dumps({**dict(zip(names, row, strict=True)), **key}, option=_AS_LINE)
                for key, row in zip(keys, zip(*arrays, strict=True), strict=True)
            )
        )
        self.predictions += len(keys)

    def refused(self, number: int, data: bytes | None, error: Exception) -> None:
        """Note an error; `settle` writes it.

        Args:
            number: Of the line or record in its file, from 1.
            data: What stands there, of which the beginning is kept where it is text; None where it could not be read.
            error: What is wrong with it.
        """
        text = str(error).removeprefix("instances[0]").lstrip(": ")
        entry: dict[str, Any] = {"file": self._source, self._unit: number, "error": text}
        if data is not None and self._unit == "line":
            entry["input"] = data[: 4 * _KEPT].decode("utf-8", "replace").rstrip("\r\n")[:_KEPT]
        self._waiting.append((number, entry))
        self.errors += 1

    def settle(self) -> None:
        """Write the errors of a batch in the order of the input: those that the model found come after the others."""
        for number, entry in sorted(self._waiting, key=itemgetter(0)):
            self._errors.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
            self.first_error = self.first_error or f"{self._source}, {self._unit} {number}: {entry['error']}"
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()
        self._results.close()
        self._errors.close()
