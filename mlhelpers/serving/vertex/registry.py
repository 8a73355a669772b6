"""Models and versions on Vertex AI, by the same calls as the store on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlhelpers.cloud.clients import client
from mlhelpers.cloud.refusals import asking
from mlhelpers.errors import CloudError, ModelError, UsageError
from mlhelpers.labels import relabelled
from mlhelpers.serving.registry.places import VersionPlan
from mlhelpers.serving.vertex import deploying, lookups, plans
from mlhelpers.serving.vertex.making import ROLE, look, wait_for
from mlhelpers.serving.vertex.names import DEFAULT, MARK, planned
from mlhelpers.serving.vertex.planner import VertexPlanner
from mlhelpers.serving.vertex.records import CloudModel, CloudVersion, deployed_versions, model_record, version_record

__all__ = ["VertexRegistry", "registry"]


class VertexRegistry(VertexPlanner):
    """The models of a project and region.

    Plans need neither account nor network; everything else asks Vertex AI. The methods that `ModelStore` has too take
    and raise the same, and `CloudError` where the service refuses or does not answer.

    Taught in notebook 08.
    """

    def create_model(
        self,
        name: str,
        *,
        description: str = "",
        regions: str | tuple[str, ...] = (),
        labels: Mapping[str, str] | None = None,
    ) -> CloudModel:
        """Make the endpoint that answers for a model; empty, it costs nothing.

        Raises:
            UsageError: The name or a label is malformed, or the region is not the one in force.
            ModelError: There is such a model already.
            CloudError: The service refused, or did not answer.
        """
        here = self.place
        named = (regions,) if isinstance(regions, str) else tuple(regions)
        if other := [region for region in named if region != here.region]:
            raise UsageError(
                f"The model was to be in {', '.join(other)}, and the region in force is {here.region}. Set it with  "
                f'mlhelpers.use(region="{other[0]}")  or  export MLHELPERS_REGION={other[0]}'
            )
        request = plans.plan_model(planned(here), name, description, labels)
        if lookups.find_endpoint(here, name) is not None:
            raise ModelError(f"There is a model {name!r} already. Add a version to it, or choose another name.")
        made = deploying.make_endpoint(here, name, request)
        return model_record(name, here.region, made, lookups.find_model(here, name))

    def update_model(
        self,
        name: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        clear_labels: bool = False,
    ) -> CloudModel:
        """Change what is said of a model's endpoint, or of its Model where it has no endpoint."""
        endpoint, model = lookups.known(self.place, name)
        if endpoint is None:
            changed = _changes(model, description, labels, clear_labels, "description")
            self._update("models", model.name.partition("@")[0], changed)
        else:
            changed = _changes(endpoint, description, labels, clear_labels, "description")
            self._update("endpoints", endpoint.name, changed)
        return self.model(name)

    def set_traffic(self, model: str, traffic: Mapping[str, int]) -> CloudModel:
        """Share the requests out over the versions that are deployed; empty gives all to the default version."""
        endpoint = self.endpoint(model)
        wanted = traffic or {self.version(model).name: 100}
        split = plans.traffic_to(deployed_versions(endpoint), wanted)
        endpoint = deploying.set_split(self.place, endpoint, split)
        return model_record(model, self.place.region, endpoint, lookups.find_model(self.place, model))

    def delete_model(self, name: str) -> None:
        """Delete the endpoint of a model that has no versions.

        Raises:
            UnknownModelError: There is no such model.
            ModelError: It still has versions.
            CloudError: The service refused, or did not answer.
        """
        endpoint, _ = lookups.known(self.place, name)
        versions = list(lookups.all_versions(self.place, name))
        there = versions or sorted(deployed_versions(endpoint))
        if there:
            raise ModelError(
                f"The model {name!r} still has versions: {', '.join(there[:10])}. Delete them first:  "
                f"mlhelpers versions delete {there[0]} --model {name} --backend vertex"
            )
        what = f"delete the endpoint of {name!r}"
        with asking(what, ROLE):
            operation = client("endpoints", self.place).delete_endpoint(name=endpoint.name)
        wait_for(what, operation)
        deploying.forget(name, "endpoint", self.place)

    def create(self, plan: VersionPlan) -> CloudVersion:
        """Make the version that was planned: upload its files and the Model, make the endpoint, deploy.

        Where the model has versions already, this one becomes a child of it, and default and traffic stay.

        Raises:
            UsageError: It was planned without a project or bucket, or for another place.
            ModelError: There is such a version already.
            DataError: A file of the export cannot be read.
            CloudError: The service refused, or did not answer.
        """
        here, where = self.place, self.checked(plan)
        if "uploadModel" not in plan.request:
            return self.deploy(plan)
        versions = lookups.all_versions(here, plan.model)
        if plan.version in versions:
            raise ModelError(
                f"The model {plan.model!r} has a version {plan.version!r} already. Choose another name, or delete it."
            )
        if versions or lookups.find_model(here, plan.model) is not None:
            plan = plans.as_later(plan, where)
        title = f"{plan.model}/{plan.version}"
        if plan.export is not None:
            deploying.upload_files(here, plan.export, plan.request["files"]["to"], title)
        deploying.upload_model(here, plan.model, plan.version, plan.request["uploadModel"])
        if "deployModel" not in plan.request:
            return self.version(plan.model, plan.version)
        try:
            if lookups.find_endpoint(here, plan.model) is None:
                deploying.make_endpoint(here, plan.model, plan.request["createEndpoint"])
            return self.deploy(plan)
        except CloudError as error:
            raise CloudError(
                f"{error} The version {title} is uploaded, and not deployed. Try that again with  "
                f"mlhelpers versions deploy {plan.version} --model {plan.model} --backend vertex"
            ) from error

    def deploy(self, plan: VersionPlan) -> CloudVersion:
        """Put a version on its model's endpoint, as it was planned; it costs money for as long as it stands.

        Raises:
            UsageError: It was planned without a project, or for another place.
            UnknownModelError: There is no such model or version.
            ModelError: It is deployed already.
            CloudError: The service refused, or did not answer.
        """
        here = self.place
        self.checked(plan)
        self.found(plan.model, plan.version)
        if lookups.find_endpoint(here, plan.model) is None:
            deploying.make_endpoint(here, plan.model, plans.plan_model(planned(here), plan.model))
        deploying.deploy(here, plan.model, plan.version, plan.request["deployModel"])
        return self.version(plan.model, plan.version)

    def undeploy(self, model: str, version: str) -> CloudVersion:
        """Take a version off its endpoint; from then on it costs nothing, and only batch predictions can use it.

        Raises:
            UnknownModelError: There is no such model or version.
            ModelError: It is not deployed, or others are and it has a share of the requests.
            CloudError: The service refused, or did not answer.
        """
        endpoint = self.endpoint(model)
        record = version_record(model, self.found(model, version), endpoint)
        if not record.deployed_id:
            raise ModelError(f"{model}/{version} is not deployed.")
        _check_share(model, record, sorted(set(deployed_versions(endpoint)) - {version}))
        deploying.undeploy(self.place, endpoint, version)
        return self.version(model, version)

    def update_version(
        self,
        model: str,
        version: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        clear_labels: bool = False,
    ) -> CloudVersion:
        """Change the description and the labels of a version; its files stay as they are."""
        found = self.found(model, version)
        changed = _changes(found, description, labels, clear_labels, "version_description")
        self._update("models", f"{found.name.partition('@')[0]}@{found.version_id}", changed)
        return self.version(model, version)

    def set_default(self, model: str, version: str) -> CloudVersion:
        """Give a version the alias `default`, and all requests where the model has an endpoint in use.

        Raises:
            UnknownModelError: There is no such model or version.
            ModelError: Others are deployed, and this one is not.
            CloudError: The service refused, or did not answer.
        """
        found, endpoint = self.found(model, version), lookups.find_endpoint(self.place, model)
        deployed = deployed_versions(endpoint)
        if deployed and version not in deployed:
            raise ModelError(
                f"{model}/{version} is not deployed, so it cannot answer. Deploy it first:  "
                f"mlhelpers versions deploy {version} --model {model} --backend vertex"
            )
        name = f"{found.name.partition('@')[0]}@{found.version_id}"

        def ask(retry: Any) -> Any:
            return client("models", self.place).merge_version_aliases(name=name, version_aliases=[DEFAULT], retry=retry)

        look(f"make {version} the default version of {model!r}", ask)
        if deployed:
            deploying.set_split(self.place, endpoint, {deployed[version]: 100})
        return self.version(model, version)

    def delete_version(self, model: str, version: str) -> None:
        """Take a version down and delete it, with the files that were uploaded for it from here.

        Raises:
            UnknownModelError: There is no such model or version.
            ModelError: It is the default and there are others, or it has requests that would go to nobody.
            CloudError: The service refused, or did not answer.
        """
        found, endpoint = self.found(model, version), lookups.find_endpoint(self.place, model)
        record = version_record(model, found, endpoint)
        others = [name for name in lookups.all_versions(self.place, model) if name != version]
        if record.deployed_id:
            _check_share(model, record, sorted(set(deployed_versions(endpoint)) - {version}))
        if record.is_default and others:
            raise ModelError(
                f"{version!r} is the default version of {model!r} and goes last. Choose another default first:  "
                f"mlhelpers versions set-default {others[0]} --model {model} --backend vertex"
            )
        if record.deployed_id:
            deploying.undeploy(self.place, endpoint, version)
        what, models = f"delete {model}/{version}", client("models", self.place)
        with asking(what, ROLE):
            if others:
                operation = models.delete_model_version(name=record.resource)
            else:  # the last one goes with the Model itself
                operation = models.delete_model(name=record.resource.partition("@")[0])
        wait_for(what, operation)
        title = f"{model}/{version}"
        deploying.forget(title, "model", self.place)
        deploying.delete_files(self.place, record.origin)

    def _update(self, kind: str, name: str, changed: Mapping[str, Any]) -> None:
        what, method = kind[:-1], getattr(client(kind, self.place), f"update_{kind[:-1]}")
        request = {what: {"name": name, **changed}, "update_mask": {"paths": list(changed)}}
        look(f"change {name}", lambda retry: method(request=request, retry=retry))


def registry() -> VertexRegistry:
    """Return the models of the project and region in force: the backend "vertex" of `serving.models`."""
    return VertexRegistry()


def _check_share(model: str, record: CloudVersion, others: list[str]) -> None:
    """Refuse to take down a version that has requests, while another is there to get them."""
    if record.traffic and others:
        rest = f"{others[0]}=100" if len(others) == 1 else "VERSION=PERCENT …"
        raise ModelError(
            f"{record.name!r} has {record.traffic} percent of the traffic of {model!r}. Give its share to others "
            f"first:  mlhelpers models set-traffic {model} {rest} --backend vertex"
        )


def _changes(
    resource: Any, description: str | None, labels: Mapping[str, str | None] | None, clear: bool, field: str
) -> dict[str, Any]:
    """Return the fields to change; our own mark stays."""
    changed: dict[str, Any] = {} if description is None else {field: description}
    if labels or clear:
        kept = {MARK: resource.labels[MARK]} if MARK in resource.labels else {}
        changed["labels"] = relabelled(dict(resource.labels), labels or {}, clear) | kept
    return changed
