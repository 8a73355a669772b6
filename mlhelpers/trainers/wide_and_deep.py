"""The wide and deep network of the babyweight tutorial, and the columns that it sees.

After H.-T. Cheng and others, "Wide & Deep Learning for Recommender Systems", 2016 (arXiv:1606.07792): a linear model on
one-of-many columns ("wide") and a small network ("deep") are trained together, and their answers are added.

| column | wide | deep |
|---|---|---|
| is_male | 3 words | in the cross |
| plurality | 6 words | in the cross |
| mother_age | 31 buckets, cut at 15, 16, … 44 years | as a number, and in the cross |
| gestation_weeks | 31 buckets, cut at 17, 18, … 46 weeks | as a number, and in the cross |

The cross of the four is hashed to 20,000 buckets; the deep part sees a few learnt numbers for each, an embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.babyweight import FEATURES, VOCABULARY
from mlhelpers.frameworks import import_tensorflow

__all__ = ["AGE_CUTS", "CROSS_BUCKETS", "WEEK_CUTS", "WIDE_RATE", "build_model", "encode_births", "encode_request"]

AGE_CUTS = tuple(range(15, 45))
WEEK_CUTS = tuple(range(17, 47))
CROSS_BUCKETS = 20_000
WIDE_RATE = min(0.2, 1 / math.sqrt(len(FEATURES)))  # the default of TensorFlow's estimator for its wide part

_CUTS = {"mother_age": AGE_CUTS, "gestation_weeks": WEEK_CUTS}
_SIZES = {name: len(VOCABULARY[name]) if name in VOCABULARY else len(_CUTS[name]) + 1 for name in FEATURES}
# each column's places in the one list of wide weights; the last weight of all belongs to words that are in no
# vocabulary: it is never trained, stays zero, and such a word counts for nothing
_OFFSETS = dict(zip(FEATURES, np.cumsum([0, *_SIZES.values()]).tolist(), strict=False))
_NO_WORD = sum(_SIZES.values())
_PIECE = 1_000_000  # births encoded at once
# middle and spread of the numbers, rounded, so that the first layer gets values around zero
_MIDDLE, _SPREAD = (27.0, 39.0), (6.0, 2.5)


def encode_births(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Turn columns as `datasets.babyweight.read_csv` gives them into the network's inputs.

    Args:
        columns: `is_male` and `plurality` as places in `VOCABULARY`, `mother_age` in years and `gestation_weeks`, each
            of shape (n,).

    Returns:
        `wide` (n, 4) uint8, places in the list of wide weights; `cross` (n,) uint16, 0 to 19,999; `numbers` (n, 2)
        float32, age and weeks: 14 bytes a birth, for there may be millions of them.
    """
    n = len(columns[FEATURES[0]])
    wide, cross = np.empty((n, len(FEATURES)), np.uint8), np.empty(n, np.uint16)
    for start in range(0, n, _PIECE):
        piece = slice(start, start + _PIECE)
        buckets = [
            np.digitize(columns[name][piece], _CUTS[name]) if name in _CUTS else columns[name][piece].astype(np.int64)
            for name in FEATURES
        ]
        wide[piece] = np.stack([bucket + _OFFSETS[name] for name, bucket in zip(FEATURES, buckets, strict=True)], 1)
        cross[piece] = _crossed()[np.ravel_multi_index(buckets, tuple(_SIZES.values()))]
    numbers = np.stack([columns[name] for name in _CUTS], 1)
    return {"wide": wide, "cross": cross, "numbers": numbers.astype(np.float32, copy=False)}


@cache
def _crossed() -> NDArray[np.uint16]:
    """Return the hash of each of the 17,298 combinations, in the order of `np.ravel_multi_index`."""
    tf = import_tensorflow()
    sizes = tuple(_SIZES.values())
    places = np.unravel_index(np.arange(np.prod(sizes)), sizes)
    columns = zip(FEATURES, places, strict=True)
    words = [np.array(VOCABULARY[name])[place] if name in VOCABULARY else place for name, place in columns]
    hashes: NDArray[np.uint16] = _cross(tf, [tf.constant(word) for word in words]).numpy().astype(np.uint16)
    return hashes


