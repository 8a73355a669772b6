"""A job as the service's Job resource: what a spec becomes, and what the resource in a config file says of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlhelpers.jobs.packaging.archive import ARCHIVES
from mlhelpers.jobs.spec import JobSpec, Pool

__all__ = ["POOLS", "merged", "resource", "spec_fields"]

# role in a spec -> how the service's trainingInput spells it
POOLS = {
    "master": "master",
    "workers": "worker",
    "parameter_servers": "parameterServer",
    "evaluators": "evaluator",
}
# field in trainingInput -> field of a spec, where the two hold the same
_SAME = {
    "scaleTier": "scale_tier",
    "pythonModule": "module",
    "args": "args",
    "region": "region",
    "jobDir": "job_dir",
    "runtimeVersion": "runtime_version",
    "pythonVersion": "python_version",
    "useChiefInTfConfig": "use_chief",
}
_ARCHIVES = (*ARCHIVES, ".egg")  # an egg is refused, as the archive that it is


def resource(spec: JobSpec) -> dict[str, Any]:
    """Return a spec as the service's trainingInput, without the fields that were not given.

    Args:
        spec: What to run.
    """
    values: dict[str, Any] = {"scaleTier": spec.scale_tier}
    for name, prefix in POOLS.items():
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
        "scheduling": {"maxRunningTime": _time(spec.max_running_s)} if spec.max_running_s is not None else None,
    }
    return merged({name: value for name, value in values.items() if value is not None}, spec.cloud)


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


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return both mappings in one, mappings in them too; where both hold something else, the second one counts."""
    values = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(values.get(name), Mapping)
        values[name] = merged(values[name], value) if both else value
    return values


def spec_fields(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `JobSpec` that a config file gives: the inverse of `resource`.

    Args:
        configuration: What `config_file.read_configuration` gave: labels and trainingInput.
    """
    left = dict(configuration.get("trainingInput", {}))
    fields: dict[str, Any] = {name: left.pop(spelled) for spelled, name in _SAME.items() if spelled in left}
    for name, prefix in POOLS.items():
        pool, rest = _pool_of(left, prefix)
        if pool.is_given:
            fields[name] = pool
        if rest:
            left[f"{prefix}Config"] = rest
    packages = left.pop("packageUris", [])
    folders = [uri for uri in packages if not uri.endswith(_ARCHIVES)]
    if folders:  # a second folder stays among the packages, where it is refused
        fields["package_path"] = folders[0]
        packages = [uri for uri in packages if uri != folders[0]]
    if packages:
        fields["packages"] = packages
    scheduling = dict(left.pop("scheduling", {}))
    if "maxRunningTime" in scheduling:
        fields["max_running_s"] = scheduling.pop("maxRunningTime")
    if "maxWaitTime" in scheduling:
        scheduling["maxWaitTime"] = _time(scheduling["maxWaitTime"])
    cloud = left | ({"scheduling": scheduling} if scheduling else {})
    if configuration.get("labels"):
        fields["labels"] = configuration["labels"]
    return fields | ({"cloud": cloud} if cloud else {})


def _pool_of(values: dict[str, Any], prefix: str) -> tuple[Pool, dict[str, Any]]:
    """Take the machines of a role out of the values; return them, and what of their config a pool has no place for."""
    config = dict(values.pop(f"{prefix}Config", {}))
    accelerator = config.pop("acceleratorConfig", {})
    pool = Pool(
        machine_type=values.pop(f"{prefix}Type", ""),
        count=values.pop(f"{prefix}Count", 0),
        image_uri=config.pop("imageUri", ""),
    )
    if accelerator:
        pool = replace(
            pool, accelerator_type=accelerator.get("type", ""), accelerator_count=accelerator.get("count", 1)
        )
    return pool, config


def _time(seconds: float) -> str:
    """Return seconds as the service writes them, to the millisecond: "3600s"."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
