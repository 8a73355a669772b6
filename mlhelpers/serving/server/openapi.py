"""/openapi.json: every path in OpenAPI's form, with each served model's own inputs, outputs and an example request."""

from __future__ import annotations

from typing import Any

from mlhelpers import __version__
from mlhelpers.errors import MLHelpersError
from mlhelpers.serving.registry.resources import Version
from mlhelpers.serving.server.admission import Limits
from mlhelpers.serving.server.answers import signature_of_version
from mlhelpers.serving.server.catalogue import Catalogue
from mlhelpers.serving.server.loading import Loader
from mlhelpers.serving.signature import ModelSignature, Signature, Tensor

__all__ = ["document", "example_instance"]

_MODELS_SHOWN = 50
_JSON_TYPES = {"float16": "number", "float32": "number", "float64": "number", "bool": "boolean"}
_B64 = {"type": "object", "properties": {"b64": {"type": "string"}}, "required": ["b64"]}
_ERRORS = {
    "400": "The body is not what the signature takes; the text names the instance and what is taken",
    "401": "The token is missing or wrong",
    "404": "No such model or version; the text names those that exist",
    "408": "The body did not arrive in time",
    "413": "The body is too long",
    "415": "The body is packed in another way than gzip",
    "429": "Too many requests wait for this model; come again after Retry-After",
    "503": "The model is still loading, or the server is about to stop; come again after Retry-After",
    "504": "The answer was not there in time",
}


