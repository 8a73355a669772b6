"""XGBoost: boosted trees from XGBoost's own model file, JSON or UBJ, which holds numbers and names and no code.

Texts are categories, and a tree knows only their places in a list of words. The list is looked for in the file: the
booster's attribute "categories" (JSON: feature -> its words in order), as our trainers write it. A model without that
list takes the places themselves, as numbers.

Classifiers (binary:logistic, multi:…) answer class_ids, classes and probabilities; everything else predictions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving.runtimes import Run, warm_up
from mlhelpers.serving.runtimes.tables import (
    Answer,
    check_columns,
    check_outputs,
    class_labels,
    classified,
    document,
    to_outputs,
    to_table,
)
from mlhelpers.serving.runtimes.xgboost_file import check_model_file
from mlhelpers.serving.signature import ModelSignature

__all__ = ["EXTRA", "FILES", "PACKAGE", "derive", "load"]

FILES = ("model.ubj", "model.json", "model.bst")
PACKAGE = "xgboost"
EXTRA = "frameworks"


def load(folder: Path, signature: ModelSignature) -> Run:
    """Load a booster.

    Args:
        folder: The export folder.
        signature: What signature.json says; the model is held against it.

    Returns:
        The function that runs the model, safe to call from several threads.

    Raises:
        ModelError: The file is damaged, or does not agree with signature.json.
    """
    file, booster = _open(folder)
    categories = _attribute(booster, "categories", {})
    check_columns(signature, booster.num_features(), booster.feature_names, file)
    check_outputs(signature, set(_outputs(booster)), file)
    _check_texts(signature, categories, file)
    places = {name: {word: place for place, word in enumerate(words)} for name, words in categories.items()}
    answer = _answerer(signature, file, booster)

    def read_texts(name: str, texts: list[str]) -> NDArray[Any]:
        try:
            return np.array([places[name][text] for text in texts], np.float32)
        except KeyError as error:
            allowed = ", ".join(map(repr, places[name]))
            raise PredictionError(f"{name!r} is {str(error)[:60]}; allowed: {allowed}.") from None

    def run(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        entry = signature.signatures[signature_name]
        return to_outputs(entry, arrays, answer(to_table(entry, arrays, read_texts)))

    try:
        warm_up(run, signature)
    except Exception as error:  # XGBoost's own class, or what NumPy says of an answer of another shape
        raise ModelError(f"{file} fails on the smallest input that its signature allows: {error}") from error
    return run


def derive(folder: Path) -> dict[str, Any]:
    """Make the document of a signature.json for a booster that has none.

    Args:
        folder: The folder with the model file.

    Raises:
        ModelError: The file is damaged.
    """
    file, booster = _open(folder)
    names, outputs = booster.feature_names, _outputs(booster)
    categories = _attribute(booster, "categories", {})
    texts = {k: categories[name] for k, name in enumerate(names or []) if name in categories}
    classes = [str(label) for label in _classes(booster)] if "classes" in outputs else []
    return document(file, int(booster.num_features()), names, texts, classes, outputs)


def _open(folder: Path) -> tuple[Path, Any]:
    """Return the model file and the booster in it, which lives on without the file."""
    import xgboost

    file = next(folder / name for name in FILES if (folder / name).is_file())
    try:
        content = file.read_bytes()
        check_model_file(content)
        booster = xgboost.Booster()
        booster.load_model(bytearray(content))
        booster.set_param({"nthread": 1})  # a row is done before a second thread is awake
        json.loads(booster.save_config())["learner"]["objective"]["name"]
    # besides XGBoost's own class: KeyError and others of a file that is JSON, and no model
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ModelError(
            f"{file} cannot be loaded: {reason[0]}. Export the model again, as XGBoost's JSON or UBJ: a file of the "
            "old binary form is brought into it by XGBoost before 3.1, with load_model, then save_model('model.ubj')."
        ) from error
    return file, booster


def _attribute(booster: Any, name: str, default: Any) -> Any:
    """Return an attribute that holds JSON; what is none, or of another kind, counts as not there."""
    try:
        value = json.loads(booster.attr(name) or "null")
    except ValueError:
        return default
    return value if value and isinstance(value, type(default)) else default


def _objective(booster: Any) -> str:
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])


def _classes(booster: Any) -> list[Any]:
    """Return the names of the classes, or their numbers."""
    parameters = json.loads(booster.save_config())["learner"]["learner_model_param"]
    return _attribute(booster, "class_names", []) or list(range(max(2, int(parameters["num_class"]))))


def _outputs(booster: Any) -> dict[str, int | None]:
    objective = _objective(booster)
    if objective == "multi:softmax":
        return dict.fromkeys(["class_ids", "classes"])
    if objective in ("binary:logistic", "multi:softprob"):
        return dict.fromkeys(["class_ids", "classes", "probabilities"])
    parameters = json.loads(booster.save_config())["learner"]["learner_model_param"]
    return {"predictions": int(parameters.get("num_target", 1))}


def _check_texts(signature: ModelSignature, categories: Mapping[str, Sequence[str]], file: Path) -> None:
    for entry in signature.signatures.values():
        for name, tensor in entry.inputs.items():
            if tensor.dtype != "string" or name in entry.outputs:
                continue
            if name not in categories:
                raise ModelError(
                    f"signature.json says that {name!r} is a text; {file} has no list of words for it in the attribute "
                    "'categories'. Export the model again."
                )
            strange = [value for value in tensor.values if value not in categories[name]]
            if strange:
                raise ModelError(
                    f"signature.json allows {strange[0]!r} for {name!r}; {file} knows {list(categories[name])}. "
                    "Export the model again."
                )


def _answerer(signature: ModelSignature, file: Path, booster: Any) -> Callable[[NDArray[Any]], Answer]:
    """Return the function from a table (n, k) to an answer."""
    objective = _objective(booster)
    labels = class_labels(signature, _classes(booster), file) if "classes" in _outputs(booster) else []
    best = booster.attr("best_iteration")  # where training stopped early, the rounds after it made the model worse
    rounds = (0, int(best) + 1) if best and best.isdecimal() else (0, 0)

    def answer(table: NDArray[Any]) -> Answer:
        found = booster.inplace_predict(np.ascontiguousarray(table), iteration_range=rounds)
        if not labels:
            return {"predictions": found}
        if objective == "multi:softmax":
            return classified(labels, found.astype(np.int64), None)
        probabilities = np.stack([1 - found, found], axis=1) if found.ndim == 1 else found
        return classified(labels, probabilities.argmax(axis=1), probabilities)

    return answer
