"""A job as the service's Job resource: what a spec becomes, and what a config file holds."""

from __future__ import annotations

from typing import Any

from mlhelpers.jobs.spec import JobSpec, Pool

__all__ = ["resource"]

# role in a spec -> how the service's trainingInput spells it
_POOLS = {
    "master": "master",
    "workers": "worker",
    "parameter_servers": "parameterServer",
    "evaluators": "evaluator",
}


def resource(spec: JobSpec) -> dict[str, Any]:
    """Return a spec as the service's trainingInput, without the fields that were not given.

    Args:
        spec: What to run.
    """
    values: dict[str, Any] = {"scaleTier": spec.scale_tier}
    for name, prefix in _POOLS.items():
        values |= _pool(getattr(spec, name), prefix)
    values |= {
        "packageUris": [*([str(spec.package_path)] if spec.package_path is not None else []), *spec.packages] or None,
        "pythonModule": spec.module,
        "args": list(spec.words),
        "region": spec.region,
        "jobDir": spec.job_dir,
        "runtimeVersion": spec.runtime_version,
        "pythonVersion": spec.python_version,
        "useChiefInTfConfig": spec.use_chief,
        "scheduling": {"maxRunningTime": f"{spec.max_running_s:g}s"} if spec.max_running_s is not None else None,
        **spec.cloud,
    }
    return {name: value for name, value in values.items() if value is not None}


def _pool(pool: Pool, prefix: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if pool.machine_type:
        values[f"{prefix}Type"] = pool.machine_type
    if pool.count and prefix != "master":
        values[f"{prefix}Count"] = str(pool.count)  # the API's int64 is text in JSON
    config: dict[str, Any] = {}
    if pool.accelerator_type:
        config["acceleratorConfig"] = {"type": pool.accelerator_type, "count": str(pool.accelerator_count)}
    if pool.image_uri:
        config["imageUri"] = pool.image_uri
    return values | ({f"{prefix}Config": config} if config else {})
