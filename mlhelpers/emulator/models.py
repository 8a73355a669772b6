"""Models with versions and aliases: what the API says of them in a record, their files in the model store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlhelpers.emulator.messages import RefusedError, honoured, new_id, now, operation, parsed
from mlhelpers.emulator.records import page
from mlhelpers.emulator.routing import Handler, Request
from mlhelpers.serving import ModelStore

__all__ = ["MODEL_ROUTES", "resolved", "store_name"]

# kept and shown, without effect here: containerSpec, since the emulator opens no image and serves the artefacts itself
_MODEL = [
    "displayName",
    "description",
    "versionDescription",
    "versionAliases",
    "labels",
    "artifactUri",
    "containerSpec",
]
_CHANGED = ("displayName", "description", "labels", "versionDescription")
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-zA-Z0-9]")


def resolved(asked: Request, named: str) -> tuple[dict[str, Any], str]:
    """Return a model's record and the number of the version that a name means.

    Args:
        asked: The request.
        named: "projects/…/models/ID", "…/ID@VERSION" or "…/ID@ALIAS"; the default version where none is named.

    Raises:
        RefusedError: There is no such model or version.
    """
    name, _, version = named.partition("@")
    record = asked.records.get(name)
    for number, one in record["versions"].items():
        if version == number or (version or "default") in one["versionAliases"]:
            return record, number
    raise RefusedError("NOT_FOUND", f"The model {name} has no version {version or 'default'!r}.")


def store_name(number: str) -> str:
    """Return the model store's name of a model."""
    return "vertex_" + number.replace("-", "__")


def _view(record: Mapping[str, Any], number: str) -> dict[str, Any]:
    return {"name": record["name"], **record["versions"][number], "versionId": number}


def _upload(asked: Request) -> dict[str, Any]:
    request = parsed("UploadModelRequest", asked.body)
    honoured("UploadModelRequest", request, ["parentModel", "modelId", *(f"model.{field}" for field in _MODEL)])
    model = request.get("model", {})
    for field in ("displayName", "artifactUri"):
        if not model.get(field):
            raise RefusedError(
                "INVALID_ARGUMENT", f"model.{field} is required here: the emulator serves the artefacts."
            )
    parent, identity = request.get("parentModel", ""), request.get("modelId") or new_id()
    if not _ID.fullmatch(identity):
        raise RefusedError("INVALID_ARGUMENT", f"modelId {identity!r} does not fit {_ID.pattern}.")
    name = parent.partition("@")[0] or f"{asked.parent}/models/{identity}"
    store, stored = ModelStore(), store_name(name.rpartition("/")[2])
    if parent:
        record = asked.records.get(name)
    else:
        if asked.records.has(name):
            raise RefusedError("ALREADY_EXISTS", f"The model {name} is there already. Name it as parentModel.")
        record = {"name": name, "last": 0, "versions": {}}
    number = str(record["last"] + 1)
    aliases = _aliases(model.get("versionAliases", []))
    if stored not in [one.name for one in store.list_models()]:
        store.create_model(stored)
    store.create_version(stored, f"v{number}", model["artifactUri"])
    if not record["versions"]:
        aliases = ["default", *(alias for alias in aliases if alias != "default")]
    _take_away(record, aliases)
    times = {"createTime": now(), "updateTime": now(), "versionCreateTime": now(), "versionUpdateTime": now()}
    first = min(record["versions"].values(), key=lambda one: one["createTime"], default=times)
    resources = {"supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"]}
    version = {**model, "versionAliases": aliases, **times, "createTime": first["createTime"], **resources}
    record["versions"][number] = version
    record["last"] = int(number)
    asked.records.put(name, record)
    if "default" in aliases:
        store.set_default(stored, f"v{number}")
    return operation(name, "UploadModel", "UploadModelResponse", {"model": name, "modelVersionId": number})


def _get(asked: Request) -> dict[str, Any]:
    return _view(*resolved(asked, f"{asked.parent}/models/{asked.id}"))


def _list(asked: Request) -> dict[str, Any]:
    found = [_view(*resolved(asked, record["name"])) for record in asked.records.all(asked.parent, "models")]
    return page(found, "models", asked.query)


def _list_versions(asked: Request) -> dict[str, Any]:
    record = asked.records.get(asked.name)
    return page([_view(record, number) for number in record["versions"]], "models", asked.query)


