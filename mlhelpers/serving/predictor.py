"""Predictors: `predict(instances) -> predictions`, here with the model in this process.

Every predictor, wherever its model runs, is a context manager with `predict` and `signature`, and gives the same plain
Python values for the same instances.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mlhelpers import settings
from mlhelpers.errors import ModelError, unknown_name
from mlhelpers.serving.model import LoadedModel, load_model
from mlhelpers.serving.registry.exports import holds_model
from mlhelpers.serving.registry.resources import UnknownModelError, split_name
from mlhelpers.serving.registry.store import ModelStore

__all__ = ["LocalPredictor", "Predictor", "load", "shipped", "to_rows"]


class Predictor(Protocol):
    """What every predictor offers."""

    @property
    def signature(self) -> dict[str, Any]:
        """What the model takes and gives: its signature.json."""
        ...

    def predict(self, instances: Any, signature_name: str | None = None) -> list[dict[str, Any]]:
        """Return one prediction per instance, as plain Python values."""
        ...

    def close(self) -> None:
        """Give back what the predictor holds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LocalPredictor:
    """A model in this process.

    Taught in notebook 08.
    """

    def __init__(self, model: LoadedModel, name: str) -> None:
        self._model: LoadedModel | None = model
        self.name = name

    @property
    def signature(self) -> dict[str, Any]:
        """What the model takes and gives: its signature.json."""
        return dict(self._opened().signature.document)

    def predict(self, instances: Any, signature_name: str | None = None) -> list[dict[str, Any]]:
        """Return one prediction per instance.

        Args:
            instances: A list of instances: objects with the inputs' names as keys, or bare values (nested lists,
                arrays) where the signature has a single input. An array (n, …) stands for the list of its n parts.
            signature_name: The signature to take; None lets the keys decide, then the default.

        Returns:
            One dict of plain Python values per instance, in their order.

        Raises:
            PredictionError: An instance that the signature does not take; the message names it.
            ModelError: The model failed, or the predictor is closed.
        """
        return to_rows(self._opened().predict(instances, signature_name))

    def close(self) -> None:
        """Let go of the model; closing twice is fine."""
        self._model = None

    def _opened(self) -> LoadedModel:
        if self._model is None:
            raise ModelError(f"The predictor of {self.name!r} is closed. Load it again.")
        return self._model

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._model is None else f"in this process, {self._model.runtime}"
        return f"<Predictor {self.name}: {state}>"


def load(model: str | os.PathLike[str], *, runtime: str | None = None) -> LocalPredictor:
    """Load a model into this process.

    Args:
        model: "MODEL" (its default version) or "MODEL/VERSION" of the local store, or an export folder. A name that
            the store knows is taken from there; write "./NAME" for a folder of the same name.
        runtime: "litert" or "savedmodel"; None takes the quickest that fits.

    Returns:
        The predictor.

    Raises:
        ModelError: Neither the store nor the disk has it, or it cannot be loaded.
        MissingExtraError: What would run it is not installed.
    """
    text = os.fspath(model)
    names = split_name(text) if isinstance(model, str) else None
    if names is None:
        return LocalPredictor(load_model(model, runtime), text)
    try:
        version = ModelStore().version(*names)
    except UnknownModelError as error:
        if Path(text).is_dir():
            return LocalPredictor(load_model(text, runtime), text)
        raise ModelError(f"{error} There is no folder {text!r} either.") from None
    return LocalPredictor(load_model(version.folder, runtime), f"{version.model}/{version.name}")


def shipped(name: str = "mnist", *, runtime: str | None = None) -> LocalPredictor:
    """Load a trained model that ships with mlhelpers.

    Args:
        name: For instance "mnist".
        runtime: "litert" or "savedmodel"; None takes the quickest that fits.

    Raises:
        UsageError: No model of that name ships.
        ModelError: It cannot be loaded.
        MissingExtraError: What would run it is not installed.
    """
    root = settings.shipped_data() / "models"
    names = sorted(folder.name for folder in root.iterdir() if holds_model(folder)) if root.is_dir() else []
    if name not in names:
        raise unknown_name("shipped model", name, names)
    return LocalPredictor(load_model(root / name, runtime), name)


def to_rows(columns: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Turn named arrays (n, …) into n dicts of plain Python values."""
    values = [_plain(array) for array in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _plain(array: NDArray[Any]) -> list[Any]:
    if array.dtype in (np.float16, np.float32):
        # the shortest number that means the same float32, as it is written in JSON: 0.1, not 0.10000000149011612
        array = np.asarray(array.astype(str), dtype=np.float64)
    values: list[Any] = array.tolist()
    return values
