"""Models, versions and endpoints of a place, looked up by our names."""

from __future__ import annotations

from typing import Any

from mlhelpers.cloud.clients import client
from mlhelpers.cloud.place import Place
from mlhelpers.errors import ModelError
from mlhelpers.serving.registry.reading import unknown
from mlhelpers.serving.registry.resources import is_name
from mlhelpers.serving.vertex.making import look
from mlhelpers.serving.vertex.names import DEFAULT, planned, to_alias
from mlhelpers.serving.vertex.records import version_name

__all__ = ["all_endpoints", "all_models", "all_versions", "endpoint_called", "find_endpoint", "find_model"]
__all__ += ["find_version", "get_endpoint", "known"]


def find_endpoint(place: Place, name: str) -> Any:
    """Return the endpoint of a model's name, or None.

    Raises:
        UsageError: The name is malformed.
        ModelError: The id is that of an endpoint with another name.
        CloudError: The service refused, or did not answer.
    """
    where = planned(place).endpoint(name)
    found = look(f"look up the endpoint of {name!r}", _bound(client("endpoints", place).get_endpoint, where))
    return _of_that_name("endpoint", name, found)


def get_endpoint(place: Place, name: str) -> Any:
    """Return the endpoint of a full name, or None; errors as `find_endpoint`."""
    return look(f"look up {name}", _bound(client("endpoints", place).get_endpoint, name))


def endpoint_called(place: Place, name: str) -> Any:
    """Return the one endpoint with a display name, such as one that was made in the console.

    Raises:
        UnknownModelError: There is none.
        ModelError: There are several.
        CloudError: The service refused, or did not answer.
    """
    ask = _bound(client("endpoints", place).list_endpoints, parent=place.parent)
    everything = look("list the endpoints", ask) or []
    found = [one for one in everything if one.display_name == name]
    if not found:
        hint = f"Make one with:  mlhelpers models create {name} --backend vertex"
        raise unknown("model", name, sorted({one.display_name for one in everything}), hint)
    if len(found) > 1:
        raise ModelError(
            f"{len(found)} endpoints are called {name!r}. Connect to one by its full name: "
            f"{', '.join(one.name for one in found[:5])}"
        )
    return found[0]


def find_model(place: Place, name: str) -> Any:
    """Return the default version of a model, or None; errors as `find_endpoint`."""
    where = planned(place).model(name)
    found = look(f"look up the model {name!r}", _bound(client("models", place).get_model, where))
    return _of_that_name("model", name, found)


def find_version(place: Place, model: str, version: str | None) -> Any:
    """Return a version of a model, the default one where None is asked for, or None; errors as `find_endpoint`."""
    alias = DEFAULT if version is None else to_alias(version)
    where = f"{planned(place).model(model)}@{alias}"
    found = look(f"look up {model}/{version or DEFAULT}", _bound(client("models", place).get_model, where))
    return _of_that_name("model", model, found)


def all_endpoints(place: Place) -> dict[str, Any]:
    """Return name -> endpoint, of every endpoint in the region."""
    found = look("list the endpoints", _bound(client("endpoints", place).list_endpoints, parent=place.parent))
    return {one.display_name: one for one in found or ()}


def all_models(place: Place) -> dict[str, Any]:
    """Return name -> default version, of every model in the region."""
    found = look("list the models", _bound(client("models", place).list_models, parent=place.parent))
    return {one.display_name: one for one in found or ()}


def all_versions(place: Place, model: str) -> dict[str, Any]:
    """Return name -> version of a model, oldest first; empty where there is no such model."""
    where = planned(place).model(model)
    found = look(f"list the versions of {model!r}", _bound(client("models", place).list_model_versions, where))
    return {version_name(one): one for one in sorted(found or (), key=lambda one: int(one.version_id or 0))}


def known(place: Place, name: str) -> tuple[Any, Any]:
    """Return the endpoint and the default version of a model, one of which may be None.

    Raises:
        UnknownModelError: There is neither.
        UsageError: The name is malformed.
        CloudError: The service refused, or did not answer.
    """
    endpoint, model = (find_endpoint(place, name), find_model(place, name)) if is_name(name) else (None, None)
    if endpoint is None and model is None:
        hint = f"Make one with:  mlhelpers models create {name if is_name(name) else 'NAME'} --backend vertex"
        raise unknown("model", name, sorted({*all_endpoints(place), *all_models(place)}), hint)
    return endpoint, model


def _bound(method: Any, name: str | None = None, **words: Any) -> Any:
    """Return a call that `look` makes; pages that follow are asked for inside it."""

    def ask(retry: Any) -> Any:
        answer = method(name=name, retry=retry) if name is not None else method(retry=retry, **words)
        return list(answer) if hasattr(answer, "pages") else answer

    return ask


def _of_that_name(kind: str, name: str, found: Any) -> Any:
    if found is not None and found.display_name != name:
        raise ModelError(
            f"The {kind} {found.name} is called {found.display_name!r}: on Vertex AI it has the id that {name!r} would "
            "have, where capitals do not count. Choose another name."
        )
    return found
