"""The process behind a batch prediction on this machine: cuts the input, has workers predict it, counts.

Started by the engine as the trainer of the prediction's job. What it knows lies beside the answers (`state.py`), so
that it can be killed at any moment: started again, it goes on with the shards that are not finished.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, MLHelpersError
from mlhelpers.jobs.hints import PREDICTION_FAILED
from mlhelpers.serving.batch.inputs import changed_since, results_in
from mlhelpers.serving.batch.progress import Progress
from mlhelpers.serving.batch.shards import Shard, cut
from mlhelpers.serving.batch.state import Counts, State
from mlhelpers.serving.batch.workers import WorkerDiedError, Workers
from mlhelpers.storage import write_aside

__all__ = ["OUTPUT_FILE", "Controller", "main"]

OUTPUT_FILE = "prediction_output.json"  # in the job's folder: what the description shows
_FAILED_FOR_GOOD = 65  # EX_DATAERR: the engine does not start what ends so again
_PATIENCE_S = 5.0  # for a controller before this one that is about to end


def main() -> None:
    """Run the prediction of the job whose folder is the first argument, and exit with a code."""
    try:
        Controller(Path(sys.argv[1])).run()
    except MLHelpersError as error:
        print(f"{PREDICTION_FAILED} {error}", file=sys.stderr, flush=True)
        sys.exit(_FAILED_FOR_GOOD)
    except WorkerDiedError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(1)


class Controller:
    """One batch prediction, from its first shard or from where a process before this one was killed.

    Args:
        folder: The folder of the job; its launch.json says what is predicted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._request: dict[str, Any] = json.loads((folder / "launch.json").read_bytes())["prediction"]
        self._state = State(Path(self._request["output"]))

    def run(self) -> None:
        """Predict what is left to predict.

        Raises:
            DataError: An input or the output folder is not what it was, or cannot be read or written; or not a single
                instance could be predicted.
        """
        output = self._folder / OUTPUT_FILE
        if output.exists():  # killed at the very end
            self._state.clear()
        else:
            self._predict(output)
        self._check(json.loads(output.read_bytes()))

    def _predict(self, output: Path) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with self._state.held() as mine:
                if mine:
                    self._predict_alone(output)
                    return
            if time.monotonic() > deadline:
                who = self._state.request().get("job", "another job")
                raise DataError(f"{self._state.output} is being filled by {who}. Wait for its end, or cancel it.")
            time.sleep(0.1)

    def _predict_alone(self, output: Path) -> None:
        shards = self._shards()
        finished = self._state.finished()
        if finished:
            print(f"{len(finished)} of {len(shards)} shards are finished already", flush=True)
        left = [number for number in range(len(shards)) if number not in finished]
        progress = Progress(shards, finished)
        if left:
            count = min(self._request["workers"], len(left))
            workers = Workers(self._folder, count, max(1, self._request["cores"] // count))
            try:
                for message in workers.run(left):
                    progress.heard(message)
            finally:
                workers.close()
        progress.close()
        self._conclude(progress.total, output)
        self._state.clear()

    def _shards(self) -> list[Shard]:
        """Return the shards as they were cut when the prediction began, so that their files keep their names."""
        if changed := changed_since(self._request["inputs"]):
            raise DataError(f"{changed} was changed since the prediction was submitted. Submit it again.")
        known = self._state.request()
        is_same = known.get("fingerprint") == self._request["fingerprint"]
        if not is_same and (there := results_in(self._state.output)):
            raise DataError(f"{self._state.output} holds the answers of another batch, as {there[0]}. Choose another.")
        if not is_same:
            paths = [Path(path) for path, _, _ in self._request["inputs"]]
            shards = cut(paths, self._request["data_format"], self._request["workers"])
            self._state.begin(self._folder.name, self._request["fingerprint"], shards)
        else:  # from now on it is this job's
            self._state.begin(self._folder.name, known["fingerprint"], self._state.shards())
        return self._state.shards()

    def _conclude(self, total: Counts, output: Path) -> None:
        values = {
            "outputPath": self._request["output_path"],
            "predictionCount": str(total.predictions),  # the API's int64 is text in JSON
            "errorCount": str(total.errors),
            "nodeHours": round(total.seconds / 3600, 6),
        }
        if total.errors:
            values["firstError"] = total.first_error
        with write_aside(output) as aside:
            aside.write_text(json.dumps(values), encoding="utf-8")

    def _check(self, values: dict[str, Any]) -> None:
        predictions, errors = int(values["predictionCount"]), int(values["errorCount"])
        if errors and not predictions:
            raise DataError(
                f"none of the {errors:,} instances could be predicted. All are told in "
                f"{self._state.output}/prediction.errors_stats-*\nThe first: {values['firstError']}"
            )
        print(f"{predictions:,} predicted, {errors:,} not; the answers are in {self._state.output}", flush=True)


if __name__ == "__main__":
    main()
