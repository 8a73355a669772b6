"""What runs a model on Vertex AI: our own prediction server as the container, or one of Google's prebuilt ones.

Our own is the main road: it runs what this project exports (LiteRT, Keras 3, SavedModel, skops, XGBoost), answers with
the same words as here, and does not end. It is built once, in Google's Cloud Build, from the repository's root:

    gcloud artifacts repositories create mlhelpers --repository-format=docker --location=us-central1
    gcloud builds submit --config mlhelpers/serving/server/cloudbuild.yaml
        --substitutions=_IMAGE=us-central1-docker.pkg.dev/my-project/mlhelpers/serve:0.1.0     (one line with the above)

Google's prebuilt prediction images stay possible. They have ends, after which they get no more corrections and at last
go (https://cloud.google.com/vertex-ai/docs/predictions/pre-built-containers, read in November 2026).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.serving.vertex.names import Where
from mlhelpers.settings import current

__all__ = ["HEALTH_ROUTE", "PORT", "PREBUILT_ENDS", "PREDICT_ROUTE", "container_spec", "image_notes", "own_image"]

PORT, PREDICT_ROUTE, HEALTH_ROUTE = 8080, "/predict", "/health"
# the newest prebuilt image of each kind, and when its availability ends; empty where Google's page gives no day
PREBUILT_ENDS: Mapping[str, str] = {
    "tf2-cpu.2-15": "2027-01-14",
    "tf2-gpu.2-15": "2027-01-14",
    "sklearn-cpu.1-6": "2027-10-14",
    "xgboost-cpu.2-1": "",
}
_PREBUILT = re.compile(r"(?:us|europe|asia)-docker\.pkg\.dev/vertex-ai/prediction/([a-z0-9.-]+?)(?::[\w.-]+)?")
_IMAGE = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._-]+)+(?::[\w.-]{1,128}|@sha256:[0-9a-f]{64})?")


def own_image(where: Where) -> str:
    """Return the address of our own server's image: the setting `serving_image`, else its place in the project."""
    from mlhelpers import __version__

    said = current().serving_image
    return said or f"{where.region}-docker.pkg.dev/{where.project}/mlhelpers/serve:{__version__}"


def container_spec(image: str, trust_pickle: bool = False) -> dict[str, Any]:
    """Return the containerSpec of a model.

    Args:
        image: The image's address; a prebuilt one knows its own routes and port.
        trust_pickle: Whether a pickle in the model may be opened.

    Raises:
        UsageError: It is no address of an image, or a pickle is to be trusted by a prebuilt one.
    """
    if not _IMAGE.fullmatch(image):
        raise UsageError(
            f"{image!r} is no address of a container image. Write it as "
            "us-central1-docker.pkg.dev/my-project/mlhelpers/serve:0.1.0"
        )
    if _PREBUILT.fullmatch(image):
        if trust_pickle:
            raise UsageError(
                "--trust-pickle is said to our own server; a prebuilt image opens what it finds. Leave it."
            )
        return {"imageUri": image}
    spec: dict[str, Any] = {
        "imageUri": image,
        "env": [{"name": "MLHELPERS_BACKEND", "value": "vertex"}],
        "ports": [{"containerPort": PORT}],
        "predictRoute": PREDICT_ROUTE,
        "healthRoute": HEALTH_ROUTE,
    }
    if trust_pickle:
        spec["args"] = ["python", "-m", "mlhelpers.cli", "serve", "--trust-pickle"]
    return spec


def image_notes(image: str) -> list[str]:
    """Return what should be known about an image, as sentences."""
    found = _PREBUILT.fullmatch(image)
    if found is None:
        return []
    end = PREBUILT_ENDS.get(found[1])
    newest = ", ".join(PREBUILT_ENDS)
    if end is None:
        return [f"{found[1]} is not among the newest of Google's prebuilt images ({newest}): look up its end."]
    when = f"ends on {end}" if end else "has an end that is not noted here"
    return [f"Google's prebuilt image {found[1]} {when}, and no newer one of its kind is known. Our own has no end."]
