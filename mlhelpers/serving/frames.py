"""Tables in, tables out: a DataFrame's columns are a model's inputs, its answer's columns the outputs.

Works with polars and with pandas; what comes in is what comes out, and neither is imported for the other.
"""

from __future__ import annotations

import base64
import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from mlhelpers.errors import PredictionError, UsageError
from mlhelpers.serving.instances import KEY
from mlhelpers.serving.signature import ModelSignature, Signature, Tensor

__all__ = ["Frame", "place_in", "predict_frame"]

Frame = TypeVar("Frame")

_ROWS = 2048  # asked at once: a long table needs no second copy of itself in memory
_PATIENCE_S = 1.0  # from here on a bar shows how far it is
_PLACE = re.compile(r"\binstances\[(\d+)\]")


def predict_frame(
    frame: Frame,
    model: ModelSignature,
    ask: Callable[[list[dict[str, Any]], str], list[dict[str, Any]]],
    signature_name: str | None = None,
    key: str | None = None,
) -> Frame:
    """Predict for each row of a table.

    Args:
        frame: A DataFrame of polars or pandas, n rows.
        model: What the model takes and gives.
        ask: Called with up to 2,048 instances and the signature's name; returns one prediction for each.
        signature_name: The signature to take; None lets the columns decide, then the default.
        key: A column that is passed through; None stands for "key", where there is such a column.

    Returns:
        A DataFrame of the same library, n rows in the same order: the key's column, then the outputs.

    Raises:
        UsageError: It is no DataFrame, a column is missing, or one is neither an input nor the key.
        PredictionError: A value that the signature does not take; the message names the row, counted from 0.
    """
    from tqdm.auto import tqdm

    table = _table(frame)
    if key is not None and key not in table.columns:
        raise UsageError(f"The frame has no column {key!r} for the key; it has {_listed(table.columns)}.")
    given = [name for name in table.columns if name != key]
    signature = model.choose(signature_name, frozenset(given))
    if key is None and KEY in given and KEY not in signature.inputs:
        key = KEY
        given.remove(KEY)
        signature = model.choose(signature_name, frozenset(given))
    _check_columns(signature, given, key)
    optional = {name for name in given if signature.inputs[name].default is not None}
    predictions: list[dict[str, Any]] = []
    # None: no bar where nobody watches a terminal; a notebook is watched
    quiet = None if "ipykernel" not in sys.modules else False
    with tqdm(total=table.size, unit=" rows", delay=_PATIENCE_S, disable=quiet, leave=False) as bar:
        for start in range(0, table.size, _ROWS):
            rows = table.rows(given, start, start + _ROWS)
            try:
                part = ask([_instance(row, optional) for row in rows], signature.name)
            except PredictionError as error:
                raise PredictionError(place_in(str(error), start, "row {}")) from error
            predictions += part
            bar.update(len(part))
    answer: Frame = table.answer(
        key, {name: ([one[name] for one in predictions], tensor) for name, tensor in signature.outputs.items()}
    )
    return answer


def place_in(text: str, start: int, form: str = "instances[{}]") -> str:
    """Return a message about a part of a request with its places counted from the beginning of the whole.

    Args:
        text: The message, with "instances[3]" where it names one.
        start: How many instances come before the part.
        form: How a place is written, {} being its number.
    """
    return _PLACE.sub(lambda found: form.format(int(found[1]) + start), text)


