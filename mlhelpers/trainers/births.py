"""Births as every babyweight trainer reads them and as its exported model is asked about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.babyweight import FEATURES, VOCABULARY, find_shards, read_csv
from mlhelpers.errors import DataError, UsageError
from mlhelpers.storage import bucket_path, local_path
from mlhelpers.trainers.export import number, text
from mlhelpers.trainers.flags import flag

__all__ = ["BirthFiles", "Births", "measure", "read_births", "signature", "table"]

_IN_BUCKET = Path("babyweight", "preproc")

Births = dict[str, NDArray[Any]]
"""Columns as `read_csv` gives them: numbers float32, words as their places in `VOCABULARY`."""


@dataclass(frozen=True)
class BirthFiles:
    """The flags of every babyweight trainer."""

    bucket: str = flag("", help="bucket or folder that holds babyweight/preproc/ with the shards")
    data_dir: str = flag("", help="folder or gs:// address of the shards themselves, in place of --bucket")
    output_dir: str = flag("", help="folder for checkpoints, events and export; --job-dir where it is not given")
    job_dir: str = flag("", help="what the service passes to every trainer")
    pattern: str = flag("of", help="what a shard's name holds; 00000-of- takes the first shard only")


def read_births(files: BirthFiles) -> list[Births]:
    """Read training and evaluation rows, and where there are shards for them, validation rows.

    Without these the evaluation rows stand in for them, as in the original: a study then chooses by the very rows on
    which its choice is judged.

    Args:
        files: What the flags say.

    Returns:
        Two parts or three.

    Raises:
        UsageError: Not exactly one of bucket and data_dir is given.
        DataError: Shards are missing or damaged.
    """
    folder = _data_folder(files)
    shards = [find_shards(folder, "train", files.pattern), find_shards(folder, "eval", files.pattern)]
    if list(folder.glob("validation.csv*")):
        shards.append(find_shards(folder, "validation", files.pattern))
    return [read_csv(paths) for paths in shards]


def _data_folder(files: BirthFiles) -> Path:
    if bool(files.bucket) == bool(files.data_dir):
        raise UsageError(
            "Give one of --bucket, which holds babyweight/preproc/, and --data_dir, the folder of the shards; "
            f"given were {files.bucket!r} and {files.data_dir!r}. To make the shards:  "
            "mlhelpers data prepare babyweight --output-dir data/runs/babyweight"
        )
    folder = local_path(files.data_dir) if files.data_dir else bucket_path(files.bucket) / _IN_BUCKET
    if not folder.is_dir():
        target = files.data_dir or f"gs://{files.bucket}/babyweight/preproc"
        raise DataError(
            f"{folder} does not exist. Make the shards first:  "
            f"mlhelpers data prepare babyweight --output-dir {target.replace('gs://gs://', 'gs://')}"
        )
    return folder


def table(births: Births, words: bool) -> NDArray[Any]:
    """Return the four features side by side, in the order in which a request has them.

    Args:
        births: The columns.
        words: Give is_male and plurality as texts, in a table of objects; else as their places in `VOCABULARY`, in one
            of float32.

    Returns:
        (n, 4).
    """
    if not words:
        return np.stack([births[name].astype(np.float32) for name in FEATURES], axis=1)
    result = np.empty((len(births["weight_pounds"]), len(FEATURES)), object)
    for k, name in enumerate(FEATURES):
        result[:, k] = np.array(VOCABULARY[name], object)[births[name]] if name in VOCABULARY else births[name]
    return result


def measure(predicted: NDArray[Any], pounds: NDArray[Any]) -> dict[str, float]:
    """Measure predictions (n,) against the weights (n,): `loss`, the mean squared error in lb², and `rmse` in lb."""
    error = float(np.mean((np.asarray(predicted, float) - pounds) ** 2))
    return {"loss": error, "rmse": error**0.5}


def signature() -> dict[str, Any]:
    """Describe what an exported model takes and gives: the original's four features and its key."""
    inputs = {
        "is_male": text([None], "the baby's sex; Unknown before an ultrasound", values=VOCABULARY["is_male"]),
        "mother_age": {**number("float32", [None], "the mother's age, years", 0.0, 120.0), "example": 26.0},
        "plurality": text([None], "how many babies; Multiple(2+) before an ultrasound", values=VOCABULARY["plurality"]),
        "gestation_weeks": {**number("float32", [None], "weeks of gestation", 0.0, 60.0), "example": 39.0},
        "key": text([None], "comes back with the prediction, as answers may come in any order", default="nokey"),
    }
    outputs = {
        "predictions": number("float32", [None, 1], "the baby's weight, pounds"),
        "key": text([None], "the key that was sent"),
    }
    return {"inputs": inputs, "outputs": outputs}
