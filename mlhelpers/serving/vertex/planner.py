"""Plans of versions and deployments for the place in force, what they cost, and whether they may be carried out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.jobs.base import Bill
from mlhelpers.serving.registry.places import VersionPlan
from mlhelpers.serving.registry.reading import unknown
from mlhelpers.serving.registry.resources import CLOUD_FIELDS
from mlhelpers.serving.vertex import plans
from mlhelpers.serving.vertex.bill import serving_bill
from mlhelpers.serving.vertex.names import BUCKET, PROJECT, Where, planned, refuse_placeholders
from mlhelpers.serving.vertex.reading import VertexReader

__all__ = ["VertexPlanner"]


class VertexPlanner(VertexReader):
    """The models of a project and region, looked at and planned; nothing is changed here."""

    def plan_version(
        self,
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
        """Say all that making a version will do, without an account or a network; see `plans.plan_version`."""
        for name in cloud or {}:
            if name not in CLOUD_FIELDS:
                raise unknown("field of a version", name, list(CLOUD_FIELDS))
        return plans.plan_version(
            self.where,
            model,
            version,
            origin,
            description=description,
            labels=labels,
            trust_pickle=trust_pickle,
            framework=framework,
            cloud=cloud,
            container_image=container_image,
            deploy=deploy,
        )

    def plan_deploy(self, model: str, version: str, cloud: Mapping[str, Any] | None = None) -> VersionPlan:
        """Say what deploying a version that is there will do, without an account or a network."""
        return plans.plan_deploy(self.where, model, version, cloud)

    def bill(self, plan: VersionPlan) -> Bill | None:
        """Return what a plan's deployment costs for as long as it stands; None without one, or in an emulator."""
        if "deployModel" not in plan.request or self.place.is_here:
            return None
        resources = plan.request["deployModel"]["deployedModel"]["dedicatedResources"]
        return serving_bill(
            f"{plan.model}/{plan.version} on its endpoint",
            self.place.region,
            resources["machineSpec"]["machineType"],
            resources["minReplicaCount"],
            resources["maxReplicaCount"],
            f"until  mlhelpers versions undeploy {plan.version} --model {plan.model} --backend vertex",
        )

    def checked(self, plan: VersionPlan) -> Where:
        """Return where a plan may be carried out: the place in force.

        Raises:
            UsageError: It was made for nowhere, or for another place.
        """
        first = plan.request.get("uploadModel", {}).get("parent") or plan.request["deployModel"]["endpoint"]
        asked, files = first.partition("/endpoints/")[0], str(plan.request.get("files", {}).get("to", ""))
        here = self.place
        project = PROJECT if f"projects/{PROJECT}/" in asked else here.project
        refuse_placeholders(Where(project, here.region, BUCKET if files.startswith(f"gs://{BUCKET}/") else "named"))
        if asked != self.place.parent:
            raise UsageError(f"This was planned for {asked}, and {self.place.parent} is in force. Plan again.")
        return planned(self.place)
