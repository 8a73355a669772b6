"""Custom jobs and hyperparameter tuning jobs as jobs and studies of the local engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlhelpers import jobs
from mlhelpers.emulator.messages import RefusedError, honoured, parsed
from mlhelpers.emulator.replica import POOLS_VARIABLE
from mlhelpers.emulator.routing import Request
from mlhelpers.errors import JobError
from mlhelpers.jobs import JobSpec, JobState, Pool

__all__ = ["STATES", "cancel", "is_over", "job_spec", "job_view", "start_custom_job", "start_tuning_job", "tuning_view"]

STATES = {
    "QUEUED": "JOB_STATE_QUEUED",
    "PREPARING": "JOB_STATE_PENDING",
    **{state: f"JOB_STATE_{state}" for state in ("RUNNING", "SUCCEEDED", "FAILED", "CANCELLING", "CANCELLED")},
}
# of a CustomJobSpec; what stands below the dash is kept and shown, and has no effect on this machine
_POOL = ("containerSpec", "pythonPackageSpec", "replicaCount", "machineSpec", "diskSpec")
_JOB_SPEC = [
    *(f"workerPoolSpecs.{field}" for field in _POOL),
    "baseOutputDirectory.outputUriPrefix",
    "scheduling.timeout",
    "scheduling.disableRetries",
    "serviceAccount",  # -
    "scheduling.strategy",
    "scheduling.maxWaitDuration",
]
_CUSTOM_JOB = ["displayName", "labels", *(f"jobSpec.{path}" for path in _JOB_SPEC)]
_STUDY = ["metrics.metricId", "metrics.goal", "parameters", "algorithm", "measurementSelectionType"]
_TUNING_JOB = ["displayName", "labels", "maxTrialCount", "parallelTrialCount", "maxFailedTrialCount"]
_TUNING_JOB += [f"trialJobSpec.{path}" for path in _JOB_SPEC]
_TUNING_JOB += [f"studySpec.{path}" for path in (*_STUDY, "medianAutomatedStoppingSpec")]
_ALGORITHMS = {"ALGORITHM_UNSPECIFIED": "bayesian", "GRID_SEARCH": "grid", "RANDOM_SEARCH": "random"}
_SCALES = {"UNIT_LINEAR_SCALE": "linear", "UNIT_LOG_SCALE": "log", "UNIT_REVERSE_LOG_SCALE": "reverse_log"}
_TRIALS = {"QUEUED": "REQUESTED", "RUNNING": "ACTIVE", "STOPPED_EARLY": "SUCCEEDED", "UNFINISHED": "STOPPING"}


def start_custom_job(name: str, job: dict[str, Any], asked: Request) -> None:
    """Submit a custom job to the local engine.

    Args:
        name: The local job's name.
        job: A CustomJob, as JSON.
        asked: The request.

    Raises:
        RefusedError: A field that is missing, or that the emulator does not honour.
        UsageError: What the engine refuses.
    """
    honoured("CustomJob", job, _CUSTOM_JOB)
    jobs.submit(job_spec(name, job.get("jobSpec", {})), "local")


def job_spec(name: str, spec: Mapping[str, Any]) -> JobSpec:
    """Return a CustomJobSpec as the local engine's job.

    Args:
        name: The local job's name.
        spec: A CustomJobSpec, as JSON.
    """
    pools = list(spec.get("workerPoolSpecs", []))
    if not pools or int(pools[0].get("replicaCount", 0)) != 1:
        raise RefusedError("INVALID_ARGUMENT", "workerPoolSpecs[0] is the primary replica: its replicaCount must be 1.")
    for index, pool in enumerate(pools):
        _check_pool(index, pool)
    machines = [_pool(pool) for pool in pools] + [Pool()] * (4 - len(pools))
    packages = [uri for pool in pools for uri in pool.get("pythonPackageSpec", {}).get("packageUris", [])]
    scheduling = spec.get("scheduling", {})
    restarts, retries = (0, 0) if scheduling.get("disableRetries") else (JobSpec.max_restarts, JobSpec.max_retries)
    timeout = scheduling.get("timeout")
    base = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    return JobSpec(
        name,
        "mlhelpers.emulator.replica",
        env={POOLS_VARIABLE: json.dumps({"pools": pools, "base": base}), "CLOUD_ML_JOB_ID": name.rpartition("_")[2]},
        packages=list(dict.fromkeys(packages)),
        scale_tier="CUSTOM",
        master=machines[0],
        workers=machines[1],
        parameter_servers=machines[2],
        evaluators=machines[3],
        max_running_s=float(timeout.removesuffix("s")) if timeout else None,
        max_restarts=restarts,
        max_retries=retries,
    )


def _check_pool(index: int, pool: Mapping[str, Any]) -> None:
    where = f"workerPoolSpecs[{index}]"
    if index > 3:
        raise RefusedError("INVALID_ARGUMENT", "workerPoolSpecs has four pools at most.")
    if not pool:
        return
    if not pool.get("machineSpec", {}).get("machineType"):
        raise RefusedError("INVALID_ARGUMENT", f"{where}.machineSpec.machineType is required.")
    container, package = pool.get("containerSpec"), pool.get("pythonPackageSpec")
    if (container is None) == (package is None):
        raise RefusedError("INVALID_ARGUMENT", f"{where} needs containerSpec or pythonPackageSpec, one of the two.")
    if container is not None and not container.get("command"):
        raise RefusedError("UNIMPLEMENTED", f"{where}.containerSpec has no command: the emulator opens no image, so it "
                      "cannot run the image's own entry point. Say what to run.")  # fmt: skip
    if package is not None and not (package.get("packageUris") and package.get("pythonModule")):
        raise RefusedError("INVALID_ARGUMENT", f"{where}.pythonPackageSpec needs packageUris and pythonModule.")


def _pool(pool: Mapping[str, Any]) -> Pool:
    count = int(pool.get("replicaCount", 0))
    return Pool(pool["machineSpec"]["machineType"], count) if count else Pool()


def job_view(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's resource as it is now.

    Args:
        name: The local job's name.
        record: What was kept: the resource as it was created.
    """
    found = dict(record)
    try:
        local = jobs.backend("local").describe(name)
    except JobError as error:  # killed between the record and the submission, or removed by hand
        local = {"state": "FAILED", "errorMessage": str(error)}
    found["state"] = STATES[local["state"]]
    found |= {field: local[field] for field in ("startTime", "endTime") if field in local}
    found["updateTime"] = local.get("endTime") or local.get("startTime") or found["createTime"]
    found |= {field: local[field] for field in ("predictionOutput",) if field in local}
    if message := local.get("errorMessage"):
        code = 1 if local["state"] == "CANCELLED" else 3  # google.rpc.Code CANCELLED, INVALID_ARGUMENT
        found["error"] = {"code": code, "message": message}
    return found