def document(catalogue: Catalogue, loader: Loader, limits: Limits) -> dict[str, Any]:
    """Describe the server as it is now.

    Args:
        catalogue: What is served; the first 50 models get paths of their own.
        loader: What is loaded.
        limits: What a request may cost.

    Returns:
        An OpenAPI 3.1 document.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for name in catalogue.names()[:_MODELS_SHOWN]:
        try:
            version = catalogue.find(name)
            signature = signature_of_version(loader, version)
        except MLHelpersError as error:  # a broken or empty model leaves the others in the document
            paths[f"/v1/models/{name}:predict"] = _broken(name, error)
            continue
        paths[f"/v1/models/{name}:predict"] = _model_path(version, signature)
        for entry in signature.signatures.values():
            schemas[f"{name}.{entry.name}"] = _instance_schema(entry)
    paths |= _family_paths() | _FORM_PATHS
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mlhelpers prediction server",
            "version": __version__,
            "description": f"At most {limits.max_bytes:,} bytes a request, {limits.timeout_s:g} s an answer.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _ERROR_SCHEMA,
                "Request": _request_schema({}),
                "Answer": _answer_schema({}),
                **schemas,
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def example_instance(signature: Signature) -> dict[str, Any]:
    """Return an instance that the signature takes, made of its own examples, defaults and least values."""
    return {name: _example(tensor) for name, tensor in signature.inputs.items()}


def _example(tensor: Tensor) -> Any:
    value: Any = tensor.example
    if value is None:
        value = tensor.default
    if value is None and tensor.dtype == "string":
        value = next(iter(tensor.values), "")
    if value is None:
        value = tensor.minimum if tensor.minimum is not None else min(0, tensor.maximum or 0)
        value = {"number": float, "boolean": bool}.get(_JSON_TYPES.get(tensor.dtype, ""), int)(value)
    if isinstance(value, list):
        return value
    for size in reversed(tensor.instance_shape):
        value = [value] * (size or 1)
    return value


def _model_path(version: Version, signature: ModelSignature) -> dict[str, Any]:
    name, entries = version.model, signature.signatures
    instances = [{"$ref": f"#/components/schemas/{name}.{entry}"} for entry in entries]
    examples = {
        entry.name: {"summary": str(entry), "value": {"instances": [example_instance(entry)]}}
        for entry in entries.values()
    }
    outputs = {
        output: {**_tensor_schema(tensor), "description": tensor.description}
        for entry in entries.values()
        for output, tensor in entry.outputs.items()
    }
    return {
        "post": {
            "summary": f"Predict with {name}",
            "description": str(signature.document.get("description", "")),
            "operationId": f"predict_{name}",
            "requestBody": _body(
                _request_schema({"anyOf": instances} if len(instances) > 1 else instances[0]), examples
            ),
            "responses": _responses(_answer_schema({"type": "object", "properties": outputs})),
            "x-model": {"name": name, "version": version.name, "classNames": list(signature.class_names)},
        }
    }


def _broken(name: str, error: MLHelpersError) -> dict[str, Any]:
    why = str(error) if "has no version" in str(error) else f"{name} cannot be read; the server's log says why."
    return {
        "post": {
            "summary": f"{name} does not answer",
            "description": why,
            "requestBody": _body({"$ref": "#/components/schemas/Request"}, {}),
            "responses": _responses({"$ref": "#/components/schemas/Answer"}),
        }
    }


def _family_paths() -> dict[str, Any]:
    """The paths as they are for any model, of all three families."""
    roots = {
        "/v1/models/{model}": "TensorFlow Serving",
        "/v1/models/{model}/versions/{version}": "TensorFlow Serving",
        "/v1/projects/{project}/models/{model}": "AI Platform",
        "/v1/projects/{project}/models/{model}/versions/{version}": "AI Platform",
        "/v1/projects/{project}/locations/{location}/endpoints/{model}": "Vertex AI",
    }
    paths: dict[str, Any] = {}
    for root, family in roots.items():
        parameters = [
            {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
            for part in root.split("/")
            if part.startswith("{")
        ]
        predict = {
            "summary": f"Predict, {family}'s path",
            "parameters": [*parameters, _TIMEOUT],
            "requestBody": _body({"$ref": "#/components/schemas/Request"}, {}),
            "responses": _responses({"$ref": "#/components/schemas/Answer"}),
        }
        paths[f"{root}:predict"] = {"post": predict}
        for suffix, summary in (("", "State of the versions"), ("/metadata", "What the model takes and gives")):
            answer = {"200": {"description": summary}, "404": _error("404")}
            paths[root + suffix] = {"get": {"summary": summary, "parameters": parameters, "responses": answer}}
    for path, summary in _OTHERS.items():
        paths[path] = {"get": {"summary": summary, "responses": {"200": {"description": summary}}}}
    return paths


def _instance_schema(signature: Signature) -> dict[str, Any]:
    properties = {}
    for name, tensor in signature.inputs.items():
        properties[name] = {**_tensor_schema(tensor), "description": tensor.description}
    needed = [name for name, tensor in signature.inputs.items() if tensor.default is None]
    if "key" not in properties:
        properties["key"] = {"description": "Anything; the instance's prediction gets it too"}
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _tensor_schema(tensor: Tensor) -> dict[str, Any]:
    schema: dict[str, Any]
    if tensor.dtype == "string":
        text: dict[str, Any] = {"type": "string"}
        if tensor.values:
            text["enum"] = list(tensor.values)
        if tensor.pattern:
            text["pattern"] = f"^(?:{tensor.pattern})$"
        schema = {"anyOf": [text, _B64]}
    else:
        schema = {"type": _JSON_TYPES.get(tensor.dtype, "integer")}
        if tensor.minimum is not None:
            schema["minimum"] = tensor.minimum
        if tensor.maximum is not None:
            schema["maximum"] = tensor.maximum
    for size in reversed(tensor.instance_shape):
        schema = {"type": "array", "items": schema}
        if size is not None:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def _request_schema(instance: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["instances"],
        "additionalProperties": False,
        "properties": {
            "instances": {"type": "array", "minItems": 1, "items": instance},
            "signature_name": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"], "maxProperties": 0},
        },
    }


def _answer_schema(prediction: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": prediction}},
    }


def _body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = examples
    return {"required": True, "content": {"application/json": content}}


def _responses(answer: dict[str, Any]) -> dict[str, Any]:
    fine = {
        "description": "One prediction for each instance, in their order",
        "headers": {"X-Model-Version": {"description": "The version that answered", "schema": {"type": "string"}}},
        "content": {"application/json": {"schema": answer}},
    }
    return {"200": fine, **{status: _error(status) for status in _ERRORS}}


def _error(status: str) -> dict[str, Any]:
    return {
        "description": _ERRORS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "description": "On Vertex AI's paths",
                    "properties": {
                        "code": {"type": "integer"},
                        "message": {"type": "string"},
                        "status": {"type": "string"},
                    },
                },
            ]
        }
    },
}
_TIMEOUT = {
    "name": "X-Server-Timeout",
    "in": "header",
    "required": False,
    "description": "How long the answer may take, in seconds",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
_OTHERS = {
    "/v1/models": "The names of what is served",
    "/healthz": "Whether the server is ready",
    "/metrics": "Counts for Prometheus",
    "/openapi.json": "This document",
    "/": "A page with the ways in",
    "/docs": "A page to read this and to try the models",
    "/forms/babyweight": "A page that asks for a baby's weight; /form is the same",
}
_ITEM = {"type": ["string", "number"]}
_FORM_ITEMS = {
    "type": "object",
    "properties": {
        "baby_gender": {"enum": ["male", "female", "unknown"]},
        "mother_age": {**_ITEM, "description": "years"},
        "plurality": {**_ITEM, "description": "how many babies, 1 to 5"},
        "gestation_weeks": _ITEM,
    },
}
_FORM_EXAMPLE = {"baby_gender": "male", "mother_age": 26, "plurality": "1", "gestation_weeks": 39}
_FORM_RESULT = {
    "type": "object",
    "required": ["result"],
    "properties": {"result": {"type": "string", "description": "7.66 lbs., or: Set all items."}},
}
_FORM_PATHS: dict[str, Any] = {
    "/api/form": {
        "get": {
            "summary": "What the form for babyweight offers",
            "responses": {
                "200": {"description": "The spans and words, and which model is asked"},
                "404": _error("404"),
            },
        }
    },
    "/api/predict": {
        "post": {
            "summary": "Predict a baby's weight from the form's items",
            "requestBody": _body(_FORM_ITEMS, {"form": {"summary": "A boy", "value": _FORM_EXAMPLE}}),
            "responses": _responses(_FORM_RESULT),
        }
    },
}
