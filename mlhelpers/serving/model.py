"""A model in memory: a runtime and its signature, from checked instances to arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving.instances import to_batch
from mlhelpers.serving.registry.exports import find_export
from mlhelpers.serving.runtimes import Run, choose
from mlhelpers.serving.signature import ModelSignature, read_signature
from mlhelpers.serving.texts import from_texts

__all__ = ["LoadedModel", "load_model"]

_CHUNK = 128  # instances run at once: a convolution over thousands would need gigabytes


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to answer, from any thread.

    Attributes:
        folder: Where it was loaded from.
        runtime: The name of what runs it.
        signature: What it takes and gives.
    """

    folder: Path
    runtime: str
    signature: ModelSignature
    _run: Run

    def predict(self, instances: object, signature_name: str | None = None) -> dict[str, NDArray[Any]]:
        """Check instances and run the model.

        Args:
            instances: A list of instances, see `to_batch`.
            signature_name: The signature to take; None leaves it to the keys.

        Returns:
            By output name: array (n, …), in the order of the instances.

        Raises:
            PredictionError: An instance that the signature does not take.
            ModelError: The model failed on input that its signature allows.
        """
        batch = to_batch(self.signature, instances, signature_name)
        parts = [
            self._answer(
                batch.signature.name, {name: array[start : start + _CHUNK] for name, array in batch.arrays.items()}
            )
            for start in range(0, batch.size, _CHUNK)
        ]
        names = batch.signature.outputs
        if len(parts) == 1:
            return {name: parts[0][name] for name in names}
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _answer(self, signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            outputs = self._run(signature_name, arrays)
        except PredictionError:
            raise
        # each runtime has its own classes for a failing operation
        except Exception as error:
            raise ModelError(f"The model failed on input that its signature allows: {error}") from error
        size = len(next(iter(arrays.values())))
        for name in self.signature.signatures[signature_name].outputs:
            if outputs[name].shape[:1] != (size,):
                raise ModelError(
                    f"The model gave {name!r} in the shape {list(outputs[name].shape)} for {size} instances; "
                    "the first axis has to be the batch. Export the model again."
                )
        return {name: from_texts(array) if array.dtype.kind in "OS" else array for name, array in outputs.items()}


def load_model(origin: str | os.PathLike[str], runtime: str | None = None) -> LoadedModel:
    """Load the model of an export folder, warm.

    Args:
        origin: An export folder, or a folder of timestamps of which the newest is taken.
        runtime: "litert" or "savedmodel"; None takes the quickest that fits.

    Raises:
        ModelError: No model is there, it is damaged, or it does not agree with its signature.json.
        MissingExtraError: What would run it is not installed.
    """
    folder = find_export(origin)
    signature = read_signature(folder)
    name, module = choose(folder, runtime)
    return LoadedModel(folder, name, signature, module.load(folder, signature))
