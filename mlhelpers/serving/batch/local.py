"""A batch prediction on this machine: what is checked before it starts, the request that it becomes, its submission."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, MissingExtraError, PredictionError, UsageError, unknown_name
from mlhelpers.jobs import Job, Plan
from mlhelpers.jobs.base import Bill
from mlhelpers.jobs.local import backend
from mlhelpers.jobs.local.cluster import this_machine
from mlhelpers.jobs.local.environment import python_path
from mlhelpers.jobs.local.launch import own_files
from mlhelpers.jobs.local.store import FIRST
from mlhelpers.serving.batch.examples import match_features, parse_features
from mlhelpers.serving.batch.inputs import check_format, check_output, find_inputs, results_in, stamps
from mlhelpers.serving.batch.reading import first_item, instance_reader, takes_one_text, without_key
from mlhelpers.serving.batch.spec import CONTROLLER, BatchSpec
from mlhelpers.serving.batch.state import State
from mlhelpers.serving.registry.exports import find_export
from mlhelpers.serving.registry.store import ModelStore
from mlhelpers.serving.runtimes import signature_of
from mlhelpers.serving.signature import ModelSignature, Signature
from mlhelpers.settings import current, home_folder

__all__ = ["bill", "job", "plan", "submit"]


def plan(spec: BatchSpec) -> Plan:
    """Check a batch prediction against this machine and return the request; nothing is written.

    Args:
        spec: What to predict.

    Raises:
        UsageError: A signature or feature that the model does not have, or an output path that may not be written to.
        DataError: An input is not there, or is no file of the format, or holds nothing that the model takes.
        ModelError: There is no such model, or it cannot be read.
        MissingExtraError: What reads and writes the lines is not installed.
    """
    if importlib.util.find_spec("orjson") is None:
        raise MissingExtraError("orjson, which reads and writes the lines,", "serve")
    model, trust_pickle, notes = _model_folder(spec)
    signatures = signature_of(model, trust_pickle=trust_pickle)
    paths = find_inputs(list(map(str, spec.input_paths)))
    check_format(paths, spec.data_format)
    output = check_output(str(spec.output_path), list(map(str, spec.input_paths)), paths)
    signature, features = _chosen(spec, signatures, paths)
    inputs = stamps(paths)
    fingerprint = _fingerprint(str(model), _stamps_below(model), inputs, spec.data_format, signature.name, features)
    _check_free(output, fingerprint)
    cores = this_machine().cores
    folder = home_folder("jobs") / spec.name
    job = spec.job()
    request = {
        "jobId": spec.name,
        "labels": dict(job.labels),
        "predictionInput": spec.prediction_input(),
        "local": {
            "note": _note(spec, signature, features, paths, cores),
            "notes": notes,
            "cluster": {"counts": {"chief": 1}, "threads": None, "gpus": []},
            "replicas": {FIRST: own_files(folder, FIRST)},
            "command": [sys.executable, "-m", CONTROLLER, str(folder)],
            "cwd": os.getcwd(),
            "environment": {
                "PYTHONUNBUFFERED": "1",
                "MLHELPERS_HOME": str(current().home),
                "PYTHONPATH": python_path(),
            },
            "folder": str(folder),
            "prediction": {
                "model": str(model),
                "trust_pickle": trust_pickle,
                "signature_name": signature.name,
                "features": features,
                "data_format": spec.data_format,
                "inputs": inputs,
                "output": str(output),
                "output_path": str(spec.output_path),
                "batch_size": spec.batch_size,
                "workers": min(spec.max_workers, cores),
                "cores": cores,
                "fingerprint": fingerprint,
            },
        },
    }
    return Plan("local", job, request)


def submit(plan: Plan) -> list[str]:
    """Start a batch prediction and return at once.

    Args:
        plan: As `plan` made it.

    Returns:
        What else there is to know, as sentences: nothing that the plan does not say.

    Raises:
        JobError: The name is taken, or the job cannot be made.
    """
    backend().submit(plan)
    return []


def job(name: str) -> Job:
    """Return a batch prediction by its name, from any process."""
    return Job(name, backend())


def bill(plan: Plan) -> Bill | None:
    """Return None: what runs here costs nothing."""
    return None


def _model_folder(spec: BatchSpec) -> tuple[Path, bool, list[str]]:
    """Return the folder of the model, whether its owner has vouched for a pickle in it, and what is to be said of it.

    A batch takes one version, whose predictions then are all of one kind. Where a model's requests are split over
    several and none is named, that is the default one, and it is said.
    """
    if spec.model_dir is not None:
        return find_export(spec.model_dir), False, []
    assert spec.model is not None
    store = ModelStore()
    version = store.version(spec.model, spec.version)
    traffic = {} if spec.version is not None else store.model(spec.model).traffic
    notes = []
    if len(traffic) > 1 or (traffic and version.name not in traffic):
        told = ", ".join(f"{name} {share} %" for name, share in traffic.items())
        notes.append(
            f"The requests to {spec.model} are split ({told}); a batch takes one version, here the default one, "
            f"{version.name}. Name another with --version."
        )
    return find_export(version.folder), version.trust_pickle, notes


def _chosen(spec: BatchSpec, model: ModelSignature, paths: Sequence[Path]) -> tuple[Signature, dict[str, str] | None]:
    """Return the signature for the whole batch, and input -> feature where its records are examples."""
    item = next(filter(None, (first_item(path, spec.data_format) for path in paths if path.stat().st_size)), None)
    if item is None:
        raise DataError(f"{paths[0]} holds nothing but empty lines, or damaged records.")
    if spec.signature_name is not None and spec.signature_name not in model.signatures:
        raise unknown_name("signature", spec.signature_name, model.signatures)
    named = model.signatures[spec.signature_name or model.default]
    if spec.data_format == "text":
        return _for_line(spec, model, named, item), None
    if takes_one_text(named) and not spec.features:
        return named, None
    try:
        parse_features(item)
    except PredictionError as error:
        raise DataError(f"{paths[0]}: {error} Only a model that takes one text or bytes takes such records.") from None
    faults = []
    for signature in [named] if spec.signature_name else [named, *model.signatures.values()]:
        if spec.features and not spec.features.keys() <= signature.inputs.keys():
            faults.append(
                str(unknown_name(f"input of {signature.name!r}", next(iter(spec.features)), signature.inputs))
            )
            continue
        try:
            return signature, match_features(signature, spec.features, item)
        except PredictionError as error:
            faults.append(str(error))
    raise DataError(f"{paths[0]}, the first record: {faults[0]}")


def _for_line(spec: BatchSpec, model: ModelSignature, named: Signature, line: bytes) -> Signature:
    """Return the signature for lines of which this is the first; an unreadable one will be told with the errors."""
    if spec.signature_name is not None:
        return named
    try:
        instance, _ = without_key(named, instance_reader(named, "text", None)(line))
    except PredictionError:
        return named
    is_object = isinstance(instance, dict) and instance.keys() != {"b64"}
    return model.choose(None, frozenset(map(str, instance)) if is_object else None)


def _check_free(output: Path, fingerprint: str) -> None:
    """Refuse a folder that holds the answers of another batch; what this one has left unfinished is gone on from."""
    state = State(output)
    known = state.request()
    if state.is_held():
        raise UsageError(f"{output} is being filled by the job {known.get('job', 'of another')}. Name another folder.")
    if known and known.get("fingerprint") == fingerprint:
        return
    if there := results_in(output):
        whose = f"a part of the job {known['job']}, which was ended before it was done" if known else "another batch"
        raise UsageError(
            f"The output path {str(output)!r} holds the answers of {whose}, as {there[0]}. They are not overwritten: "
            "name another folder, or delete them."
        )


def _fingerprint(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _stamps_below(folder: Path) -> list[list[Any]]:
    return stamps(sorted(path for path in folder.rglob("*") if path.is_file()))


def _note(
    spec: BatchSpec, signature: Signature, features: Mapping[str, str] | None, paths: Sequence[Path], cores: int
) -> str:
    size = sum(path.stat().st_size for path in paths) / 1e6
    count = min(spec.max_workers, cores)
    parts = [
        f"{len(paths)} file{'' if len(paths) == 1 else 's'} of {size:,.1f} MB in all",
        f"the signature {signature.name!r}",
        f"{count} worker{'' if count == 1 else 's'} at most on {cores} core{'' if cores == 1 else 's'}",
    ]
    if features:
        pairs = ", ".join(f"{name!r} from the feature {feature!r}" for name, feature in features.items())
        parts.insert(2, pairs)
    return "; ".join(parts) + "."