def encode_request(is_male: Any, mother_age: Any, plurality: Any, gestation_weeks: Any) -> dict[str, Any]:
    """Do as `encode_births`, as part of an exported graph and from words instead of places.

    Args:
        is_male: String tensor of shape (n,).
        mother_age: Float tensor of shape (n,), years.
        plurality: String tensor of shape (n,).
        gestation_weeks: Float tensor of shape (n,).

    Returns:
        Tensors of the names and shapes that `encode_births` gives; places and hashes are int32.
    """
    tf = import_tensorflow()
    given = dict(zip(FEATURES, (is_male, mother_age, plurality, gestation_weeks), strict=True))
    places, crossed = [], []
    for name, values in given.items():
        if name in VOCABULARY:
            hits = tf.equal(values[:, None], tf.constant(VOCABULARY[name]))
            place = tf.argmax(tf.cast(hits, tf.int32), 1, output_type=tf.int32) + _OFFSETS[name]
            places.append(tf.where(tf.reduce_any(hits, 1), place, _NO_WORD))
            crossed.append(values)
        else:
            bucket = tf.searchsorted(tf.constant(_CUTS[name], tf.float32), values, side="right")
            places.append(bucket + _OFFSETS[name])
            crossed.append(bucket)
    numbers = tf.stack([given[name] for name in _CUTS], 1)
    return {"wide": tf.stack(places, 1), "cross": tf.cast(_cross(tf, crossed), tf.int32), "numbers": numbers}


def _cross(tf: Any, columns: Sequence[Any]) -> Any:
    """Hash combinations of words and bucket numbers to 0 … 19,999, the same for training and for requests."""
    words = [column if column.dtype == tf.string else tf.as_string(column) for column in columns]
    return tf.strings.to_hash_bucket_fast(tf.strings.join(words, "_X_"), CROSS_BUCKETS)


def build_model(nnsize: Sequence[int], nembeds: int) -> tuple[Any, list[Any], list[Any]]:
    """Build an untrained network.

    Args:
        nnsize: Units of each hidden layer.
        nembeds: Numbers learnt for each bucket of the cross.

    Returns:
        The Keras model, which takes what `encode_births` gives and returns pounds of shape (n, 1); the variables of its
        wide part; those of its deep part, the embedding first.
    """
    import keras
    from keras import layers

    inputs = {
        "wide": layers.Input((len(FEATURES),), dtype="int32", name="wide"),
        "cross": layers.Input((), dtype="int32", name="cross"),
        "numbers": layers.Input((len(_CUTS),), name="numbers"),
    }
    wide = _wide_layer()
    scaled = layers.Normalization(mean=_MIDDLE, variance=[spread**2 for spread in _SPREAD])(inputs["numbers"])
    start = keras.initializers.TruncatedNormal(stddev=1 / math.sqrt(nembeds))  # as TensorFlow's embedding_column
    embedding = layers.Embedding(CROSS_BUCKETS, nembeds, embeddings_initializer=start, name="cross_embedding")
    hidden = layers.Concatenate()([scaled, embedding(inputs["cross"])])
    dense = [layers.Dense(units, activation="relu") for units in nnsize] + [layers.Dense(1, name="deep")]
    for layer in dense:
        hidden = layer(hidden)
    model = keras.Model(inputs, layers.Add()([wide(inputs["wide"]), hidden]), name="wide_and_deep")
    deep = [variable for layer in (embedding, *dense) for variable in layer.trainable_variables]
    return model, list(wide.trainable_variables), deep


def _wide_layer() -> Any:
    """Return the linear model: one weight for each word and bucket, and a bias, all zero at first."""
    from keras import layers, ops

    class Wide(layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def build(self, shape: Any) -> None:
            self.weight = self.add_weight(shape=(_NO_WORD + 1,), initializer="zeros", name="weight")
            self.bias = self.add_weight(shape=(1,), initializer="zeros", name="bias")

        def call(self, places: Any) -> Any:
            # times one: the gradient comes as one array, rows that share a word added up. As pieces, one for each row,
            # Keras' FTRL would square the pieces instead of their sum
            weight = ops.multiply(self.weight, 1.0)
            return ops.sum(ops.take(weight, places, axis=0), axis=1, keepdims=True) + self.bias

    return Wide(name="wide_weights")
