"""The form for babyweight: what may be chosen in it, and what a choice is for the model and for the reader.

| the form's item | the model's input |
|---|---|
| baby_gender: male, female, unknown | is_male: True, False, Unknown |
| plurality: 1 to 5 | Single(1), Twins(2), … ; with the gender unknown, 2 and more are Multiple(2+) |
| mother_age, gestation_weeks | the same numbers |

A gender not known means that there has been no ultrasound, and without one nobody counts beyond "several": so the
births that the model learnt from have it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mlhelpers.errors import PredictionError
from mlhelpers.serving.instances import KEY
from mlhelpers.serving.server.bodies import read_body, unpack
from mlhelpers.serving.server.refusals import RefusedError
from mlhelpers.serving.server.wire import as_json, parse_object
from mlhelpers.serving.signature import ModelSignature, Signature, Tensor

__all__ = ["FORM_MODEL", "MISSING", "IncompleteError", "choices", "offer", "read_items", "receive_instance"]
__all__ += ["result_text", "to_instance"]

FORM_MODEL = "babyweight"
MISSING = "Set all items."

_GENDERS = {"male": "True", "female": "False", "unknown": "Unknown"}
_PLURALITIES = {"1": "Single(1)", "2": "Twins(2)", "3": "Triplets(3)", "4": "Quadruplets(4)", "5": "Quintuplets(5)"}
_SEVERAL = "Multiple(2+)"
_OF_THE_ORIGINAL = ("1", "2", "3")  # offered where a signature does not say which words its model knows
_SPANS = {"mother_age": (15, 49), "gestation_weeks": (30, 49)}  # the original's sliders
_ITEMS = ("baby_gender", "mother_age", "plurality", "gestation_weeks")
_INPUTS = frozenset(["is_male", "mother_age", "plurality", "gestation_weeks"])
_OUTPUTS = ("predictions", "babyweight")  # ours and the original's; that of its Keras version
_EXAMPLE = 'Send {"baby_gender": "male", "mother_age": 26, "plurality": "1", "gestation_weeks": 39}'
_SHOWN = 60
_MAX_BYTES = 10_000  # four short items

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class IncompleteError(Exception):
    """Something in the form is not set yet."""


def offer(model: str, version: str | None, signature: ModelSignature) -> dict[str, Any]:
    """Return what the page shows: the choices, whom it asks, and what that one says of itself.

    Args:
        model: The model's name.
        version: The version that is asked, or None where the default one is.
        signature: What the model takes.

    Raises:
        PredictionError: The model is not one of birth weights.
    """
    document = signature.document
    metrics = document.get("metrics")
    rmse = metrics.get("rmse") if isinstance(metrics, dict) else None
    about = {"model": model, "version": version, "description": document.get("description"), "rmse": rmse}
    return {**about, **choices(model, signature)}


def choices(model: str, signature: ModelSignature) -> dict[str, Any]:
    """Return what the form offers for a model: every combination of it is one that the model's signature takes.

    Args:
        model: The model's name, for an error.
        signature: What the model takes.

    Returns:
        `mother_age` and `gestation_weeks` as {"minimum", "maximum"}, `baby_gender` and `plurality` as lists of texts.

    Raises:
        PredictionError: The model is not one of birth weights.
    """
    entry = signature.choose(None, _INPUTS | {KEY})
    inputs = entry.inputs
    if not (entry.fits(_INPUTS) or entry.fits(_INPUTS | {KEY})):
        raise _other_model(model, entry)
    spans = {name: _span(inputs[name], *span) for name, span in _SPANS.items()}
    genders = [item for item, word in _GENDERS.items() if _takes(inputs["is_male"], word)]
    words = inputs["plurality"].values
    pluralities = [n for n, word in _PLURALITIES.items() if (word in words if words else n in _OF_THE_ORIGINAL)]
    if not _takes(inputs["plurality"], _SEVERAL) and pluralities != ["1"]:
        genders = [item for item in genders if item != "unknown"]
    if not genders or not pluralities or any(low > high for low, high in spans.values()):
        raise _other_model(model, entry)
    offered: dict[str, Any] = {name: {"minimum": low, "maximum": high} for name, (low, high) in spans.items()}
    return {**offered, "baby_gender": genders, "plurality": pluralities}


def receive_instance(receive: Receive, packed: bool) -> Receive:
    """Return ASGI's receive with the form's body turned into a request for one prediction.

    Args:
        receive: ASGI's.
        packed: Whether the body is gzip.
    """

    async def receive_request() -> MutableMapping[str, Any]:
        body = await read_body(receive, _MAX_BYTES)
        instance = to_instance(read_items(unpack(body, _MAX_BYTES) if packed else body))
        return {"type": "http.request", "body": as_json({"instances": [instance]})}

    return receive_request


def read_items(body: bytes) -> dict[str, Any]:
    """Read what the form sends.

    Args:
        body: A JSON object with the four items.

    Raises:
        IncompleteError: One of them is missing.
        RefusedError: 400, the body is no JSON object.
    """
    items = parse_object(body, _EXAMPLE)
    if any(items.get(item) in (None, "") for item in _ITEMS):
        raise IncompleteError
    return items


def to_instance(items: dict[str, Any]) -> dict[str, Any]:
    """Return the instance that the form's items stand for; whether its numbers are in range says the signature.

    Args:
        items: The four items; numbers may be texts, as the original's page sends them.

    Raises:
        PredictionError: An item is none that the form has.
    """
    gender = _word("baby_gender", items["baby_gender"], _GENDERS)
    plurality = _word("plurality", items["plurality"], _PLURALITIES)
    if gender == _GENDERS["unknown"] and plurality != _PLURALITIES["1"]:
        plurality = _SEVERAL
    return {
        "is_male": gender,
        "mother_age": _number("mother_age", items["mother_age"]),
        "plurality": plurality,
        "gestation_weeks": _number("gestation_weeks", items["gestation_weeks"]),
        KEY: "nokey",
    }


def result_text(prediction: dict[str, Any]) -> str:
    """Return the answer as the original words it, for instance "7.66 lbs.".

    Args:
        prediction: One prediction of the model; the weight may lie in lists of one.

    Raises:
        RefusedError: 500, there is no weight in it.
    """
    weights = {name: _inner(value) for name, value in prediction.items() if name != KEY}
    numbers = {name: value for name, value in weights.items() if type(value) in (int, float)}
    named = next((numbers[name] for name in _OUTPUTS if name in numbers), None)
    weight = named if named is not None else next(iter(numbers.values())) if len(numbers) == 1 else None
    if weight is None:  # NaN too: in JSON it is null
        raise RefusedError(
            500, f"The model's answer holds no weight, but {', '.join(map(repr, prediction)) or 'nothing'}."
        )
    return f"{weight:.2f} lbs."


def _takes(tensor: Tensor, word: str) -> bool:
    return not tensor.values or word in tensor.values


def _span(tensor: Tensor, low: int, high: int) -> tuple[int, int]:
    """The whole numbers that a slider has: the original's, as far as the model takes them."""
    least, most = tensor.minimum, tensor.maximum
    return max(low, low if least is None else math.ceil(least)), min(high, high if most is None else math.floor(most))


def _word(item: str, value: object, words: dict[str, str]) -> str:
    text = str(value) if type(value) in (str, int) else ""
    if text not in words:
        raise PredictionError(f"{item} is {_show(value)}; it takes {', '.join(words)}.")
    return words[text]


def _number(item: str, value: object) -> float:
    try:
        number = float(value) if type(value) in (str, int, float) else math.nan  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise PredictionError(f"{item} is {_show(value)}; it takes a number.")
    return number


def _inner(value: Any) -> Any:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _other_model(model: str, entry: Signature) -> PredictionError:
    return PredictionError(
        f"The form asks for a baby's weight by {', '.join(sorted(_INPUTS))}, but of {model} the signature {entry}. "
        "Name a model of birth weights: mlhelpers serve --form MODEL."
    )
