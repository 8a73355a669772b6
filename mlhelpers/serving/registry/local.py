"""The model store as one of the places of `places.py`: a version is planned first, then made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import ModelError, UsageError
from mlhelpers.serving.registry.intake import Export, examine
from mlhelpers.serving.registry.places import VersionPlan
from mlhelpers.serving.registry.resources import Version, check_name
from mlhelpers.serving.registry.store import ModelStore
from mlhelpers.storage import local_path

if TYPE_CHECKING:
    from mlhelpers.serving.predictor import Predictor

__all__ = ["LocalRegistry", "export_notes", "registry"]


_ANSWERS = (
    "On this machine every version answers from its files for as long as it is there, and {model}/{version} needs no "
    "deployment. For Vertex AI write --backend vertex."
)


class LocalRegistry(ModelStore):
    """The models of this machine; every version is ready to answer, and nothing costs anything."""

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
        """Say what making a version will do, without writing anything.

        Args:
            model: The model it belongs to.
            version: 1 to 128 letters, digits and underscores, first a letter.
            origin: The export folder, or one of timestamps of which the newest is taken, or gs://bucket/path.
            description: What is special about it.
            labels: Your own marks.
            trust_pickle: Whether a pickle in it may be opened.
            framework: "tensorflow", "scikit-learn" or "xgboost".
            cloud: Fields that say how the cloud would serve it; here they are only kept.
            container_image: For the cloud; refused here.
            deploy: For the cloud; here a version is ready once it is made.

        Raises:
            UsageError: A name is malformed, the framework is another one, or an image was named.
            UnknownModelError: There is no such model.
            ModelError: There is such a version already, or the origin is no export that may be copied.
        """
        check_name("version", version)
        self.model(model)
        if version in [one.name for one in self.list_versions(model)]:
            raise ModelError(
                f"The model {model!r} has a version {version!r} already. Choose another name, or delete it."
            )
        if container_image is not None or not deploy:
            raise UsageError(
                "--container-image-uri and --no-deploy are said to the cloud; here a version answers from its files. "
                "Leave them out, or write --backend vertex."
            )
        export = examine(origin, framework, trust_pickle)
        request = {
            "model": model,
            "name": version,
            "origin": str(export.folder),
            "description": description,
            "labels": dict(labels or {}),
            "trustPickle": trust_pickle,
            "framework": framework,
            "cloud": dict(cloud or {}),
        }
        notes = [*export_notes(origin, export), *_asked(cloud or {})]
        shown = {name: value for name, value in request.items() if value}
        return VersionPlan(model, version, shown, tuple(notes), export)

    def plan_deploy(self, model: str, version: str, cloud: Mapping[str, Any] | None = None) -> VersionPlan:
        """Refuse: there is nothing to deploy.

        Raises:
            UsageError: Always.
        """
        raise UsageError(_ANSWERS.format(version=version, model=model))

    def bill(self, plan: VersionPlan) -> None:
        """Return None: what answers here costs nothing."""

    def deploy(self, plan: VersionPlan) -> Version:
        """Refuse: a version that is there answers.

        Raises:
            UsageError: Always.
        """
        raise UsageError(_ANSWERS.format(version=plan.version, model=plan.model))

    def undeploy(self, model: str, version: str) -> Version:
        """Refuse: a version that is there answers.

        Raises:
            UsageError: Always.
        """
        raise UsageError(_ANSWERS.format(version=version, model=model))

    def connect(self, model: str, version: str | None = None) -> Predictor:
        """Return a predictor of a version of the store, or of its default, in this process; errors as `version`."""
        from mlhelpers.serving.predictor import load

        found = self.version(model, version)
        return load(f"{found.model}/{found.name}")

    def create(self, plan: VersionPlan) -> Version:
        """Make the version that was planned; errors as `create_version`."""
        request = plan.request
        return self.create_version(
            plan.model,
            plan.version,
            request["origin"],
            description=request.get("description", ""),
            labels=request.get("labels"),
            trust_pickle=request.get("trustPickle", False),
            framework=request.get("framework"),
            cloud=request.get("cloud"),
        )


def export_notes(origin: str | os.PathLike[str], export: Export) -> list[str]:
    """Return what should be known about where an export was found, and what it says of itself."""
    notes = []
    if os.fspath(local_path(origin).absolute().resolve()) != os.fspath(export.folder):
        notes.append(f"Took the newest export: {export.folder}")
    said = export.signature
    if derived_from := said.document.get("derived_from"):
        notes.append(f"It came without a signature.json; {derived_from} itself says: {said.choose(None, None)}.")
        notes += [f"Left out, {name}: {reason}." for name, reason in said.document.get("left_out", {}).items()]
    return notes


def _asked(cloud: Mapping[str, Any]) -> list[str]:
    asked = {"runtime": cloud.get("runtimeVersion"), "Python": cloud.get("pythonVersion")}
    named = " and ".join(f"{what} {number}" for what, number in asked.items() if number)
    return [f"Asked for {named}; what is installed here answers instead."] if named else []


def registry() -> LocalRegistry:
    """Return the model store in force: the backend "local" of `serving.models`."""
    return LocalRegistry()
