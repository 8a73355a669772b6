"""A model and a version as Vertex AI has them, in the words of the old service, which the commands print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlhelpers.serving.registry.resources import Model
from mlhelpers.serving.vertex.names import DEFAULT, MARK, to_version

__all__ = ["CloudModel", "CloudVersion", "deployed_versions", "model_record", "version_name", "version_record"]


@dataclass(frozen=True)
class CloudModel(Model):
    """A model: an endpoint that answers for it, a Model resource that holds its versions, or one of the two.

    Attributes:
        endpoint: Full name of the Endpoint; empty where there is none.
        resource: Full name of the Model; empty while there is no version.
    """

    endpoint: str = ""
    resource: str = ""

    def describe(self) -> dict[str, Any]:
        """Return the model as plain data, with the cloud's field names."""
        more = {"endpoint": self.endpoint, "model": self.resource}
        return super().describe() | {name: value for name, value in more.items() if value}


@dataclass(frozen=True)
class CloudVersion:
    """A version of a model on Vertex AI.

    Attributes:
        model: The model's name.
        name: The version's name; its number where no alias gives it one.
        number: The number that Vertex AI gave it.
        created: When it was made, RFC 3339 in UTC.
        origin: gs:// address of its files.
        is_default: Whether it has the alias `default`.
        description: What is special about it.
        labels: Your own marks.
        image: The container image that serves it.
        resource: Full name with the version's number.
        deployed_id: Id of its DeployedModel on the model's endpoint; empty where it is not deployed.
        traffic: Its share of the endpoint's requests, in percent.
        resources: machineSpec, minReplicaCount and maxReplicaCount of the deployment; empty where there is none.
    """

    model: str
    name: str
    number: str
    created: str
    origin: str
    is_default: bool
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    image: str = ""
    resource: str = ""
    deployed_id: str = ""
    traffic: int = 0
    resources: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def describe(self) -> dict[str, Any]:
        """Return the version as plain data, with the cloud's field names."""
        resource: dict[str, Any] = {
            "name": self.name,
            "isDefault": self.is_default,
            "deploymentUri": self.origin,
            "createTime": self.created,
            "state": "READY",
            "model": self.resource,
        }
        optional = {
            "description": self.description,
            "labels": dict(self.labels),
            "containerImageUri": self.image,
            "deployedModelId": self.deployed_id,
            "trafficPercent": self.traffic,
            **self.resources,
        }
        return resource | {name: value for name, value in optional.items() if value}


def version_name(model: Any) -> str:
    """Return the name of a version (an `aiplatform_v1.Model`): its alias that is not `default`, else its number."""
    aliases = [alias for alias in model.version_aliases if alias != DEFAULT]
    return to_version(aliases[0]) if aliases else str(model.version_id)


def deployed_versions(endpoint: Any) -> dict[str, str]:
    """Return version -> id of its DeployedModel, for an `aiplatform_v1.Endpoint` or None."""
    if endpoint is None:
        return {}
    return {to_version(one.display_name) or one.id: one.id for one in endpoint.deployed_models}


def model_record(name: str, region: str, endpoint: Any, model: Any) -> CloudModel:
    """Return what Vertex AI says of a model.

    Args:
        name: Its name.
        region: Where it is.
        endpoint: Its `aiplatform_v1.Endpoint`, or None.
        model: The default version of its `aiplatform_v1.Model`, or None.
    """
    first = endpoint if endpoint is not None else model
    names = {number: version for version, number in deployed_versions(endpoint).items()}
    split = {} if endpoint is None else endpoint.traffic_split
    traffic = {names.get(number, number): share for number, share in split.items() if share}
    default = None if model is None else version_name(model)
    return CloudModel(
        name=name,
        description=first.description,
        regions=(region,),
        created=_time(first.create_time),
        default_version=default,
        labels=_labels(first.labels),
        traffic={} if traffic == {default: 100} else traffic,
        endpoint="" if endpoint is None else endpoint.name,
        resource="" if model is None else model.name.partition("@")[0],
    )


def version_record(name: str, model: Any, endpoint: Any) -> CloudVersion:
    """Return what Vertex AI says of a version.

    Args:
        name: The name of its model.
        model: The `aiplatform_v1.Model` of the version.
        endpoint: The model's `aiplatform_v1.Endpoint`, or None.
    """
    version = version_name(model)
    number = deployed_versions(endpoint).get(version, "")
    found = next((one for one in endpoint.deployed_models if one.id == number), None) if number else None
    resources = {}
    if found is not None:
        dedicated = found.dedicated_resources
        resources = {
            "machineType": dedicated.machine_spec.machine_type,
            "minNodes": dedicated.min_replica_count,
            "maxNodes": dedicated.max_replica_count,
        }
    return CloudVersion(
        model=name,
        name=version,
        number=str(model.version_id),
        created=_time(model.version_create_time or model.create_time),
        origin=model.artifact_uri,
        is_default=DEFAULT in model.version_aliases,
        description=model.version_description,
        labels=_labels(model.labels),
        image=model.container_spec.image_uri,
        resource=f"{model.name.partition('@')[0]}@{model.version_id}",
        deployed_id=number,
        traffic=int(endpoint.traffic_split.get(number, 0)) if number else 0,
        resources=resources,
    )


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != MARK}


def _time(stamp: Any) -> str:
    return "" if stamp is None else stamp.isoformat().replace("+00:00", "Z")
