"""Where a model answers: one word chooses between this process, a server and a Vertex AI endpoint.

To add a place: a module with `connected(model, version, *, address, token, timeout_s) -> Predictor`, and its line in
`BACKENDS`.
"""

from __future__ import annotations

import importlib

from mlhelpers import settings
from mlhelpers.errors import unknown_name
from mlhelpers.serving.predictor import Predictor

__all__ = ["BACKENDS", "connect"]

BACKENDS = {
    "local": "mlhelpers.serving.predictor",
    "http": "mlhelpers.serving.client",
    "vertex": "mlhelpers.serving.vertex.predictor",
}


def connect(
    model: str,
    version: str | None = None,
    address: str | None = None,
    *,
    backend: str | None = None,
    token: str | None = None,
    timeout_s: float | None = None,
) -> Predictor:
    """Connect to a model, wherever it answers; leave the `with` block, and what it holds is given back.

    Args:
        model: The model's name; in this process also an export folder, on Vertex AI also an endpoint's number or full
            name.
        version: A version's name; None leaves it to the model's default or traffic split.
        address: A prediction server, for instance "http://127.0.0.1:8501", which is the default with backend="http".
        backend: "local", in this process, "http", from a prediction server, or "vertex", from an endpoint of Vertex
            AI. Where None, "http" with an address, else the setting `backend`.
        token: The server's token, where it wants one.
        timeout_s: How long to wait for an answer in all, in seconds, tries again included; 60 where None.

    Returns:
        The predictor; the model is known to be there.

    Raises:
        UsageError: There is no such backend, the address is no http(s) address, or a name is malformed.
        PredictionError: No server answers there.
        UnknownModelError: The server has no such model or version.
        ModelError: In this process: neither the store nor the disk has it, or it cannot be loaded. On Vertex AI: the
            version does not have all of the endpoint's requests.
        CloudError: Google Cloud refused, or did not answer.

    Taught in notebook 08.
    """
    name = backend or ("http" if address is not None else settings.current().backend)
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS, "Choose one with backend=… or MLHELPERS_BACKEND.")
    connected = importlib.import_module(BACKENDS[name]).connected
    predictor: Predictor = connected(model, version, address=address, token=token, timeout_s=timeout_s)
    return predictor
