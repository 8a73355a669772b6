"""The requests that making, deploying and sharing out versions takes, as plain data in the words of the REST API.

Pure: needs no account, no network, none of Google's packages. What is not set stands as PROJECT or BUCKET, and is not
sent. A plan is that of a model's first version; for a later one, which only the cloud knows to be one, `as_later` says
what differs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.labels import checked_labels
from mlhelpers.serving.registry.intake import Export, examine
from mlhelpers.serving.registry.local import export_notes
from mlhelpers.serving.registry.places import VersionPlan
from mlhelpers.serving.registry.traffic import check_traffic
from mlhelpers.serving.vertex.images import container_spec, image_notes, own_image
from mlhelpers.serving.vertex.names import DEFAULT, Where, endpoint_id, model_id, to_alias

__all__ = ["MACHINE", "as_later", "plan_deploy", "plan_model", "plan_version", "resources_of", "traffic_to"]

MACHINE = "n1-standard-2"  # what the old service took in a region where none was named
_ITSELF = "0"  # in a traffic split: the model that is being deployed


def plan_model(
    where: Where, name: str, description: str = "", labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the request that makes a model's endpoint, a `CreateEndpointRequest`.

    Args:
        where: Where it shall be.
        name: The model's name.
        description: What it is for.
        labels: Your own marks.

    Raises:
        UsageError: The name or a label is malformed.
    """
    endpoint = {"displayName": name, "description": description, "labels": checked_labels(labels or {})}
    return {
        "parent": where.parent,
        "endpointId": endpoint_id(name),
        "endpoint": {field: value for field, value in endpoint.items() if value},
    }


def plan_version(
    where: Where,
    model: str,
    version: str,
    origin: str | os.PathLike[str],
    *,
    description: str = "",
    labels: Mapping[str, str] | None = None,
    trust_pickle: bool = False,
    framework: str | None = None,
    cloud: Mapping[str, Any] | None = None,
    container_image: str | None = None,
    deploy: bool = True,
) -> VersionPlan:
    """Say all that making a version will do: its files uploaded, the Model made, the endpoint, the deployment.

    Args:
        where: Where it shall be.
        model: The model's name.
        version: The version's name, which becomes its alias.
        origin: The export folder on this machine, or gs://bucket/path of one that lies in the cloud already.
        description: What is special about it.
        labels: Your own marks.
        trust_pickle: Whether a pickle in it may be opened.
        framework: "tensorflow", "scikit-learn" or "xgboost": refused where files on this machine are of another one.
        cloud: machineType and autoScaling {minNodes, maxNodes}; the runtime's versions are noted, the container
            brings its own.
        container_image: The image that serves it; our own server's where None.
        deploy: Whether it is deployed too, which costs money for as long as it stands.

    Raises:
        UsageError: A name, a label, an image or a number of machines is malformed.
        ModelError: The origin is no export that may be copied.
    """
    image = container_image or own_image(where)
    export: Export | None = None
    artifacts, notes = str(os.fspath(origin)).rstrip("/"), image_notes(image)
    steps: dict[str, Any] = {}
    if artifacts.startswith("gs://"):
        notes.append(f"The files are taken where they lie, {artifacts}: they have to be the export itself.")
    else:
        export = examine(origin, framework, trust_pickle)
        notes += export_notes(origin, export)
        artifacts = where.files(model, version)
        steps["files"] = {"from": str(export.folder), "to": artifacts}
    uploaded = {
        "displayName": model,
        "versionAliases": [to_alias(version), DEFAULT],
        "versionDescription": description,
        "labels": checked_labels(labels or {}),
        "artifactUri": artifacts,
        "containerSpec": container_spec(image, trust_pickle),
    }
    steps["uploadModel"] = {
        "parent": where.parent,
        "modelId": model_id(model),
        "model": {field: value for field, value in uploaded.items() if value},
    }
    if any(name in (cloud or {}) for name in ("runtimeVersion", "pythonVersion")):
        notes.append("The runtime's version is noted: what is in the container image answers.")
    plan = VersionPlan(model, version, steps, tuple(notes), export)
    if not deploy:
        return plan
    deployment = plan_deploy(where, model, version, cloud)
    return replace(plan, request={**steps, "createEndpoint": plan_model(where, model), **deployment.request})


def plan_deploy(where: Where, model: str, version: str, cloud: Mapping[str, Any] | None = None) -> VersionPlan:
    """Say what deploying a version that is there will do: the body of a `DeployModelRequest`.

    Args:
        where: Where it shall be.
        model: The model's name.
        version: The version's name.
        cloud: As for `plan_version`.

    Raises:
        UsageError: A name or a number of machines is malformed.
    """
    request = {
        "endpoint": where.endpoint(model),
        "deployedModel": {
            "model": where.model(model, version),
            "displayName": to_alias(version),
            "dedicatedResources": resources_of(cloud or {}),
        },
        "trafficSplit": {_ITSELF: 100},
    }
    return VersionPlan(model, version, {"deployModel": request})


def resources_of(cloud: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dedicatedResources of a deployment.

    Args:
        cloud: machineType, and autoScaling with minNodes and maxNodes.

    Raises:
        UsageError: There would be no machine, or more at least than at most.
    """
    scaling = cloud.get("autoScaling") or {}
    least = scaling.get("minNodes", 1)
    most = scaling.get("maxNodes", max(least, 1))
    if least < 1:
        raise UsageError(f"--min-nodes {least} is refused: a deployment on Vertex AI has 1 machine at least.")
    if least > most:
        raise UsageError(f"--min-nodes {least} is over --max-nodes {most}.")
    machine = cloud.get("machineType") or MACHINE
    return {"machineSpec": {"machineType": machine}, "minReplicaCount": least, "maxReplicaCount": most}


def as_later(plan: VersionPlan, where: Where) -> VersionPlan:
    """Return the plan for a version of a model that has others: a child of its Model, neither default nor asked yet.

    Args:
        plan: What `plan_version` made.
        where: Where it was planned for.
    """
    request = {step: dict(said) for step, said in plan.request.items()}
    upload = request["uploadModel"]
    del upload["modelId"]
    upload["parentModel"] = where.model(plan.model)
    upload["model"] = {**upload["model"], "versionAliases": [to_alias(plan.version)]}
    return replace(plan, request=request)


def traffic_to(deployed: Mapping[str, str], traffic: Mapping[str, int]) -> dict[str, int]:
    """Return an endpoint's trafficSplit.

    Args:
        deployed: Version -> id of its DeployedModel.
        traffic: Version -> its share in whole percent; they sum to 100.

    Raises:
        UsageError: A share is no whole percentage, they do not sum to 100, or a version is not deployed.
    """
    check_traffic(traffic)
    for version in traffic:
        if version not in deployed:
            raise UsageError(
                f"The version {version!r} is not deployed, so no requests can go to it. "
                f"Deployed: {', '.join(sorted(deployed)) or 'none'}."
            )
    return {deployed[version]: share for version, share in traffic.items() if share}
