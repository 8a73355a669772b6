"""Versions made, put on their endpoint and taken off, as `plans` says; every one on the ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlhelpers import storage
from mlhelpers.cloud import ledger
from mlhelpers.cloud.clients import client
from mlhelpers.cloud.place import Place
from mlhelpers.cloud.refusals import asking
from mlhelpers.errors import CloudError, DataError, ModelError
from mlhelpers.serving.registry.intake import Export, copy_export
from mlhelpers.serving.vertex.lookups import find_endpoint, find_version
from mlhelpers.serving.vertex.making import ROLE, look, make, wait_for
from mlhelpers.serving.vertex.names import MARK
from mlhelpers.serving.vertex.records import deployed_versions

__all__ = [
    "delete_files",
    "deploy",
    "forget",
    "make_endpoint",
    "parse",
    "set_split",
    "undeploy",
    "upload_files",
    "upload_model",
]


def upload_files(place: Place, export: Export, address: str, title: str) -> None:
    """Copy an export's files into the bucket, with a signature.json where it had none.

    Args:
        place: Where.
        export: The export.
        address: gs:// address of the folder; files there with other contents are not overwritten.
        title: What a person calls it.

    Raises:
        CloudError: The bucket is not there, or refuses.
        DataError: A file cannot be read, or another one is there.
    """
    from mlhelpers.storage.cloud import CloudStore, upload

    with tempfile.TemporaryDirectory(prefix="mlhelpers-") as aside:
        folder = Path(aside) / "model"
        copy_export(export, folder)
        files = {f"{address}/{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*"))}
        files = {target: path for target, path in files.items() if path.is_file()}
        store = CloudStore(place)
        if other := [name for name, _ in store.below(address, store.path(f"{address}/")) if name not in files]:
            raise DataError(
                f"{address} holds {other[0]!r}, which is no part of {title}. Look what it is, and delete it:  "
                f"mlhelpers storage rm -r {address} --backend vertex"
            )
        for target, path in files.items():
            entry = ledger.intend("object", place.project, place.region, target, place.endpoint)
            upload(path, target, place)
            ledger.made(entry, target)


def upload_model(place: Place, model: str, version: str, request: Mapping[str, Any]) -> Any:
    """Make a version: `models.upload`.

    Args:
        place: Where.
        model: The model's name.
        version: The version's name.
        request: The body of an `UploadModelRequest`.

    Returns:
        The version, an `aiplatform_v1.Model`.

    Raises:
        CloudError: The service refused, or did not answer.
    """
    from google.cloud.aiplatform_v1.types import UploadModelRequest

    def send(mark: str) -> Any:
        body = {**request, "model": _marked(request["model"], mark)}
        return client("models", place).upload_model(request=parse(UploadModelRequest, body))

    def find(mark: str) -> Any:
        found = find_version(place, model, version)
        return found if found is not None and found.labels.get(MARK) == mark else None

    what = f"upload {model}/{version}"
    labels = request["model"].get("labels")
    return make(what, "model", place, f"{model}/{version}", send, find, labels, _bare)


def make_endpoint(place: Place, name: str, request: Mapping[str, Any]) -> Any:
    """Make a model's endpoint; empty it costs nothing.

    Args:
        place: Where.
        name: The model's name.
        request: A `CreateEndpointRequest`.

    Returns:
        The `aiplatform_v1.Endpoint`.

    Raises:
        CloudError: The service refused, or did not answer.
    """
    from google.cloud.aiplatform_v1.types import CreateEndpointRequest

    def send(mark: str) -> Any:
        body = {**request, "endpoint": _marked(request["endpoint"], mark)}
        return client("endpoints", place).create_endpoint(request=parse(CreateEndpointRequest, body))

    def find(mark: str) -> Any:
        found = find_endpoint(place, name)
        return found if found is not None and found.labels.get(MARK) == mark else None

    return make(
        f"make the endpoint of {name!r}", "endpoint", place, name, send, find, request["endpoint"].get("labels")
    )


def deploy(place: Place, model: str, version: str, request: Mapping[str, Any]) -> Any:
    """Put a version on its model's endpoint, which costs money from then on; wait until it answers.

    The requests go to it where it is the first there, and stay where they are otherwise.

    Args:
        place: Where.
        model: The model's name.
        version: The version's name.
        request: The body of a `DeployModelRequest`.

    Returns:
        The endpoint afterwards.

    Raises:
        ModelError: It is deployed already.
        CloudError: The service refused, or did not answer.
    """
    from google.cloud.aiplatform_v1.types import DeployModelRequest

    endpoint = find_endpoint(place, model)
    if version in deployed_versions(endpoint):
        raise ModelError(f"{model}/{version} is deployed already. Take it down first, or deploy another version.")
    body = {**request, "endpoint": endpoint.name}
    if endpoint.deployed_models:
        body.pop("trafficSplit", None)

    def send(mark: str) -> Any:
        number = str(10**9 + int(mark, 16) % (9 * 10**9))  # ours, so that it cannot be deployed twice
        deployed = {**request["deployedModel"], "id": number}
        return client("endpoints", place).deploy_model(
            request=parse(DeployModelRequest, {**body, "deployedModel": deployed})
        )

    def find(mark: str) -> Any:
        found = find_endpoint(place, model)
        return found if version in deployed_versions(found) else None

    title = f"{model}/{version}"
    return make(f"deploy {title}", "endpoint", place, title, send, find)


def undeploy(place: Place, endpoint: Any, version: str, split: Mapping[str, int] | None = None) -> None:
    """Take a version off its endpoint; from then on it costs nothing.

    Args:
        place: Where.
        endpoint: The `aiplatform_v1.Endpoint`.
        version: The version's name.
        split: The endpoint's traffic afterwards, by DeployedModel; where None it is left.

    Raises:
        CloudError: The service refused, or did not answer.
    """
    number = deployed_versions(endpoint)[version]
    what = f"take {endpoint.display_name}/{version} off its endpoint"
    with asking(what, ROLE):
        operation = client("endpoints", place).undeploy_model(
            endpoint=endpoint.name, deployed_model_id=number, traffic_split=dict(split or {})
        )
    wait_for(what, operation)
    forget(f"{endpoint.display_name}/{version}", "endpoint", place)


def set_split(place: Place, endpoint: Any, split: Mapping[str, int]) -> Any:
    """Share an endpoint's requests out; the same request twice does no harm, so it is asked again after a fault.

    Args:
        place: Where.
        endpoint: The `aiplatform_v1.Endpoint`.
        split: Id of a DeployedModel -> share in whole percent.

    Returns:
        The endpoint afterwards.

    Raises:
        CloudError: The service refused, or did not answer.
    """
    from google.cloud.aiplatform_v1.types import Endpoint

    changed = Endpoint(name=endpoint.name, traffic_split=dict(split))

    def ask(retry: Any) -> Any:
        words = {"endpoint": changed, "update_mask": {"paths": ["traffic_split"]}}
        return client("endpoints", place).update_endpoint(request=words, retry=retry)

    found = look(f"share out the requests to {endpoint.display_name!r}", ask)
    if found is None:
        raise CloudError(f"The endpoint {endpoint.name} is gone.")
    return found


def parse(message: Any, body: Mapping[str, Any]) -> Any:
    """Return a message of Google's own class from plain data; a field that it does not know is refused."""
    from google.protobuf import json_format

    return message.wrap(json_format.ParseDict(dict(body), message.pb(message())))


def forget(title: str, kind: str, place: Place) -> None:
    """Take off the ledger what is known to be gone."""
    for entry in ledger.entries():
        here = (entry.project, entry.region, entry.endpoint) == (place.project, place.region, place.endpoint)
        if here and (entry.kind, entry.title) == (kind, title):
            ledger.forget(entry)


def delete_files(place: Place, address: str) -> None:
    """Delete the files of a version that were uploaded from here; others stay.

    Args:
        place: Where.
        address: gs:// address of their folder.

    Raises:
        CloudError: The bucket refuses.
    """
    for entry in ledger.entries():
        if entry.kind == "object" and entry.name.startswith(f"{address}/") and entry.endpoint == place.endpoint:
            if storage.exists(entry.name, backend="vertex"):
                storage.delete(storage.plan_delete([entry.name], backend="vertex"), backend="vertex")
            ledger.forget(entry)


def _marked(resource: Mapping[str, Any], mark: str) -> dict[str, Any]:
    return {**resource, "labels": {**resource.get("labels", {}), MARK: mark}}


def _bare(model: Any) -> str:
    """Return the name under which a Model is deleted, with all its versions."""
    return str(model.name).partition("@")[0]
