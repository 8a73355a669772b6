"""Predictors: `predict(instances) -> predictions`, here with the model in this process.

Every predictor, wherever its model runs, is a context manager with `predict` and `signature`, and gives the same plain
Python values for the same instances.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mlhelpers import settings
from mlhelpers.errors import ModelError, UsageError, unknown_name
from mlhelpers.serving.frames import Frame, predict_frame
from mlhelpers.serving.instances import check_parameters
from mlhelpers.serving.model import LoadedModel, load_model
from mlhelpers.serving.registry.exports import holds_model
from mlhelpers.serving.registry.reading import StoreReader
from mlhelpers.serving.registry.resources import UnknownModelError, check_name, split_name

__all__ = ["LocalPredictor", "Predictor", "connected", "load", "shipped", "to_rows"]


class Predictor(Protocol):
    """What every predictor offers, wherever its model runs."""

    @property
    def signature(self) -> dict[str, Any]:
        """What the model takes and gives: its signature.json."""
        ...

    def predict(
        self, instances: Any, signature_name: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return one prediction per instance, as plain Python values."""
        ...

    def predict_frame(
        self,
        frame: Frame,
        *,
        signature_name: str | None = None,
        key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Return one row of outputs per row of inputs, as a frame of the same kind."""
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

    def predict(
        self, instances: Any, signature_name: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return one prediction per instance.

        Args:
            instances: A list of instances: objects with the inputs' names as keys, or bare values (nested lists,
                arrays) where the signature has a single input. An array (n, …) stands for the list of its n parts.
            signature_name: The signature to take; None lets the keys decide, then the default.
            parameters: How the model shall answer; no model here takes any, so None or empty.

        Returns:
            One dict of plain Python values per instance, in their order.

        Raises:
            PredictionError: An instance that the signature does not take; the message names it.
            ModelError: The model failed, or the predictor is closed.
        """
        check_parameters(parameters)
        return to_rows(self._opened().predict(instances, signature_name))

    def predict_frame(
        self,
        frame: Frame,
        *,
        signature_name: str | None = None,
        key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Predict for each row of a table.

        Args:
            frame: A DataFrame of polars or pandas (n rows); its columns are the inputs of the signature.
            signature_name: The signature to take; None lets the columns decide, then the default.
            key: A column that is no input: it is passed through to the result. None stands for "key", where there is
                such a column.
            parameters: As for `predict`.

        Returns:
            A DataFrame of the same library, n rows in the same order: the key's column, if any, then one for each
            output; an output of several values is a column of lists. A pandas index is kept.

        Raises:
            UsageError: It is no DataFrame, a column is missing, or one is neither an input nor the key.
            PredictionError: A value that the signature does not take; the message names the row, counted from 0.
            ModelError: The model failed, or the predictor is closed.
        """

        def ask(instances: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
            return self.predict(instances, name, parameters)

        return predict_frame(frame, self._opened().signature, ask, signature_name, key)

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


def load(model: str | os.PathLike[str], *, runtime: str | None = None, trust_pickle: bool = False) -> LocalPredictor:
    """Load a model into this process.

    Args:
        model: "MODEL" (its default version) or "MODEL/VERSION" of the local store, or an export folder. A name that
            the store knows is taken from there; write "./NAME" for a folder of the same name.
        runtime: A name in `runtimes.RUNTIMES`, for instance "litert"; None takes the first that fits.
        trust_pickle: Whether a pickle may be opened, which runs whatever it says: only where you know who made it. A
            version that was made with it needs it no more.

    Returns:
        The predictor.

    Raises:
        ModelError: Neither the store nor the disk has it, or it cannot be loaded.
        MissingExtraError: What would run it is not installed.
    """
    text = os.fspath(model)
    names = split_name(text) if isinstance(model, str) else None
    if names is None:
        return LocalPredictor(load_model(model, runtime, trust_pickle), text)
    try:
        version = StoreReader().version(*names)
    except UnknownModelError as error:
        if Path(text).is_dir():
            return LocalPredictor(load_model(text, runtime, trust_pickle), text)
        raise ModelError(f"{error} There is no folder {text!r} either.") from None
    loaded = load_model(version.folder, runtime, trust_pickle or version.trust_pickle)
    return LocalPredictor(loaded, f"{version.model}/{version.name}")


def connected(
    model: str,
    version: str | None,
    *,
    address: str | None = None,
    token: str | None = None,
    timeout_s: float | None = None,
) -> LocalPredictor:
    """Load a model into this process: the backend "local" of `serving.connect`.

    Args:
        model: As for `load`.
        version: A version's name; None stands for the default one.
        address: For the protocol's sake; there is none in this process.
        token: As `address`.
        timeout_s: As `address`.

    Raises:
        UsageError: A name is malformed, or an address, a token or a time limit was given.
        ModelError: Neither the store nor the disk has it, or it cannot be loaded.
        MissingExtraError: What would run it is not installed.
    """
    if not (address is None and token is None and timeout_s is None):
        raise UsageError(
            "address, token and timeout_s belong to a server, and backend='local' answers in this process. "
            "Leave them out, or write backend='http'."
        )
    if version is None:
        return load(model)
    check_name("model", model)
    check_name("version", version)
    return load(f"{model}/{version}")


def shipped(name: str = "mnist", *, runtime: str | None = None) -> LocalPredictor:
    """Load a trained model that ships with mlhelpers.

    Args:
        name: For instance "mnist".
        runtime: A name in `runtimes.RUNTIMES`, for instance "litert"; None takes the first that fits.

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
