"""One worker of a batch prediction: has the model in memory and works on the shards that its controller names.

Started as `python -m mlhelpers.serving.batch.worker FOLDER`, where FOLDER is the job's. The numbers of shards come in
on stdin, a line each; what has come of them goes out on stdout as lines of JSON. It ends with its controller: when
stdin is closed, or another process has become its parent.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mlhelpers.errors import MLHelpersError, ModelError, PredictionError
from mlhelpers.serving.batch.answers import Answers
from mlhelpers.serving.batch.inputs import address_of
from mlhelpers.serving.batch.reading import ShardReader, instance_reader, without_key
from mlhelpers.serving.batch.state import Counts, State
from mlhelpers.serving.model import load_model

__all__ = ["Worker", "main"]

_TELL_EVERY_S = 0.5
_Row = tuple[int, bytes, Any, dict[str, Any]]  # number in the file, what stands there, instance, its key


def main() -> None:
    """Work until stdin is closed."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints belongs into the log
    parent = os.getppid()

    def tell(**message: Any) -> None:
        if os.getppid() != parent:
            os._exit(1)  # the controller was killed: another one does this shard again
        print(json.dumps(message), file=told)

    try:
        worker = Worker(json.loads((Path(sys.argv[1]) / "launch.json").read_bytes())["prediction"])
        gc.collect()
        gc.freeze()  # the model stays: it need not be looked through again and again
        tell(ready=True)
        for line in sys.stdin:
            number = int(line)
            counts = worker.work(number, lambda share, done, number=number: tell(shard=number, share=share, done=done))
            tell(finished=number, counts=asdict(counts))
    except MLHelpersError as error:
        tell(failed=str(error))
    except OSError as error:
        tell(failed=f"The answers cannot be written: {error.strerror or error}.")


class Worker:
    """A model and what it is to predict.

    Args:
        request: What launch.json says of the prediction.

    Raises:
        ModelError: The model cannot be loaded any more.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._format: str = request["data_format"]
        self._batch_size: int = request["batch_size"]
        self._state = State(Path(request["output"]))
        self._shards = self._state.shards()
        self._model = load_model(request["model"], trust_pickle=request["trust_pickle"])
        self._signature = self._model.signature.signatures[request["signature_name"]]
        self._instance = instance_reader(self._signature, self._format, request["features"])

    def work(self, number: int, tell: Any) -> Counts:
        """Predict one shard and put its files in their place.

        Args:
            number: Of the shard.
            tell: Called now and then with the share that is done, 0 to 1, and how many instances that are.

        Raises:
            DataError: The input cannot be read any further, or the answers cannot be put in their place.
            OSError: The answers cannot be written.
        """
        began = told = time.monotonic()
        shard = self._shards[number]
        reader = ShardReader(shard, self._format)
        unit = "line" if self._format == "text" else "record"
        with Answers(*self._state.under_way(number), address_of(Path(shard.path)), unit) as answers:
            for batch in _batches(reader, self._batch_size):
                self._predict(self._rows(batch, answers), answers)
                answers.settle()
                if time.monotonic() - told >= _TELL_EVERY_S:
                    told = time.monotonic()
                    tell(reader.share, answers.predictions + answers.errors)
        counts = Counts(answers.predictions, answers.errors, time.monotonic() - began, answers.first_error)
        self._state.finish(number, len(self._shards), counts)
        return counts

    def _rows(self, batch: Iterable[tuple[int, bytes | Exception]], answers: Answers) -> list[_Row]:
        rows = []
        for number, data in batch:
            if isinstance(data, Exception):
                answers.refused(number, None, data)
                continue
            try:
                rows.append((number, data, *without_key(self._signature, self._instance(data))))
            except PredictionError as error:
                answers.refused(number, data, error)
        return rows

    def _predict(self, rows: list[_Row], answers: Answers) -> None:
        """Predict instances at once; where one is refused, each half by itself, down to the one that is."""
        if not rows:
            return
        try:
            columns = self._model.predict([row[2] for row in rows], self._signature.name)
        except (PredictionError, ModelError) as error:
            if len(rows) == 1:
                answers.refused(rows[0][0], rows[0][1], error)
                return
            middle = len(rows) // 2
            self._predict(rows[:middle], answers)
            self._predict(rows[middle:], answers)
        else:
            answers.predicted(columns, [row[3] for row in rows])


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


if __name__ == "__main__":
    main()
