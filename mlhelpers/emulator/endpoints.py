"""Endpoints: models deployed side by side, the traffic between them, and predictions."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from mlhelpers.emulator.messages import RefusedError, honoured, new_id, now, operation, parsed
from mlhelpers.emulator.models import changed_fields, resolved, store_name
from mlhelpers.emulator.records import page
from mlhelpers.emulator.routing import Handler, Request
from mlhelpers.errors import MLHelpersError, UsageError
from mlhelpers.serving import load
from mlhelpers.serving.registry.traffic import check_traffic, rotation

__all__ = ["ENDPOINT_ROUTES"]

# kept and shown, without effect here: the resources and the service account of a deployed model
_DEPLOYED = ("id", "model", "displayName", "dedicatedResources", "automaticResources", "serviceAccount")
_RESOURCES = ("dedicatedResources", "automaticResources")
_CHANGED = ("displayName", "description", "labels", "trafficSplit")
_loaded: dict[str, tuple[Any, threading.Lock]] = {}  # deployed model's id -> its predictor, which one asks at a time
_turns: dict[tuple[str, tuple[tuple[str, int], ...]], Iterator[str]] = {}


def _create(asked: Request) -> dict[str, Any]:
    endpoint = parsed("Endpoint", asked.body)
    honoured("Endpoint", endpoint, ["displayName", "description", "labels"])
    if not endpoint.get("displayName"):
        raise RefusedError("INVALID_ARGUMENT", "Endpoint.displayName is required.")
    name = f"{asked.parent}/endpoints/{asked.query.get('endpointId') or new_id()}"
    if asked.records.has(name):
        raise RefusedError("ALREADY_EXISTS", f"The endpoint {name} is there already.")
    found = {"name": name, **endpoint, "createTime": now(), "updateTime": now()}
    asked.records.put(name, found)
    return operation(name, "CreateEndpoint", "Endpoint", found)


def _get(asked: Request) -> dict[str, Any]:
    return asked.records.get(asked.name)


def _list(asked: Request) -> dict[str, Any]:
    return page(asked.records.all(asked.parent, "endpoints"), "endpoints", asked.query)


def _patch(asked: Request) -> dict[str, Any]:
    sent, endpoint = parsed("Endpoint", asked.body), asked.records.get(asked.name)
    for field in changed_fields(asked, _CHANGED):
        endpoint.pop(field, None)
        endpoint |= {field: sent[field]} if field in sent else {}
    _keep(asked, endpoint)
    return endpoint


def _deploy(asked: Request) -> dict[str, Any]:
    request = parsed("DeployModelRequest", {"endpoint": asked.name, **asked.body})
    fields = ["endpoint", "trafficSplit", *(f"deployedModel.{field}" for field in _DEPLOYED)]
    honoured("DeployModelRequest", request, fields)
    endpoint, deployed = asked.records.get(asked.name), request.get("deployedModel", {})
    record, version = resolved(asked, deployed.get("model", ""))
    own = {
        "id": deployed.get("id") or new_id(),
        "model": record["name"],
        "modelVersionId": version,
        "createTime": now(),
    }
    if own["id"] in [one["id"] for one in endpoint.get("deployedModels", [])]:
        raise RefusedError("ALREADY_EXISTS", f"{asked.name} has a deployed model {own['id']} already.")
    deployed = {"displayName": record["versions"][version]["displayName"], **deployed, **own}
    _predictor(deployed)  # what cannot be loaded is not deployed
    endpoint["deployedModels"] = [*endpoint.get("deployedModels", []), deployed]
    if split := request.get("trafficSplit"):
        endpoint["trafficSplit"] = {own["id"] if key == "0" else key: share for key, share in split.items()}
    _keep(asked, endpoint)
    return operation(asked.name, "DeployModel", "DeployModelResponse", {"deployedModel": deployed})


def _undeploy(asked: Request) -> dict[str, Any]:
    request = parsed("UndeployModelRequest", {"endpoint": asked.name, **asked.body})
    honoured("UndeployModelRequest", request, ["endpoint", "deployedModelId", "trafficSplit"])
    endpoint, number = asked.records.get(asked.name), request.get("deployedModelId", "")
    _deployed(endpoint, number)
    rest = [one for one in endpoint["deployedModels"] if one["id"] != number]
    split = request.get("trafficSplit") or endpoint.get("trafficSplit", {})
    split = {key: share for key, share in split.items() if share or key != number}
    if rest and split.get(number):
        share = f"The deployed model {number} has {split[number]} percent of the traffic."
        raise RefusedError("FAILED_PRECONDITION", f"{share} Give it to others first, or in trafficSplit.")
    endpoint |= {"deployedModels": rest, "trafficSplit": split if rest else {}}
    _keep(asked, endpoint)
    _loaded.pop(number, None)
    return operation(asked.name, "UndeployModel", "UndeployModelResponse")


def _mutate(asked: Request) -> dict[str, Any]:
    request = parsed("MutateDeployedModelRequest", {"endpoint": asked.name, **asked.body})
    honoured("MutateDeployedModelRequest", request, ["endpoint", "deployedModel", "updateMask"])
    endpoint, sent = asked.records.get(asked.name), request.get("deployedModel", {})
    deployed = _deployed(endpoint, sent.get("id", ""))
    for path in request.get("updateMask", "").split(","):
        kind, _, field = path.partition(".")
        if kind not in _RESOURCES or field not in ("minReplicaCount", "maxReplicaCount"):
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not change {path!r} of a deployed model.")
        deployed[kind] = {**deployed.get(kind, {}), field: sent.get(kind, {}).get(field, 0)}
    endpoint["deployedModels"] = [
        deployed if one["id"] == deployed["id"] else one for one in endpoint["deployedModels"]
    ]
    _keep(asked, endpoint)
    return operation(asked.name, "MutateDeployedModel", "MutateDeployedModelResponse", {"deployedModel": deployed})


def _delete(asked: Request) -> dict[str, Any]:
    if asked.records.get(asked.name).get("deployedModels"):
        raise RefusedError("FAILED_PRECONDITION", f"{asked.name} has deployed models. Undeploy them first.")
    asked.records.delete(asked.name)
    return operation(asked.name, "Delete")


def _predict(asked: Request) -> dict[str, Any]:
    for field in asked.body:  # the instances may be any JSON: parsing them as messages would take longer than the model
        if field not in ("instances", "parameters"):
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not honour the field {field} of PredictRequest.")
    instances = asked.body.get("instances")
    if not isinstance(instances, list):
        raise RefusedError("INVALID_ARGUMENT", "PredictRequest.instances is required, a list.")
    endpoint = asked.records.get(asked.name)
    split = {key: share for key, share in endpoint.get("trafficSplit", {}).items() if share}
    if not split:
        raise RefusedError("FAILED_PRECONDITION", f"{asked.name} has no deployed model with traffic.")
    turns = _turns.setdefault((asked.name, tuple(split.items())), rotation(split))
    deployed = _deployed(endpoint, next(turns))
    predictor, asking = _predictor(deployed)
    with asking:
        try:
            found = predictor.predict(instances, None, asked.body.get("parameters"))
        except MLHelpersError as error:
            raise RefusedError("INVALID_ARGUMENT", str(error)) from error
    about = {"model": deployed["model"], "modelVersionId": deployed["modelVersionId"]}
    return {
        "predictions": found,
        "deployedModelId": deployed["id"],
        **about,
        "modelDisplayName": deployed["displayName"],
    }


def _keep(asked: Request, endpoint: dict[str, Any]) -> None:
    """Keep a changed endpoint whose split is one."""
    if split := endpoint.get("trafficSplit"):
        for key in split:
            _deployed(endpoint, key)
        try:
            check_traffic(split)
        except UsageError as error:
            raise RefusedError("INVALID_ARGUMENT", str(error)) from error
    endpoint["updateTime"] = now()
    asked.records.put(asked.name, endpoint)


def _deployed(endpoint: Mapping[str, Any], number: str) -> dict[str, Any]:
    for one in endpoint.get("deployedModels", []):
        if one["id"] == number:
            return dict(one)
    raise RefusedError("INVALID_ARGUMENT", f"{endpoint['name']} has no deployed model {number!r}.")


def _predictor(deployed: Mapping[str, Any]) -> tuple[Any, threading.Lock]:
    """Return what answers for a deployed model, loaded when it is first needed."""
    number = deployed["id"]
    if number not in _loaded:
        stored = store_name(deployed["model"].rpartition("/")[2])
        _loaded[number] = (load(f"{stored}/v{deployed['modelVersionId']}"), threading.Lock())
    return _loaded[number]


ENDPOINT_ROUTES: Mapping[str, Handler] = {
    "POST endpoints": _create,
    "GET endpoints": _list,
    "GET endpoints/*": _get,
    "PATCH endpoints/*": _patch,
    "DELETE endpoints/*": _delete,
    "POST endpoints/*:deployModel": _deploy,
    "POST endpoints/*:undeployModel": _undeploy,
    "POST endpoints/*:mutateDeployedModel": _mutate,
    "POST endpoints/*:predict": _predict,
}
