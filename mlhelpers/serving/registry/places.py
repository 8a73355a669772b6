"""Where models are kept and answer: one word chooses between the store on this machine and Vertex AI.

Both take the same calls, so that a command or a notebook has no branch:

    place = serving.models("vertex")
    place.create_model("MNIST")
    plan = place.plan_version("MNIST", "v1", "output/export/Servo")     # nothing is sent: print it to read it
    place.create(plan)

To add a place: a module with `registry() -> Registry`, and its line in `BACKENDS`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mlhelpers.errors import unknown_name
from mlhelpers.serving.registry.intake import Export
from mlhelpers.serving.registry.resources import Model
from mlhelpers.settings import current

if TYPE_CHECKING:
    from mlhelpers.jobs.base import Bill
    from mlhelpers.serving.predictor import Predictor

__all__ = ["BACKENDS", "Registry", "VersionPlan", "VersionRecord", "models"]

BACKENDS = {
    "local": "mlhelpers.serving.registry.local",
    "vertex": "mlhelpers.serving.vertex.registry",
}


class VersionRecord(Protocol):
    """A version, wherever it is."""

    @property
    def name(self) -> str:
        """The version's name."""
        ...

    @property
    def is_default(self) -> bool:
        """Whether it answers where no version is named."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return it as plain data, with the cloud's field names."""
        ...


@dataclass(frozen=True)
class VersionPlan:
    """What making or deploying a version will do; nothing was sent or written for it.

    Attributes:
        model: The model's name.
        version: The version's name.
        request: Every step with what is sent, as plain data in the words of the API; its text form is YAML.
        notes: What should be known, as sentences.
        export: The examined export on this machine, or None where the files are in a bucket already.
    """

    model: str
    version: str
    request: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    export: Export | None = field(default=None, repr=False)

    def __str__(self) -> str:
        import yaml

        return yaml.safe_dump(dict(self.request), sort_keys=False, allow_unicode=True, width=110)


class Registry(Protocol):
    """What every place offers that keeps models; arguments, returns and errors are those of `ModelStore`."""

    def create_model(
        self,
        name: str,
        *,
        description: str = "",
        regions: str | tuple[str, ...] = (),
        labels: Mapping[str, str] | None = None,
    ) -> Model:
        """Make a model, without versions as yet."""
        ...

    def update_model(
        self,
        name: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        clear_labels: bool = False,
    ) -> Model:
        """Change what is said of a model."""
        ...

    def set_traffic(self, model: str, traffic: Mapping[str, int]) -> Model:
        """Share the requests that name no version out over versions, in whole percent."""
        ...

    def delete_model(self, name: str) -> None:
        """Delete a model that has no versions."""
        ...

    def list_models(self) -> Sequence[Model]:
        """Return every model, by name."""
        ...

    def model(self, name: str) -> Model:
        """Return one model."""
        ...

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
        """Say all that making a version will do, without an account or a network."""
        ...

    def plan_deploy(self, model: str, version: str, cloud: Mapping[str, Any] | None = None) -> VersionPlan:
        """Say what letting a version answer will do, without an account or a network."""
        ...

    def bill(self, plan: VersionPlan) -> Bill | None:
        """Return what a plan will cost for as long as it stands; None where nothing does."""
        ...

    def deploy(self, plan: VersionPlan) -> VersionRecord:
        """Let a version answer, as it was planned."""
        ...

    def undeploy(self, model: str, version: str) -> VersionRecord:
        """Let a version answer no more; it stays."""
        ...

    def create(self, plan: VersionPlan) -> VersionRecord:
        """Make the version that was planned."""
        ...

    def list_versions(self, model: str) -> Sequence[VersionRecord]:
        """Return every version of a model, by name."""
        ...

    def version(self, model: str, version: str | None = None) -> VersionRecord:
        """Return one version, or the default one."""
        ...

    def connect(self, model: str, version: str | None = None) -> Predictor:
        """Return a predictor of a version, or of whatever answers where none is named."""
        ...

    def describe(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model, or one of its versions, as plain data."""
        ...

    def update_version(
        self,
        model: str,
        version: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        clear_labels: bool = False,
    ) -> VersionRecord:
        """Change what is said of a version."""
        ...

    def set_default(self, model: str, version: str) -> VersionRecord:
        """Let a version answer where none is named."""
        ...

    def delete_version(self, model: str, version: str) -> None:
        """Delete a version; the default one only when it is the last."""
        ...


def models(backend: str | None = None) -> Registry:
    """Return where models are kept.

    Args:
        backend: A key of `BACKENDS`; the setting `backend` where None.

    Raises:
        UsageError: There is none of that name.

    Taught in notebook 08.
    """
    name = backend or current().backend
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS, "Choose one with backend=… or MLHELPERS_BACKEND.")
    made: Registry = importlib.import_module(BACKENDS[name]).registry()
    return made
