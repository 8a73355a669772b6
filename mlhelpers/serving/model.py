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
from mlhelpers.serving.instances import KEY, Batch, check_parameters, to_batch
from mlhelpers.serving.registry.exports import find_export
from mlhelpers.serving.runtimes import Run, choose, signature_of, trust
from mlhelpers.serving.signature import ModelSignature
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

    def predict(
        self, instances: object, signature_name: str | None = None, parameters: object = None
    ) -> dict[str, NDArray[Any]]:
        """Check instances and run the model.

        Args:
            instances: A list of instances, see `to_batch`.
            signature_name: The signature to take; None leaves it to the keys.
            parameters: None or an empty object: no runtime takes any.

        Returns:
            By output name: array (n, …), in the order of the instances. Where the instances carry keys, also "key":
            object (n,).

        Raises:
            PredictionError: An instance that the signature does not take, or parameters.
            ModelError: The model failed on input that its signature allows.
        """
        return self.answer(self.check(instances, signature_name, parameters))

    def check(self, instances: object, signature_name: str | None = None, parameters: object = None) -> Batch:
        """Check a request against the signature, without running the model; arguments and errors as `predict`.

        Raises:
            PredictionError: An instance that the signature does not take, or parameters.
        """
        check_parameters(parameters)
        return to_batch(self.signature, instances, signature_name)

    def answer(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Run the model on checked instances; what it returns is as of `predict`.

        Raises:
            PredictionError: The model refuses what only it can look into, for instance bytes that are no picture.
            ModelError: The model failed on input that its signature allows.
        """
        parts = [
            self._answer(
                batch.signature.name, {name: array[start : start + _CHUNK] for name, array in batch.arrays.items()}
            )
            for start in range(0, batch.size, _CHUNK)
        ]
        names = batch.signature.outputs
        if len(parts) == 1:
            columns = {name: parts[0][name] for name in names}
        else:
            columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
        if batch.keys:
            columns[KEY] = np.fromiter(batch.keys, object, len(batch.keys))
        return columns

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


def load_model(origin: str | os.PathLike[str], runtime: str | None = None, trust_pickle: bool = False) -> LoadedModel:
    """Load the model of an export folder, warm.

    Args:
        origin: An export folder, or a folder of timestamps of which the newest is taken.
        runtime: A name in `runtimes.RUNTIMES`, for instance "litert"; None takes the first that fits.
        trust_pickle: Whether its owner vouches for a pickle in it; opening one runs whatever its maker put there.

    Raises:
        ModelError: No model is there, it is damaged, does not agree with its signature.json, has none and does not say
            itself what it takes, or it is a pickle that is not trusted.
        MissingExtraError: What would run it is not installed.
    """
    folder = find_export(origin)
    name, module = choose(folder, runtime)
    signature = signature_of(folder, name, trust_pickle)
    return LoadedModel(folder, name, signature, module.load(folder, signature, **trust(module, trust_pickle)))
