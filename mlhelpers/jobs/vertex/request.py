"""A job's spec as Vertex AI's CustomJob, in the JSON of its REST API; and what such a JSON says of a job, read back.

The fields are those of projects.locations.customJobs in Google's reference. Nothing here needs an account, a network or
Google's packages: where no bucket is known yet, `BUCKET` stands in its place, and cannot be submitted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlhelpers.errors import UsageError, unknown_name
from mlhelpers.jobs.configuration import merged
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.jobs.vertex.machines import POOLS, Machine, machine_spec, machines_of
from mlhelpers.jobs.vertex.package import Code, code_of
from mlhelpers.settings import current

__all__ = ["IMAGE", "NO_BUCKET", "bucket_of", "code_for", "custom_job", "job_spec", "notes_on", "start_text"]
__all__ += ["training_input"]

IMAGE = "tensorflow/tensorflow:2.21.0"  # the official one on Docker Hub, which custom training may pull from
NO_BUCKET = "BUCKET"
_JAX_ON_TPU = "jax[tpu]>=0.5"
# field of the old trainingInput, or of today's CustomJobSpec -> its path in a CustomJob; both names are taken
_FIELDS = {
    "serviceAccount": ("jobSpec", "serviceAccount"),
    "network": ("jobSpec", "network"),
    "enableWebAccess": ("jobSpec", "enableWebAccess"),
    "enableDashboardAccess": ("jobSpec", "enableDashboardAccess"),
    "tensorboard": ("jobSpec", "tensorboard"),
    "reservedIpRanges": ("jobSpec", "reservedIpRanges"),
    "persistentResourceId": ("jobSpec", "persistentResourceId"),
    "encryptionSpec": ("encryptionSpec",),
    "encryptionConfig": ("encryptionSpec",),
}
_SCHEDULING = {
    "maxWaitTime": "maxWaitDuration",
    "maxWaitDuration": "maxWaitDuration",
    "strategy": "strategy",
    "disableRetries": "disableRetries",
    "restartJobOnWorkerRestart": "restartJobOnWorkerRestart",
}
_STRATEGIES = ("STANDARD", "SPOT", "FLEX_START")
_OURS = ("executorImageUri", "scheduling")


def code_for(spec: JobSpec) -> Code:
    """Check and pack the code of a spec for the machines that it asks for.

    Raises:
        UsageError: The code or a machine is refused.
    """
    machines = machines_of(spec)
    has_gpu = any(machine and machine.accelerator_type for machine in machines)
    code = code_of(spec, has_gpu, bool(spec.master.image_uri or spec.cloud.get("executorImageUri")))
    if any(machine and machine.is_tpu for machine in machines) and code.requirements:
        return Code(code.packages, (*code.requirements, _JAX_ON_TPU), code.notes)
    return code


def bucket_of(spec: JobSpec) -> str:
    """Return the bare name of the staging bucket: the spec's, the setting, that of the job dir, or `NO_BUCKET`."""
    for asked in (spec.staging_bucket, current().bucket, spec.job_dir):
        if asked and (asked == spec.staging_bucket or asked == current().bucket or str(asked).startswith("gs://")):
            return str(asked).removeprefix("gs://").partition("/")[0]
    return NO_BUCKET


def custom_job(spec: JobSpec, code: Code) -> dict[str, Any]:
    """Return the CustomJob that a spec becomes, as JSON.

    Args:
        spec: What to run.
        code: What `code_for` gave for it.

    Raises:
        UsageError: Something in the spec is not to be had on Vertex AI.
    """
    request: dict[str, Any] = {"displayName": spec.name, "jobSpec": job_spec(spec, code)}
    for field in ("encryptionSpec", "encryptionConfig"):
        if field in spec.cloud:
            request["encryptionSpec"] = dict(spec.cloud[field])
    if spec.labels:
        request["labels"] = dict(spec.labels)
    return request


