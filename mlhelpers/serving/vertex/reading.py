"""What models and versions there are on Vertex AI, for those who only look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlhelpers.cloud.place import Place, place
from mlhelpers.errors import ModelError
from mlhelpers.serving.registry.reading import unknown
from mlhelpers.serving.registry.resources import check_name
from mlhelpers.serving.vertex import lookups
from mlhelpers.serving.vertex.names import DEFAULT, Where, planned
from mlhelpers.serving.vertex.records import CloudModel, CloudVersion, model_record, version_record

if TYPE_CHECKING:
    from mlhelpers.serving.predictor import Predictor

__all__ = ["VertexReader"]


class VertexReader:
    """The models of a project and region, as they are. What is asked raises `CloudError` where the service refuses."""

    def __init__(self, where: Place | None = None) -> None:
        """Open a registry.

        Args:
            where: The place; the settings' when something is first asked, where None.
        """
        self._place = where

    @property
    def place(self) -> Place:
        """Where it is.

        Raises:
            UsageError: No project is set.
        """
        return self._place or place()

    @property
    def where(self) -> Where:
        """Where a plan puts things, with PROJECT and BUCKET for what is not set."""
        return planned(self._place)

    def list_models(self) -> list[CloudModel]:
        """Return every name that an endpoint or a Model of the region has, by name."""
        here = self.place
        endpoints, models = lookups.all_endpoints(here), lookups.all_models(here)
        names = sorted({*endpoints, *models})
        return [model_record(name, here.region, endpoints.get(name), models.get(name)) for name in names]

    def model(self, name: str) -> CloudModel:
        """Return one model."""
        return model_record(name, self.place.region, *lookups.known(self.place, name))

    def list_versions(self, model: str) -> list[CloudVersion]:
        """Return every version of a model, by name."""
        endpoint, _ = lookups.known(self.place, model)
        found = lookups.all_versions(self.place, model)
        return [version_record(model, found[name], endpoint) for name in sorted(found)]

    def version(self, model: str, version: str | None = None) -> CloudVersion:
        """Return one version, or the default one."""
        found = self.found(model, version)
        return version_record(model, found, lookups.find_endpoint(self.place, model))

    def connect(self, model: str, version: str | None = None) -> Predictor:
        """Return a predictor on the model's endpoint; see `predictor.connected`."""
        from mlhelpers.serving.vertex.predictor import connected

        return connected(model, version)

    def describe(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model, or one of its versions, as plain data with the cloud's field names."""
        return self.model(model).describe() if version is None else self.version(model, version).describe()

    def endpoint(self, model: str) -> Any:
        """Return a model's endpoint, an `aiplatform_v1.Endpoint`.

        Raises:
            UnknownModelError: There is no such model.
            ModelError: It has no endpoint.
        """
        check_name("model", model)
        found, _ = lookups.known(self.place, model)
        if found is None:
            raise ModelError(
                f"The model {model!r} has no endpoint. Deploy a version:  "
                f"mlhelpers versions deploy VERSION --model {model} --backend vertex"
            )
        return found

    def found(self, model: str, version: str | None) -> Any:
        """Return a version, the default one where None is asked for, as an `aiplatform_v1.Model`.

        Raises:
            UnknownModelError: There is no such model or version.
        """
        check_name("model", model)
        found = lookups.find_version(self.place, model, version)
        if found is None:
            lookups.known(self.place, model)
            hint = f"Make one with:  mlhelpers versions create v1 --model {model} --origin FOLDER --backend vertex"
            names = list(lookups.all_versions(self.place, model))
            raise unknown(f"{model} version", version or DEFAULT, names, "" if names else hint)
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where.parent!r})"
