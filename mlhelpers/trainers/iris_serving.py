"""What the species classifier takes and gives: four numbers, one line of text, or a serialised `tensorflow.Example`.

The original's JSON input demanded all five columns, the species among them: the very thing that is asked for. Here the
four lengths are enough, in each of the three forms.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from mlhelpers.datasets.iris import CLASS_NAMES, FEATURES, LARGEST_CM
from mlhelpers.datasets.records import serialize
from mlhelpers.trainers.export import Signature, number, text
from mlhelpers.trainers.flowers import inputs, outputs

__all__ = ["FORMATS", "signature"]

_EXAMPLE = {"SepalLength": 5.9, "SepalWidth": 3.0, "PetalLength": 4.2, "PetalWidth": 1.5}  # the tutorial's flower
_LENGTH = r" *(?:1?\d(?:\.\d*)?|20(?:\.0*)?|\.\d+) *"  # a number from 0 to LARGEST_CM


def signature(tf: Any, model: Any, form: str) -> Signature:
    """Return the serving signature for one form of requests.

    Args:
        tf: TensorFlow.
        model: A Keras model: (n, 4) float32, the lengths in cm -> logits (n, 3).
        form: One of `FORMATS`.

    Returns:
        The signature; its outputs are those of a DNNClassifier: `class_ids` and `classes` (n, 1), `logits` and
        `probabilities` (n, 3).
    """
    return _MAKERS[form](tf, model)


def _answer(tf: Any, model: Any, features: Any) -> dict[str, Any]:
    """Return what a DNNClassifier's `predict` returns, for lengths (n, 4)."""
    logits = model(features, training=False)
    ids = tf.argmax(logits, axis=1)[:, None]
    names = tf.constant(CLASS_NAMES)
    return {
        "class_ids": ids,
        "classes": tf.gather(names, ids),
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
    }


def _outputs() -> dict[str, Any]:
    n = len(CLASS_NAMES)
    scores = number("float32", [None, n], "one score per class; the softmax of the scores is the probabilities")
    return {**outputs(), "logits": scores}


def _from_numbers(tf: Any, model: Any) -> Signature:
    """Take the four lengths by name; the species, which the original demanded, is what is asked for."""

    def answer(sepal_length: Any, sepal_width: Any, petal_length: Any, petal_width: Any) -> dict[str, Any]:
        return _answer(tf, model, tf.stack([sepal_length, sepal_width, petal_length, petal_width], axis=1))

    specs = [tf.TensorSpec([None], tf.float32, name) for name in FEATURES]
    return answer, specs, {"inputs": inputs(), "outputs": _outputs()}


def _from_rows(tf: Any, model: Any) -> Signature:
    """Take one line of text per flower; nothing is filled in where a length is missing."""

    def answer(csv_row: Any) -> dict[str, Any]:
        lengths = tf.io.decode_csv(csv_row, [tf.constant([], tf.float32)] * len(FEATURES))
        return _answer(tf, model, _in_range(tf, tf.stack(lengths, axis=1)))

    meaning = f"{','.join(FEATURES)}: four lengths from 0 to {LARGEST_CM:g} cm with commas between"
    row = text([None], meaning, pattern=",".join([_LENGTH] * 4), example=",".join(map(str, _EXAMPLE.values())))
    spec = [tf.TensorSpec([None], tf.string, "csv_row")]
    return answer, spec, {"inputs": {"csv_row": row}, "outputs": _outputs()}


def _from_examples(tf: Any, model: Any) -> Signature:
    """Take one serialised `tensorflow.Example` per flower."""
    features = {name: tf.io.FixedLenFeature([], tf.float32) for name in FEATURES}

    def answer(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, features)
        return _answer(tf, model, _in_range(tf, tf.stack([parsed[name] for name in FEATURES], axis=1)))

    meaning = f"a serialised tensorflow.Example, as {{'b64': …}}, with one float each for {', '.join(FEATURES)}, in cm"
    packed = text([None], meaning, example={"b64": base64.b64encode(serialize(_EXAMPLE)).decode("ascii")})
    spec = [tf.TensorSpec([None], tf.string, "examples")]
    return answer, spec, {"inputs": {"examples": packed}, "outputs": _outputs()}


def _in_range(tf: Any, lengths: Any) -> Any:
    """Refuse what the server cannot see inside a text: the same range as for plain numbers."""
    fits = tf.reduce_all((lengths >= 0.0) & (lengths <= LARGEST_CM))
    with tf.control_dependencies([tf.debugging.Assert(fits, [f"lengths are 0 to {LARGEST_CM:g} cm"])]):
        return tf.identity(lengths)


_MAKERS: dict[str, Callable[[Any, Any], Signature]] = {
    "JSON": _from_numbers,
    "CSV": _from_rows,
    "EXAMPLE": _from_examples,
}
FORMATS = tuple(_MAKERS)
