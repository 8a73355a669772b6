"""Batch prediction jobs as batch predictions of the local engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from mlhelpers.emulator.messages import RefusedError, honoured
from mlhelpers.emulator.models import resolved, store_name
from mlhelpers.emulator.routing import Request
from mlhelpers.emulator.training import job_view

__all__ = ["batch_view", "start_batch_job"]

# kept and shown, without effect here: machineSpec and startingReplicaCount
_JOB = ["displayName", "labels", "model", "inputConfig.instancesFormat", "inputConfig.gcsSource"]
_JOB += ["outputConfig.predictionsFormat", "outputConfig.gcsDestination", "manualBatchTuningParameters.batchSize"]
_JOB += [f"dedicatedResources.{field}" for field in ("machineSpec", "startingReplicaCount", "maxReplicaCount")]
_FORMATS = {"jsonl": "text", "tf-record": "tf-record", "tf-record-gzip": "tf-record-gzip"}


def start_batch_job(name: str, job: dict[str, Any], asked: Request) -> None:
    """Submit a batch prediction to the local engine.

    Args:
        name: The local job's name.
        job: A BatchPredictionJob, as JSON; gets its outputInfo and the version of its model.
        asked: The request.

    Raises:
        RefusedError: A field that is missing, or that the emulator does not honour.
        MLHelpersError: What the local engine refuses.
    """
    from mlhelpers.serving import batch

    honoured("BatchPredictionJob", job, _JOB)
    given, wanted = job.get("inputConfig", {}), job.get("outputConfig", {})
    if given.get("instancesFormat") not in _FORMATS or wanted.get("predictionsFormat") != "jsonl":
        formats = f"instancesFormat {', '.join(_FORMATS)}; predictionsFormat jsonl"
        raise RefusedError("UNIMPLEMENTED", f"The emulator knows these formats alone: {formats}.")
    record, version = resolved(asked, job.get("model", ""))
    prefix = wanted.get("gcsDestination", {}).get("outputUriPrefix", "").rstrip("/")
    label = record["versions"][version]["displayName"].replace("/", "_")
    output = f"{prefix}/prediction-{label}-{time.strftime('%Y_%m_%dT%H_%M_%SZ', time.gmtime())}_{name[-4:]}"
    job["outputInfo"] = {"gcsOutputDirectory": output}
    job["modelVersionId"] = version
    spec = batch.BatchSpec(
        name,
        given.get("gcsSource", {}).get("uris", []),
        output,
        model=store_name(record["name"].rpartition("/")[2]),
        version=f"v{version}",
        data_format=_FORMATS[given["instancesFormat"]],
        batch_size=int(job.get("manualBatchTuningParameters", {}).get("batchSize", 64)),
        max_workers=int(job.get("dedicatedResources", {}).get("maxReplicaCount", 10)),
    )
    batch.submit(spec, "local")


def batch_view(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch prediction job's resource as it is now.

    Args:
        name: The local job's name.
        record: What was kept.
    """
    found = job_view(name, record)
    output = found.pop("predictionOutput", {})
    if output:
        counts = {"successfulCount": output["predictionCount"], "failedCount": output["errorCount"]}
        found["completionStats"] = {field: count for field, count in counts.items() if int(count)}
    return found