class _PolarsTable:
    """A polars DataFrame."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns: list[str] = frame.columns
        self.size: int = frame.height

    def rows(self, names: Sequence[str], start: int, stop: int) -> list[dict[str, Any]]:
        part = self._frame[start:stop]
        columns = [_polars_values(part[name]) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] or [{}] * part.height

    def answer(self, key: str | None, columns: dict[str, tuple[list[Any], Tensor]]) -> Any:
        import polars

        def column(name: str, values: list[Any], tensor: Tensor) -> Any:
            words = {"string": "String"}
            dtype = getattr(polars, words.get(tensor.dtype, tensor.dtype.title().replace("Ui", "UI")))
            if tensor.dtype == "string" and _has_bytes(values):
                values, dtype = _as_bytes(values), polars.Binary
            for _ in tensor.instance_shape:
                dtype = polars.List(dtype)
            return polars.Series(name, values, dtype)

        kept = [] if key is None else [self._frame[key]]
        return polars.DataFrame(kept + [column(name, *given) for name, given in columns.items()])


class _PandasTable:
    """A pandas DataFrame."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns: list[str] = list(map(str, frame.columns))
        self.size: int = len(frame)
        if len(set(self.columns)) < len(self.columns):
            raise UsageError(f"The frame has two columns of one name; its columns are {_listed(self.columns)}.")

    def rows(self, names: Sequence[str], start: int, stop: int) -> list[dict[str, Any]]:
        part = self._frame.iloc[start:stop, [self.columns.index(name) for name in names]]
        part = part.astype(object).where(part.notna(), None)
        return [dict(zip(names, row, strict=True)) for row in part.itertuples(index=False, name=None)]

    def answer(self, key: str | None, columns: dict[str, tuple[list[Any], Tensor]]) -> Any:
        import pandas

        def column(values: list[Any], tensor: Tensor) -> Any:
            if tensor.dtype == "string" and _has_bytes(values):
                values = _as_bytes(values)
            dtype = object if tensor.instance_shape or tensor.dtype == "string" else tensor.dtype
            series = pandas.Series(values, self._frame.index, dtype)
            return series.infer_objects() if tensor.dtype == "string" else series

        kept = {} if key is None else {key: self._frame.iloc[:, self.columns.index(key)]}
        columns_made = {name: column(*given) for name, given in columns.items()}
        return pandas.DataFrame(kept | columns_made, index=self._frame.index)


def _polars_values(series: Any) -> list[Any]:
    """Return a column's values; lists of numbers as arrays, which are checked and sent several times as fast."""
    import polars

    leaf = series.dtype
    while isinstance(leaf, polars.List | polars.Array):
        leaf = leaf.inner
    if leaf != series.dtype and leaf.is_numeric() and len(series) and not series.null_count():
        with contextlib.suppress(ValueError, polars.exceptions.PolarsError):  # the rows are of different lengths
            shape = np.shape(series[0].to_list())
            if 0 not in shape:
                return list(series.cast(polars.Array(leaf, shape)).to_numpy())
    if leaf.is_float() and leaf == series.dtype:
        series = series.fill_nan(None)
    values: list[Any] = series.to_list()
    return values


def _table(frame: object) -> _PolarsTable | _PandasTable:
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(frame).__mro__}
    if ("polars", "DataFrame") in kinds:
        return _PolarsTable(frame)
    if ("pandas", "DataFrame") in kinds:
        return _PandasTable(frame)
    lazy = " Make it one with .collect()." if ("polars", "LazyFrame") in kinds else ""
    raise UsageError(
        f"predict_frame was given a {type(frame).__name__}; it takes a DataFrame of polars or pandas.{lazy} "
        "For a list of instances there is predict."
    )


def _check_columns(signature: Signature, given: Sequence[str], key: str | None) -> None:
    missing = [name for name, tensor in signature.inputs.items() if name not in given and tensor.default is None]
    extra = [name for name in given if name not in signature.inputs]
    if key is not None and key in signature.outputs:
        raise UsageError(f"The key's column {key!r} is called like an output of the model. Rename it.")
    if missing:
        raise UsageError(f"The frame lacks the column {_listed(missing)}. The signature {signature}.")
    if extra:
        raise UsageError(
            f"The frame has the column {_listed(extra)}, which the model does not take. Keep the inputs alone, "
            f"{_listed(list(signature.inputs))}; one more column is passed through with key=…."
        )


def _instance(row: dict[str, Any], optional: set[str]) -> dict[str, Any]:
    """Leave out what is missing, where the model has something to put in its place."""
    if not optional:
        return row
    return {name: value for name, value in row.items() if value is not None or name not in optional}


def _has_bytes(values: Any) -> bool:
    if isinstance(values, list):
        return any(map(_has_bytes, values))
    return isinstance(values, dict)


def _as_bytes(values: Any) -> Any:
    """Return texts and {"b64": …} alike as bytes."""
    if isinstance(values, list):
        return [_as_bytes(value) for value in values]
    return base64.b64decode(values["b64"]) if isinstance(values, dict) else str(values).encode("utf-8")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(map(repr, names[:10])) + more