def job_spec(spec: JobSpec, code: Code) -> dict[str, Any]:
    """Return the CustomJobSpec of a spec, as JSON; a tuning job's `trialJobSpec` is one too.

    Args:
        spec: What to run.
        code: What `code_for` gave for it.

    Raises:
        UsageError: Something in the spec is not to be had on Vertex AI.
    """
    known = {*_FIELDS, *_OURS, "hyperparameters"}
    for field in spec.cloud:
        if field not in known:
            raise unknown_name("field of a job on Vertex AI", field, known)
    bucket = bucket_of(spec)
    start = ["python3", "-c", start_text()]  # one list for all pools, so that it is written once where people read it
    pools = [_pool(spec, code, bucket, machine, start) for machine in machines_of(spec)]
    values: dict[str, Any] = {"workerPoolSpecs": pools}
    if scheduling := _scheduling(spec):
        values["scheduling"] = scheduling
    for field, path in _FIELDS.items():
        if field in spec.cloud and path[0] == "jobSpec":
            values[path[1]] = spec.cloud[field]
    if spec.job_dir is not None:
        if not str(spec.job_dir).startswith("gs://"):
            raise UsageError(
                f"The job dir {spec.job_dir!r} is a folder of this machine, which the cloud does not see. Give an "
                f"address in a bucket, for instance gs://{bucket}/{spec.name}."
            )
        values["baseOutputDirectory"] = {"outputUriPrefix": str(spec.job_dir)}
    return values


def notes_on(spec: JobSpec, code: Code) -> tuple[str, ...]:
    """Return what a person should know of a plan before it is submitted, sentence by sentence.

    Args:
        spec: What to run.
        code: What `code_for` gave for it.
    """
    machines = machines_of(spec)
    notes = [machine.note for machine in machines if machine and machine.note]
    is_ours = spec.module.startswith("mlhelpers.trainers.")
    if is_ours and len(machines) > 2 and machines[2]:
        notes.append(
            f"Our trainers have no use for parameter servers, yet {machines[2].count} are part of {spec.scale_tier} "
            "and cost money until the job is over: the tier CUSTOM does without."
        )
    if is_ours and any(machine and machine.is_tpu for machine in machines):
        notes.append("TensorFlow's image knows no TPU: choose the trainer's JAX backend (--backend jax, or env).")
    if spec.job_dir is None and not any("gs://" in word for word in (*spec.words, *spec.env.values())):
        notes.append(
            "Nothing names a bucket, neither --job-dir nor an argument: what the trainer writes goes with its machine."
        )
    asked = (("runtime", spec.runtime_version), ("Python", spec.python_version))
    if named := " and ".join(f"{what} {version}" for what, version in asked if version):
        notes.append(f"Asked for {named}; what runs is the image {_image(spec, machines[0])}.")
    if not spec.cloud.get("scheduling", {}).get("disableRetries") and spec.max_restarts not in (0, 5):
        notes.append(f"How often a replica is started again is the service's choice: {spec.max_restarts} is noted.")
    return (*notes, *code.notes)


def _scheduling(spec: JobSpec) -> dict[str, Any]:
    """Return the scheduling of a job, of which the old service's priority has no successor."""
    given = dict(spec.cloud.get("scheduling", {}))
    given.pop("priority", None)
    values: dict[str, Any] = {}
    if spec.max_running_s is not None:
        values["timeout"] = f"{spec.max_running_s:.3f}".rstrip("0").rstrip(".") + "s"
    for field, value in given.items():
        if field not in _SCHEDULING:
            raise unknown_name("field of scheduling on Vertex AI", field, _SCHEDULING)
        values[_SCHEDULING[field]] = value
    if values.get("strategy", "SPOT") not in _STRATEGIES:
        raise unknown_name("scheduling strategy", values["strategy"], _STRATEGIES)
    if spec.max_retries == 0 or spec.max_restarts == 0:
        values["disableRetries"] = True
    return values