def _merge_aliases(asked: Request) -> dict[str, Any]:
    request = parsed("MergeVersionAliasesRequest", asked.body)
    honoured("MergeVersionAliasesRequest", request, ["name", "versionAliases"])
    record, number = resolved(asked, f"{asked.parent}/models/{asked.id}")
    given = request.get("versionAliases", [])
    added = _aliases([alias for alias in given if not alias.startswith("-")])
    version = record["versions"][number]
    gone = {alias.removeprefix("-") for alias in given if alias.startswith("-")}
    if "default" in gone:
        raise RefusedError("INVALID_ARGUMENT", "The alias default cannot be removed; give it to another version.")
    _take_away(record, added)
    version["versionAliases"] = [*(one for one in version["versionAliases"] if one not in gone), *added]
    asked.records.put(record["name"], record)
    if "default" in added:
        ModelStore().set_default(store_name(asked.id.partition("@")[0]), f"v{number}")
    return _view(record, number)


def _patch(asked: Request) -> dict[str, Any]:
    model = parsed("Model", asked.body)
    record, number = resolved(asked, f"{asked.parent}/models/{asked.id}")
    fields = changed_fields(asked, _CHANGED)
    version = record["versions"][number]
    for field in fields:
        version.pop(field, None)
        version |= {field: model[field]} if field in model else {}
    version["updateTime"] = version["versionUpdateTime"] = now()
    asked.records.put(record["name"], record)
    return _view(record, number)


def changed_fields(asked: Request, allowed: tuple[str, ...]) -> list[str]:
    """Return the fields of an updateMask, in camelCase.

    Raises:
        RefusedError: There is none, or one that cannot be changed here.
    """
    given = asked.query.get("updateMask", "").split(",")
    found = [re.sub("_([a-z])", lambda match: match[1].upper(), field) for field in given]
    for field in found:
        if field not in allowed:
            known = ", ".join(allowed)
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not change {field!r}: updateMask takes {known}.")
    return found


def _delete(asked: Request) -> dict[str, Any]:
    record = asked.records.get(asked.name)
    _refuse_deployed(asked, None)
    store, stored = ModelStore(), store_name(asked.id)
    default = store.model(stored).default_version
    for version in sorted(store.list_versions(stored), key=lambda one: one.name == default):
        store.delete_version(stored, version.name)
    store.delete_model(stored)
    asked.records.delete(record["name"])
    return operation(asked.name, "Delete")


def _delete_version(asked: Request) -> dict[str, Any]:
    record, number = resolved(asked, f"{asked.parent}/models/{asked.id}")
    if "@" not in asked.id:
        raise RefusedError("INVALID_ARGUMENT", "deleteVersion names a version: models/MODEL@VERSION.")
    if len(record["versions"]) == 1 or "default" in record["versions"][number]["versionAliases"]:
        hint = "Delete the model, or give the alias default to another version first."
        raise RefusedError("FAILED_PRECONDITION", f"Version {number} is the default or the only one. {hint}")
    _refuse_deployed(asked, number)
    ModelStore().delete_version(store_name(asked.id.partition("@")[0]), f"v{number}")
    del record["versions"][number]
    asked.records.put(record["name"], record)
    return operation(asked.name, "Delete")


def _refuse_deployed(asked: Request, version: str | None) -> None:
    for endpoint in asked.records.all(asked.parent, "endpoints"):
        for one in endpoint.get("deployedModels", []):
            if one["model"] == asked.name and version in (None, one["modelVersionId"]):
                where = endpoint["name"]
                raise RefusedError("FAILED_PRECONDITION", f"{asked.name} is deployed on {where}. Undeploy it first.")


def _aliases(aliases: list[str]) -> list[str]:
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise RefusedError("INVALID_ARGUMENT", f"The alias {alias!r} does not fit {_ALIAS.pattern}.")
    return list(dict.fromkeys(aliases))


def _take_away(record: Mapping[str, Any], aliases: list[str]) -> None:
    """An alias belongs to one version: take it away from all others."""
    for version in record["versions"].values():
        version["versionAliases"] = [one for one in version["versionAliases"] if one not in aliases]


MODEL_ROUTES: Mapping[str, Handler] = {
    "POST models:upload": _upload,
    "GET models": _list,
    "GET models/*": _get,
    "GET models/*:listVersions": _list_versions,
    "POST models/*:mergeVersionAliases": _merge_aliases,
    "PATCH models/*": _patch,
    "DELETE models/*": _delete,
    "DELETE models/*:deleteVersion": _delete_version,
}
