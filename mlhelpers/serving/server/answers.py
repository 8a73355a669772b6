"""What the three families answer: the same facts, each in the form that its own clients read.

Vertex AI's answers name the model that answered, and its errors are objects with a code (google.rpc.Status in JSON);
the two older families have `{"error": "…"}`.
"""

from __future__ import annotations

from typing import Any

from mlhelpers.serving.registry.resources import Version
from mlhelpers.serving.runtimes import signature_of
from mlhelpers.serving.server.catalogue import Catalogue
from mlhelpers.serving.server.loading import Loader, State
from mlhelpers.serving.server.routes import Family, Route
from mlhelpers.serving.server.wire import as_json
from mlhelpers.serving.signature import ModelSignature

__all__ = ["beside_predictions", "describe", "error_body", "list_names", "signature_of_version", "state"]

# google.rpc.Code, as Google's own HTTP errors spell it
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(family: Family, status: int, text: str) -> bytes:
    """Write an error as the family's clients read it."""
    if family is Family.VERTEX:
        return as_json({"error": {"code": status, "message": text, "status": _CODES.get(status, "UNKNOWN")}})
    return as_json({"error": text})


def beside_predictions(route: Route, version: Version) -> dict[str, Any]:
    """Return what an answer holds besides the predictions: on Vertex AI's paths, who gave them."""
    if route.family is not Family.VERTEX:
        return {}
    return {
        "deployedModelId": version.name,
        "model": f"{route.parent}/models/{version.model}",
        "modelDisplayName": version.model,
        "modelVersionId": version.name,
    }


def list_names(route: Route, catalogue: Catalogue) -> dict[str, Any]:
    """Return the names of what is served."""
    if route.family is Family.VERTEX:
        names = catalogue.names()
        return {"endpoints": [{"name": f"{route.parent}/endpoints/{name}", "displayName": name} for name in names]}
    return {"models": [{"name": name} for name in catalogue.names()]}


def describe(catalogue: Catalogue, loader: Loader, route: Route) -> dict[str, Any]:
    """Return what a version takes and gives, without loading it.

    Raises:
        UnknownModelError: There is no such model or version.
        ModelError: Its signature cannot be read.
    """
    version = catalogue.find(route.model, route.version)
    return {
        "model": version.model,
        "version": version.name,
        "isDefault": version.is_default,
        "signature": dict(signature_of_version(loader, version).document),
    }


def signature_of_version(loader: Loader, version: Version) -> ModelSignature:
    """Return a version's signature, from memory where it is loaded.

    Raises:
        ModelError: It cannot be read.
    """
    served = loader.find(version)
    if served is not None:
        return served.model.signature
    return signature_of(version.folder, trust_pickle=version.trust_pickle)


def state(catalogue: Catalogue, loader: Loader, route: Route) -> dict[str, Any]:
    """Return where a model's versions stand.

    Raises:
        UnknownModelError: There is no such model or version.
    """
    if route.version is None:
        versions = catalogue.versions(route.model)
    else:
        versions = [catalogue.find(route.model, route.version)]
    if route.family is Family.VERTEX:
        return _endpoint(catalogue, route, versions)
    return {"model_version_status": [_version_status(loader, version) for version in versions]}


def _version_status(loader: Loader, version: Version) -> dict[str, Any]:
    where = loader.state(version)
    broken = where == State.END
    return {
        "version": version.name,
        "isDefault": version.is_default,
        "state": where,
        "status": {
            "error_code": "UNKNOWN" if broken else "OK",
            "error_message": "It cannot be loaded; the server's log says why." if broken else "",
        },
    }


def _endpoint(catalogue: Catalogue, route: Route, versions: list[Version]) -> dict[str, Any]:
    return {
        "name": f"{route.parent}/endpoints/{route.model}",
        "displayName": route.model,
        "deployedModels": [
            {"id": version.name, "displayName": version.model, **_names(route, version)} for version in versions
        ],
        "trafficSplit": catalogue.traffic(route.model),
    }


def _names(route: Route, version: Version) -> dict[str, str]:
    beside = beside_predictions(route, version)
    return {"model": beside["model"], "modelVersionId": beside["modelVersionId"]}