def _pool(spec: JobSpec, code: Code, bucket: str, machine: Machine | None, start: list[str]) -> dict[str, Any]:
    if machine is None:
        return {}
    values: dict[str, Any] = {"machineSpec": machine_spec(machine), "replicaCount": str(machine.count)}
    words = [*spec.words, *(["--job-dir", str(spec.job_dir)] if spec.job_dir is not None else [])]
    env = [{"name": name, "value": value} for name, value in spec.env.items()]
    addresses = [packed.address_in(bucket) for packed in code.packages]
    if executor := spec.cloud.get("executorImageUri"):
        if code.requirements:
            raise UsageError(
                "With executorImageUri the service installs the packages by itself, and cannot be told what mlhelpers "
                "needs: leave executorImageUri out."
            )
        package = {"executorImageUri": executor, "packageUris": addresses, "pythonModule": spec.module}
        values["pythonPackageSpec"] = package | ({"args": words} if words else {}) | ({"env": env} if env else {})
        return values
    container: dict[str, Any] = {"imageUri": _image(spec, machine)}
    if addresses:
        first = [f"--package={address}" for address in addresses]
        first += [f"--require={requirement}" for requirement in code.requirements]
        container["command"] = start
        container["args"] = [*first, f"--module={spec.module}", "--", *words]
    else:  # an image of one's own, which has the module
        container["command"] = ["python3", "-m", spec.module]
        container |= {"args": words} if words else {}
    return values | {"containerSpec": container | ({"env": env} if env else {})}


def _image(spec: JobSpec, machine: Machine | None) -> str:
    if machine and machine.image_uri:
        return machine.image_uri
    if spec.master.image_uri:
        return spec.master.image_uri
    return f"{IMAGE}-gpu" if machine and machine.accelerator_type else IMAGE


def start_text() -> str:
    """Return the program that a container starts with, as text."""
    return Path(__file__).with_name("start.py").read_text("utf-8")


def training_input(request: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return a CustomJob as the old service's trainingInput, as far as the two say the same.

    Args:
        request: A CustomJob as JSON, of anybody's making.
        region: Where it runs.
    """
    spec = request.get("jobSpec", {})
    values: dict[str, Any] = {"scaleTier": "CUSTOM"}
    for role, pool in zip(("master", "worker", "parameterServer", "evaluator"), _pools(spec), strict=False):
        machine = pool.get("machineSpec", {})
        if not machine:
            continue
        values[f"{role}Type"] = machine.get("machineType", "")
        if role != "master":
            values[f"{role}Count"] = str(pool.get("replicaCount", "1"))
        config: dict[str, Any] = {}
        if "acceleratorType" in machine:
            count = str(machine.get("acceleratorCount", 1))
            config["acceleratorConfig"] = {"type": machine["acceleratorType"], "count": count}
        if image := pool.get("containerSpec", {}).get("imageUri"):
            config["imageUri"] = image
        values |= {f"{role}Config": config} if config else {}
    values |= _program(_pools(spec)[0]) | {"region": region}
    if job_dir := spec.get("baseOutputDirectory", {}).get("outputUriPrefix"):
        values["jobDir"] = job_dir
    if timeout := spec.get("scheduling", {}).get("timeout"):
        values["scheduling"] = {"maxRunningTime": timeout}
    same = {field: spec[field] for field in ("serviceAccount", "network", "enableWebAccess") if spec.get(field)}
    return merged(values, same)


def _pools(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return spec.get("workerPoolSpecs") or [{}] * len(POOLS[:1])


def _program(pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return packages, module and arguments of the first pool: our start program's, or anybody's."""
    if package := pool.get("pythonPackageSpec"):
        fields = {name: package[name] for name in ("packageUris", "pythonModule", "args") if package.get(name)}
        return fields
    container = pool.get("containerSpec", {})
    words = list(container.get("args", []))
    modules = [word.removeprefix("--module=") for word in words if word.startswith("--module=")]
    if not modules or "--" not in words:
        command = list(container.get("command", []))
        module = {"pythonModule": command[2]} if command[1:2] == ["-m"] and command[2:] else {}
        return module | ({"args": words} if words else {})
    split = words.index("--")
    packages = [word.removeprefix("--package=") for word in words[:split] if re.match("--package=", word)]
    return {"packageUris": packages, "pythonModule": modules[0], "args": words[split + 1 :]}