def cancel(name: str) -> None:
    """Ask a local job to end."""
    jobs.backend("local").cancel(name)


def is_over(name: str) -> bool:
    """Tell whether a local job has ended, or never came to be."""
    try:
        return JobState(jobs.backend("local").state(name)).is_final
    except JobError:
        return True


def start_tuning_job(name: str, job: dict[str, Any], asked: Request) -> None:
    """Submit a hyperparameter tuning job to the local engine, as a study.

    Args:
        name: The local job's name.
        job: A HyperparameterTuningJob, as JSON.
        asked: The request.

    Raises:
        RefusedError: A field that is missing, or that the emulator does not honour.
        UsageError: What the study refuses.
    """
    from mlhelpers import tuning

    honoured("HyperparameterTuningJob", job, _TUNING_JOB)
    spec = job.get("studySpec", {})
    metrics = spec.get("metrics", [])
    if len(metrics) != 1:
        raise RefusedError("UNIMPLEMENTED", f"studySpec.metrics has {len(metrics)} metrics; the emulator knows one.")
    algorithm = spec.get("algorithm", "ALGORITHM_UNSPECIFIED")
    study = tuning.StudySpec(
        job_spec(name, job.get("trialJobSpec", {})),
        _space(spec.get("parameters", [])),
        metric=metrics[0]["metricId"],
        goal=str(metrics[0].get("goal", "")).lower(),
        trials=int(job.get("maxTrialCount", 0)),
        parallel=int(job.get("parallelTrialCount", 0)),
        max_failed=int(job.get("maxFailedTrialCount", 0)),
        early_stopping="medianAutomatedStoppingSpec" in spec,
        algorithm=_ALGORITHMS[algorithm],
    )
    tuning.submit(study, "local")


def _space(parameters: list[dict[str, Any]], when: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a study's parameters with those that depend on them, in our words."""
    from mlhelpers.tuning import Choice, Float, Int

    space: dict[str, Any] = {}
    for one in parameters:
        name, scale, given = one["parameterId"], _SCALES.get(one.get("scaleType", ""), "linear"), when or {}
        if found := one.get("doubleValueSpec"):
            space[name] = Float(found.get("minValue", 0.0), found.get("maxValue", 0.0), scale, given)
        elif found := one.get("integerValueSpec"):
            space[name] = Int(int(found.get("minValue", 0)), int(found.get("maxValue", 0)), scale, given)
        elif found := one.get("discreteValueSpec"):
            space[name] = Choice([int(value) if value == int(value) else value for value in found["values"]], given)
        elif found := one.get("categoricalValueSpec"):
            space[name] = Choice(found["values"], given)
        else:
            raise RefusedError("INVALID_ARGUMENT", f"The parameter {name!r} has no value spec.")
        for child in one.get("conditionalParameterSpecs", []):
            values = next(value["values"] for key, value in child.items() if key.startswith("parent"))
            values = [int(value) if isinstance(value, str) and "integerValueSpec" in one else value for value in values]
            space |= _space([child["parameterSpec"]], {**given, name: values})
    return space


def tuning_view(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tuning job's resource as it is now, with its trials in the order in which they began."""
    from mlhelpers import tuning

    found = job_view(name, record)
    metric = found["studySpec"]["metrics"][0]["metricId"]
    try:
        trials = sorted(tuning.attach(f"local://{name}").results, key=lambda trial: trial.number)
    except JobError:
        return found
    found["trials"] = [_trial(trial, metric) for trial in trials]
    return parsed("HyperparameterTuningJob", found)


def _trial(trial: Any, metric: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": str(trial.number),
        "state": _TRIALS.get(trial.state, trial.state),
        "parameters": [{"parameterId": name, "value": value} for name, value in trial.parameters.items()],
        "measurements": [_measurement(step, metric, value) for step, value in trial.curve.items()],
    }
    if trial.objective is not None:
        found["finalMeasurement"] = _measurement(trial.step or 0, metric, trial.objective)
    if trial.state == "INFEASIBLE":
        found["infeasibleReason"] = trial.error
    times = {"startTime": trial.start_time, "endTime": trial.end_time}
    return found | {field: time for field, time in times.items() if time}


def _measurement(step: int, metric: str, value: float) -> dict[str, Any]:
    return {"stepCount": str(step), "metrics": [{"metricId": metric, "value": value}]}
