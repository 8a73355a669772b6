"""A batch prediction on Vertex AI: the request that a spec becomes, a `BatchPredictionJob`, and its submission.

What the platform does differently from this machine, as Google's page "Get batch predictions from a custom trained
model" has it: a line of the answers is {"instance": …, "prediction": …}; a record of a TFRecord file reaches the
container as {"b64": …}, so it suits a model that takes one text or bytes; input and output lie in buckets.
"""

from __future__ import annotations

from typing import Any

from mlhelpers.cloud.clients import client
from mlhelpers.cloud.place import Place, place
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs import Job, Plan
from mlhelpers.jobs.base import Bill
from mlhelpers.serving.batch.spec import BatchSpec
from mlhelpers.serving.registry.resources import UnknownModelError
from mlhelpers.serving.vertex import batch_jobs
from mlhelpers.serving.vertex.bill import serving_bill
from mlhelpers.serving.vertex.deploying import parse
from mlhelpers.serving.vertex.images import container_spec, own_image
from mlhelpers.serving.vertex.lookups import find_endpoint
from mlhelpers.serving.vertex.making import look, make
from mlhelpers.serving.vertex.names import DEFAULT, MARK, Where, planned, refuse_placeholders, to_alias
from mlhelpers.serving.vertex.plans import MACHINE
from mlhelpers.serving.vertex.records import deployed_versions, version_name

__all__ = ["bill", "job", "plan", "submit"]

_FORMATS = {"text": "jsonl", "tf-record": "tf-record", "tf-record-gzip": "tf-record-gzip"}


def plan(spec: BatchSpec) -> Plan:
    """Return the request of a batch prediction; nothing is asked or sent.

    Args:
        spec: What to predict.

    Raises:
        UsageError: A field that Vertex AI has no word for, an address that is in no bucket, another region than the
            one in force.
    """
    where = planned()
    _refuse(spec, where)
    machine = spec.machine_type or MACHINE
    body: dict[str, Any] = {"displayName": spec.name}
    if spec.model_dir is not None:
        image = container_spec(own_image(where))
        body["unmanagedContainerModel"] = {"artifactUri": str(spec.model_dir).rstrip("/"), "containerSpec": image}
    else:
        assert spec.model is not None
        body["model"] = where.model(spec.model, spec.version)
    body |= {
        "inputConfig": {
            "instancesFormat": _FORMATS[spec.data_format],
            "gcsSource": {"uris": [str(path) for path in spec.input_paths]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": str(spec.output_path)},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": machine},
            "startingReplicaCount": 1,
            "maxReplicaCount": spec.max_workers,
        },
        "manualBatchTuningParameters": {"batchSize": spec.batch_size},
    }
    if spec.labels:
        body["labels"] = dict(spec.labels)
    return Plan("vertex", spec.job(), {"parent": where.parent, "batchPredictionJob": body}, tuple(_notes(spec)))


def submit(plan: Plan) -> list[str]:
    """Start a batch prediction and return at once; it stands on the ledger.

    Args:
        plan: As `plan` made it.

    Returns:
        What else there is to know, as sentences: for instance, which version of a model with split traffic is taken.

    Raises:
        UsageError: It was planned without a project or bucket, or for another place.
        UnknownModelError: There is no such model or version.
        JobError: The name is taken.
        CloudError: The service refused, or did not answer.
    """
    from google.cloud.aiplatform_v1.types import BatchPredictionJob

    here, body = place(), dict(plan.request["batchPredictionJob"])
    parent = plan.request["parent"]
    if parent.startswith("projects/PROJECT/"):
        refuse_placeholders(Where("PROJECT", here.region, "named"))
    if parent != here.parent:
        raise UsageError(f"This was planned for {parent}, and {here.parent} is in force. Plan again.")
    name = plan.spec.name
    backend = batch_jobs.BatchJobs(here)
    if backend.found(name):
        raise JobError(f"There is a batch prediction {name!r} already in {here.project}. A name is used once.")
    notes: list[str] = []
    if "model" in body:
        body["model"], notes = _version(here, body["model"])

    def send(mark: str) -> Any:
        marked = {**body, "labels": {**body.get("labels", {}), MARK: mark}}
        return client("jobs", here).create_batch_prediction_job(
            parent=here.parent, batch_prediction_job=parse(BatchPredictionJob, marked)
        )

    def find(mark: str) -> Any:
        return next((one for one in backend.found(name) if one.labels.get(MARK) == mark), None)

    make(f"start the batch prediction {name!r}", "batch_job", here, name, send, find, body.get("labels"))
    return notes


