"""What an endpoint answers, read: predictions, who gave them, refusals; and what its model says of itself."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from mlhelpers.cloud.clients import client
from mlhelpers.cloud.place import Place
from mlhelpers.cloud.refusals import asking
from mlhelpers.errors import CloudError, DataError, MLHelpersError, ModelError, PredictionError
from mlhelpers.serving.registry.resources import UnknownModelError
from mlhelpers.serving.signature import FILE_NAME
from mlhelpers.serving.vertex.making import ROLE, look

__all__ = ["artifacts_of", "read_answer", "read_signature", "typed"]

_WHO = ("deployedModelId", "model", "modelVersionId", "modelDisplayName")
# the same, as headers of a raw prediction (google.cloud.aiplatform.models)
_WHO_HEADERS = {
    "deployedModelId": "X-Vertex-AI-Deployed-Model-Id",
    "model": "X-Vertex-AI-Model-Resource",
    "modelVersionId": "X-Vertex-AI-Model-Version-Id",
}
# the status of a refusal -> the error that says the same in process; any other is a PredictionError
_ERRORS: Mapping[int, type[MLHelpersError]] = {404: UnknownModelError, 500: ModelError}


def read_answer(answer: requests.Response, endpoint: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the document of an answer, and who gave it.

    Args:
        answer: What came back.
        endpoint: The endpoint's full name, for messages.

    Raises:
        PredictionError: It refuses the request, is busy, or is no answer to a prediction.
        UnknownModelError: The endpoint is gone.
        ModelError: The model failed.
        CloudError: The service does not know who asks, or refuses it.
    """
    try:
        document = answer.json()
    except ValueError:
        document = None
    if answer.status_code in (401, 403):
        from google.api_core.exceptions import from_http_response

        with asking(f"predict with {endpoint}", ROLE):
            raise from_http_response(answer)  # type: ignore[no-untyped-call]
    if not answer.ok:
        kind = _ERRORS.get(answer.status_code, PredictionError)
        raise kind(f"The endpoint {endpoint} answered {answer.status_code}: {_said(document, answer)}")
    if not isinstance(document, dict) or not isinstance(document.get("predictions"), list):
        raise PredictionError(
            f"The endpoint {endpoint} answered without predictions. Its container has to answer "
            '{"predictions": [...]}.'
        )
    who = {name: str(document.get(name) or answer.headers.get(_WHO_HEADERS.get(name, name)) or "") for name in _WHO}
    return document, {name: value for name, value in who.items() if value}


def _said(document: Any, answer: requests.Response) -> str:
    """Return the words of a refusal; a container's own stand as JSON inside the service's."""
    error = document.get("error") if isinstance(document, dict) else None
    said = error.get("message", "") if isinstance(error, dict) else error
    text = str(said or answer.text[:300] or answer.reason)
    start = text.find("{")
    if start >= 0:
        try:
            inner = json.loads(text[start:])
        except ValueError:
            return text
        if isinstance(inner, dict) and isinstance(inner.get("error"), str):
            return str(inner["error"])
    return text


def typed(predictions: list[Any], dtypes: Mapping[str, str]) -> list[Any]:
    """Return predictions with the numbers as the signature has them; a double without a fraction may be either.

    Args:
        predictions: As they came.
        dtypes: Output -> NumPy's name of its dtype; what is not named stays as it is.
    """
    makers = {name: _maker(dtype) for name, dtype in dtypes.items()}
    return [
        {name: _each(makers.get(name), value) for name, value in one.items()} if isinstance(one, dict) else one
        for one in predictions
    ]


def _maker(dtype: str) -> Any:
    if dtype.startswith("float"):
        return float
    return int if dtype.startswith(("int", "uint")) else None


def _each(make: Any, value: Any) -> Any:
    if make is None or isinstance(value, bool | str):
        return value
    if isinstance(value, list):
        return [_each(make, one) for one in value]
    return make(value) if isinstance(value, int | float) else value


def artifacts_of(place: Place, deployed: Any) -> str:
    """Return where the files of a deployed model lie.

    Args:
        place: Where.
        deployed: An `aiplatform_v1.DeployedModel`.

    Raises:
        ModelError: Its model is gone, or has no files.
        CloudError: The service refused, or did not answer.
    """
    name = deployed.model.partition("@")[0]
    name += f"@{deployed.model_version_id}" if deployed.model_version_id else ""
    found = look(f"look up {name}", lambda retry: client("models", place).get_model(name=name, retry=retry))
    if found is None or not found.artifact_uri:
        raise ModelError(f"The model {name} {'is gone' if found is None else 'has no files'}, so nothing says its use.")
    return str(found.artifact_uri)


def read_signature(place: Place, artifacts: str) -> dict[str, Any]:
    """Return what a model's signature.json says.

    Args:
        place: Where.
        artifacts: gs:// address of the model's folder.

    Raises:
        ModelError: There is none, or it is damaged.
        CloudError: The bucket cannot be read.
    """
    from mlhelpers.storage.cloud import download

    address = f"{artifacts.rstrip('/')}/{FILE_NAME}"
    with tempfile.TemporaryDirectory(prefix="mlhelpers-") as folder:
        path = Path(folder) / FILE_NAME
        try:
            download(address, path, place)
            document = json.loads(path.read_bytes())
        except (CloudError, DataError, ValueError) as error:
            raise ModelError(f"{address} cannot be read, so what the model takes is not known here: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{address} is damaged: it should be a JSON object.")
    return document
