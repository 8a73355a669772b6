"""What to predict: `BatchSpec`, in words that every place to run understands, and checked when it is made."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlhelpers.errors import UsageError, unknown_name
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.serving.registry.resources import check_name

__all__ = ["DATA_FORMATS", "BatchSpec", "batch_name"]

# our word -> the service's; either may be given, in any case
DATA_FORMATS = {"text": "JSON", "tf-record": "TF_RECORD", "tf-record-gzip": "TF_RECORD_GZIP"}
CONTROLLER = "mlhelpers.serving.batch.controller"


@dataclass(frozen=True)
class BatchSpec:
    """A batch prediction: a model, files, a place for the answers.

    Of the format "text" each line is an instance: any JSON value, or an object with the inputs' names as keys. Where
    the model takes one text, a line that is no JSON string, object or list is that text itself.

    Of the formats "tf-record" and "tf-record-gzip" each record is an instance. Where the model takes one text (or
    bytes), a record's data are that, as they are; an export that takes serialised examples is of this kind. Any other
    model takes its inputs out of a record that is a `tensorflow.Example`: each input from the feature of its name, or
    the one that `features` names. Numbers may stand there as a list of floats or integers, or as the raw bytes of an
    array of the input's dtype, row by row. Where a model has a single input and no feature has its name, the feature
    whose raw bytes are just as many as the input's array has is taken; two such features are refused. What else an
    example holds, such as its label, is left aside.

    An instance may have one entry or feature "key" beside the inputs; its prediction gets the same, unless the model
    has an input or output of that name itself.

    Attributes:
        name: The job's name: a letter, then letters, digits and underscores, 128 at most. A name is used once.
        input_paths: Files, local or gs://; a name that ends with * means every file that begins so.
        output_path: Folder or gs:// address of the answers.
        model: A model of the store; or `model_dir`.
        version: Its version; the default one where None.
        model_dir: An export folder, or a folder of timestamps of which the newest is taken, local or gs://.
        data_format: "text", "tf-record" or "tf-record-gzip"; the service's TEXT, TF_RECORD and so on are the same.
        batch_size: How many instances the model is given at once.
        max_workers: How many processes at most.
        signature_name: The signature to take; None lets the first instance decide, for the whole batch.
        features: For records: input -> the feature that holds it, where the names differ.
        region: Where to run in the cloud; noted, and without effect on this machine.
        runtime_version: The service's runtime that a command names; what is installed here runs instead.
        labels: Your own marks, lower-case text.
        machine_type: What it runs on in the cloud; without effect on this machine.

    Raises:
        UsageError: A field that is malformed; the message says which, and what is allowed.
    """

    name: str
    input_paths: Sequence[str | os.PathLike[str]]
    output_path: str | os.PathLike[str]
    model: str | None = None
    version: str | None = None
    model_dir: str | os.PathLike[str] | None = None
    data_format: str = "text"
    batch_size: int = 64
    max_workers: int = 10
    signature_name: str | None = None
    features: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    runtime_version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    machine_type: str | None = None

    def __post_init__(self) -> None:
        _check_model(self)
        object.__setattr__(self, "input_paths", _paths(self.input_paths))
        for what in ("output_path", "model_dir"):
            value = getattr(self, what)
            if value is not None:
                if not isinstance(value, str | os.PathLike) or not os.fspath(value):
                    raise UsageError(f"{what}={value!r} is no path. Give a folder, or gs://bucket/path.")
                object.__setattr__(self, what, os.fspath(value))
        spelled = str(self.data_format).lower().replace("_", "-")
        if spelled not in DATA_FORMATS:
            raise unknown_name("data format", self.data_format, DATA_FORMATS)
        object.__setattr__(self, "data_format", spelled)
        for what in ("batch_size", "max_workers"):
            value = getattr(self, what)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{what}={value!r} is refused. Give a whole number, 1 or more.")
        if self.features and self.data_format == "text":
            raise UsageError("features says which feature of a record holds an input; a line of text has none.")
        object.__setattr__(self, "features", _texts(self.features))
        self.job()

    def job(self) -> JobSpec:
        """Return the job that this is, its trainer being our own controller.

        Raises:
            UsageError: The name, a label or the runtime version is malformed.
        """
        return JobSpec(
            self.name, CONTROLLER, labels=self.labels, region=self.region, runtime_version=self.runtime_version
        )

    def prediction_input(self) -> dict[str, Any]:
        """Return the spec as the service's predictionInput, without the fields that were not given."""
        version = None if self.version is None else f"{self.model}/{self.version}"
        values: dict[str, Any] = {
            "modelName": None if version else self.model,
            "versionName": version,
            "uri": self.model_dir,
            "dataFormat": DATA_FORMATS[self.data_format],
            "outputDataFormat": "JSON",
            "inputPaths": list(self.input_paths),
            "outputPath": self.output_path,
            "maxWorkerCount": str(self.max_workers),  # the API's int64 is text in JSON
            "batchSize": str(self.batch_size),
            "signatureName": self.signature_name,
            "features": dict(self.features) or None,
            "region": self.region,
            "runtimeVersion": self.runtime_version,
        }
        return {name: value for name, value in values.items() if value is not None}


def batch_name(model: str) -> str:
    """Return a name for a batch prediction that nobody has named: the model's and the time, to the millisecond."""
    bare = re.sub(r"[^A-Za-z0-9]+", "_", model)[-60:].strip("_")
    now = time.time()
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(now))
    return f"predict_{bare}_{stamp}_{int(now * 1000) % 1000:03}"


def _check_model(spec: BatchSpec) -> None:
    if (spec.model is None) == (spec.model_dir is None):
        how = "neither of the two was" if spec.model is None else "both were"
        raise UsageError(
            f"A batch prediction needs a model of the store (--model) or an export folder (--model-dir); {how} given."
        )
    if spec.model is None:
        if spec.version is not None:
            raise UsageError("--version names a version of a model: it goes with --model, not with --model-dir.")
        return
    check_name("model", spec.model)
    if spec.version is not None:
        check_name("version", spec.version)


def _paths(paths: object) -> tuple[str, ...]:
    if isinstance(paths, str | bytes | os.PathLike) or not isinstance(paths, Iterable):
        raise UsageError(f"input_paths={paths!r} is refused. Give a list of paths, for instance ['test.json'].")
    found = []
    for path in paths:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise UsageError(f"input_paths holds {path!r}. Give paths, for instance ['test.json'].")
        found.append(str(os.fspath(path)))
    if not found:
        raise UsageError("input_paths is empty: name at least one file.")
    return tuple(found)


def _texts(features: object) -> dict[str, str]:
    if not isinstance(features, Mapping) or not all(
        isinstance(text, str) for pair in features.items() for text in pair
    ):
        raise UsageError(f"features={features!r} is refused. Give input -> feature: {{'pixels': 'image_raw'}}.")
    return dict(features)