def job(name: str) -> Job:
    """Return a batch prediction by its name, number, or PROJECT/REGION/NUMBER, from any process."""
    backend, known_as = batch_jobs.backend().take_up(name)
    return Job(known_as, backend)


def _version(here: Place, resource: str) -> tuple[str, list[str]]:
    """Return the version that a batch takes, by its number: what `default` means may change while it waits."""
    alias = resource.partition("@")[2]
    ask = client("models", here).get_model
    words = resource if alias else f"{resource}@{DEFAULT}"
    found = look(f"look up {words}", lambda retry: ask(name=words, retry=retry))
    if found is None:
        raise UnknownModelError(
            f"There is no model or version {words} on Vertex AI. See what there is:  "
            "mlhelpers models list --backend vertex"
        )
    name = found.display_name
    notes = []
    endpoint = None if alias else find_endpoint(here, name)
    if endpoint is not None and sum(1 for share in endpoint.traffic_split.values() if share) > 1:
        split = {number: version for version, number in deployed_versions(endpoint).items()}
        shares = sorted((split.get(one, one), share) for one, share in endpoint.traffic_split.items() if share)
        told = ", ".join(f"{version} {share} %" for version, share in shares)
        notes.append(
            f"The requests to {name} are split ({told}); a batch takes one version, here the default one, "
            f"{version_name(found)}. Name another with --version."
        )
    return f"{found.name.partition('@')[0]}@{found.version_id}", notes


def _refuse(spec: BatchSpec, where: Where) -> None:
    if spec.version is not None:
        to_alias(spec.version)
    for path in [*spec.input_paths, spec.output_path, *([spec.model_dir] if spec.model_dir else [])]:
        if not str(path).startswith("gs://"):
            raise UsageError(
                f"{str(path)!r} is on this machine, and Vertex AI reads and writes buckets. Copy it first:  "
                f"mlhelpers storage cp -r {path} gs://{where.bucket}/… --backend vertex"
            )
    if spec.signature_name is not None:
        raise UsageError(
            "A batch on Vertex AI cannot name a signature: the keys of each line choose it. Leave --signature-name "
            "out, and write the inputs' names in the lines."
        )
    if spec.features:
        raise UsageError(
            "Vertex AI hands a record over as it is, and looks for no features in it. Write the instances as lines of "
            "JSON, --data-format text."
        )
    if spec.region not in (None, where.region):
        raise UsageError(
            f"--region {spec.region} is not the region in force, {where.region}. Set it with  "
            f"export MLHELPERS_REGION={spec.region}"
        )


def _notes(spec: BatchSpec) -> list[str]:
    notes = ["Each line of the answers holds the instance and its prediction, as Vertex AI writes them."]
    if spec.data_format != "text":
        notes.append("Vertex AI hands each record over as bytes: the model has to take one text or bytes.")
    if spec.runtime_version:
        notes.append("The runtime's version is noted: what is in the container image answers.")
    return notes


def bill(plan: Plan) -> Bill | None:
    """Return what a batch prediction will run on and cost; None where an emulator answers."""
    if place().is_here:
        return None
    resources = plan.request["batchPredictionJob"]["dedicatedResources"]
    machine, most = resources["machineSpec"]["machineType"], resources["maxReplicaCount"]
    region = plan.request["parent"].rpartition("/")[2]
    return serving_bill(f"batch prediction {plan.spec.name}", region, machine, 1, most, "until the job has ended")
