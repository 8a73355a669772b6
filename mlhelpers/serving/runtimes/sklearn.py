"""scikit-learn: a pipeline from a skops file, which runs no code when it is opened; a pickle on its owner's word only.

Types that skops does not know to be harmless are refused, trees among them: scikit-learn follows the numbers in them
without checking, so a crafted file can crash the process (https://github.com/scikit-learn/scikit-learn/pull/34558).

Classifiers answer class_ids, classes and, where they know them, probabilities; everything else predictions.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import MissingExtraError, ModelError, PredictionError
from mlhelpers.serving.runtimes import Run, warm_up
from mlhelpers.serving.runtimes.pickles import PICKLES, check_pickle
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
from mlhelpers.serving.signature import ModelSignature

__all__ = ["EXTRA", "FILES", "PACKAGE", "PICKLES", "derive", "load"]

FILES = ("model.skops", *PICKLES)
PACKAGE = "sklearn"
EXTRA = "frameworks"
_SHOWN = 8


def load(folder: Path, signature: ModelSignature, trust_pickle: bool = False) -> Run:
    """Load a fitted estimator.

    Args:
        folder: The export folder.
        signature: What signature.json says; the model is held against it.
        trust_pickle: Whether the owner vouches for the file: a pickle, or a skops file with types that skops does not
            trust on its own.

    Returns:
        The function that runs the model, safe to call from several threads.

    Raises:
        ModelError: The file is damaged, is not trusted, or does not agree with signature.json.
        MissingExtraError: skops is not installed.
    """
    file, model = _open(folder, trust_pickle)
    names = _names(model)
    check_columns(signature, getattr(model, "n_features_in_", None), names, file)
    check_outputs(signature, set(_outputs(file, model)), file)
    answer = _answerer(signature, file, model)

    def run(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        entry = signature.signatures[signature_name]
        table = to_table(entry, arrays, lambda _, texts: np.array(texts, object))
        return to_outputs(entry, arrays, answer(table))

    try:
        warm_up(run, signature)
    # what is wrong with a pipeline comes as whatever its steps raise
    except Exception as error:
        raise ModelError(
            f"{file} fails on the smallest input that its signature allows: {error} A pipeline has to take an array "
            "with the columns in their order; one fitted on a data frame and choosing columns by name does not."
        ) from error
    return run


def derive(folder: Path, trust_pickle: bool = False) -> dict[str, Any]:
    """Make the document of a signature.json for an estimator that has none.

    Args:
        folder: The folder with the model file.
        trust_pickle: As in `load`.

    Raises:
        ModelError: The file is damaged or not trusted, or the estimator does not say what it takes.
        MissingExtraError: skops is not installed.
    """
    file, model = _open(folder, trust_pickle)
    outputs = _outputs(file, model)
    count = getattr(model, "n_features_in_", None)
    if count is None:
        raise ModelError(f"{file} does not say how many values it takes. Write a signature.json beside it.")
    classes = [str(label) for label in model.classes_] if "classes" in outputs else []
    return document(file, int(count), _names(model), _vocabularies(model), classes, outputs)


def _open(folder: Path, trusted: bool) -> tuple[Path, Any]:
    """Return the model file and the estimator in it, which lives on without the file."""
    file = next(folder / name for name in FILES if (folder / name).is_file())
    check_pickle(file, trusted)
    try:
        content = file.read_bytes()
        return file, _unpickle(content) if file.name in PICKLES else _from_skops(file, content, trusted)
    except (ModelError, MissingExtraError):
        raise
    # damaged files come as errors of the archive, of JSON, of skops, of pickle or of scikit-learn, never documented
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        raise ModelError(f"{file} cannot be loaded: {reason}. Export the model again.") from error


def _unpickle(content: bytes) -> Any:
    import joblib

    return joblib.load(io.BytesIO(content))  # reads both, and joblib's pieces between


def _from_skops(file: Path, content: bytes, trusted: bool) -> Any:
    try:
        from skops.io import get_untrusted_types, loads
    except ImportError as error:
        raise MissingExtraError("skops, which opens model.skops,", EXTRA) from error
    unknown = get_untrusted_types(data=content)
    if unknown and not trusted:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise ModelError(
            f"{file} was not loaded: it holds types that skops does not know to be harmless: "
            f"{', '.join(unknown[:_SHOWN])}{more}. Export a model without them; or, for a file that you made yourself, "
            "give --trust-pickle (in Python: trust_pickle=True)."
        )
    return loads(content, trusted=unknown)


def _outputs(file: Path, model: Any) -> dict[str, int | None]:
    """Return what an estimator can answer, and how many numbers an answer is where it says so."""
    from sklearn.base import is_classifier

    if not hasattr(model, "predict"):
        raise ModelError(f"{file} holds a {type(model).__name__}, which has no predict. Export a fitted estimator.")
    if not is_classifier(model):
        return {"predictions": _targets(model)}
    if isinstance(model.classes_, list):
        raise ModelError(f"{file} predicts several classes at once, which is not served. Export one model for each.")
    names = ["class_ids", "classes"] + (["probabilities"] if hasattr(model, "predict_proba") else [])
    return dict.fromkeys(names)


def _targets(model: Any) -> int | None:
    last = model[-1] if hasattr(model, "steps") else model
    bias = np.shape(getattr(last, "intercept_", 0.0))
    return bias[0] if len(bias) == 1 else getattr(last, "n_outputs_", None)


def _answerer(signature: ModelSignature, file: Path, model: Any) -> Callable[[NDArray[Any]], Answer]:
    """Return the function from a table (n, k) to an answer."""
    import joblib
    from sklearn import config_context
    from sklearn.base import is_classifier

    labels = class_labels(signature, model.classes_.tolist(), file) if is_classifier(model) else []
    # for good: setting filters around each call is not safe with several threads
    warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
    has_probabilities = bool(labels) and hasattr(model, "predict_proba")

    def answer(table: NDArray[Any]) -> Answer:
        if has_probabilities:
            probabilities = model.predict_proba(table)
            return classified(labels, probabilities.argmax(axis=1), probabilities)
        predicted = np.asarray(model.predict(table))
        if labels:
            return classified(labels, np.searchsorted(model.classes_, predicted), None)
        return {"predictions": predicted}

    def guarded(table: NDArray[Any]) -> Answer:
        # a pool of workers, which some estimators ask for, takes longer to start than a row takes
        with (
            joblib.parallel_config(backend="sequential"),
            config_context(assume_finite=True, skip_parameter_validation=True),
        ):
            try:
                return answer(table)
            except ValueError as error:  # a text that no encoder knows, say
                raise PredictionError(f"The model refuses what was sent: {error}.") from None

    return guarded


def _names(model: Any) -> list[str] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _vocabularies(model: Any) -> dict[int, list[str]]:
    """Return the texts that the encoders of a pipeline's first step know, by column."""
    first = model[0] if hasattr(model, "steps") else model
    names = _names(model) or []
    found: dict[int, list[str]] = {}
    for _, encoder, columns in getattr(first, "transformers_", [("", first, None)]):
        encoder = encoder[0] if hasattr(encoder, "steps") else encoder
        categories = getattr(encoder, "categories_", None)
        if categories is None:
            continue
        places = range(len(categories)) if columns is None else columns
        for place, words in zip(places, categories, strict=False):
            k = names.index(place) if place in names else place
            if isinstance(k, int | np.integer) and all(isinstance(word, str) for word in words):
                found[int(k)] = [str(word) for word in words]
    return found
