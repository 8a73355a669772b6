from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlhelpers.datasets.babyweight import VOCABULARY
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.wide_and_deep import (
    AGE_CUTS,
    CROSS_BUCKETS,
    WEEK_CUTS,
    WIDE_RATE,
    build_model,
    encode_births,
    encode_request,
)

tf = import_tensorflow()


def births(n: int = 500) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(0)
    return {
        "is_male": generator.integers(0, 3, n).astype("uint8"),
        "mother_age": generator.integers(10, 55, n).astype("float32"),
        "plurality": generator.integers(0, 6, n).astype("uint8"),
        "gestation_weeks": generator.integers(14, 50, n).astype("float32"),
    }


def as_words(columns: dict[str, NDArray[Any]]) -> dict[str, Any]:
    words = {
        name: np.array(VOCABULARY[name])[columns[name]] if name in VOCABULARY else columns[name] for name in columns
    }
    return {name: tf.constant(values) for name, values in words.items()}


def test_a_request_is_encoded_as_the_same_births_were_in_training() -> None:
    columns = births()

    trained, served = encode_births(columns), encode_request(**as_words(columns))

    assert trained.keys() == served.keys()
    for name, values in trained.items():
        np.testing.assert_array_equal(values, served[name].numpy())
        assert np.can_cast(values.dtype, served[name].dtype.as_numpy_dtype)


def test_buckets_begin_at_15_to_44_years_and_at_17_to_46_weeks() -> None:
    columns = births()

    wide = encode_births(columns)["wide"]

    assert (AGE_CUTS[0], AGE_CUTS[-1], WEEK_CUTS[0], WEEK_CUTS[-1]) == (15, 44, 17, 46)
    sex, age, plurality, weeks = wide.T
    np.testing.assert_array_equal(sex, columns["is_male"])
    np.testing.assert_array_equal(age - 3, [bisect_right(range(15, 45), value) for value in columns["mother_age"]])
    np.testing.assert_array_equal(plurality - 34, columns["plurality"])
    np.testing.assert_array_equal(weeks - 40, [bisect_right(range(17, 47), v) for v in columns["gestation_weeks"]])
    assert set(age - 3) == set(range(31))


def test_the_cross_hashes_each_combination_of_the_four_columns_by_itself() -> None:
    columns = births(5000)
    encoded = encode_births(columns)

    by_combination: dict[tuple[int, ...], set[int]] = {}
    for row, bucket in zip(encoded["wide"].tolist(), encoded["cross"].tolist(), strict=True):
        by_combination.setdefault(tuple(row), set()).add(bucket)

    assert {len(buckets) for buckets in by_combination.values()} == {1}
    used = {bucket for buckets in by_combination.values() for bucket in buckets}
    expected = CROSS_BUCKETS * (1 - (1 - 1 / CROSS_BUCKETS) ** len(by_combination))  # what a fair hash would fill
    assert len(used) == pytest.approx(expected, rel=0.02)
    assert max(used) < CROSS_BUCKETS


def test_the_network_has_the_parameters_that_its_sizes_make() -> None:
    model, wide, deep = build_model((128, 32, 4), 3)

    linear = 3 + 31 + 6 + 31 + 1 + 1  # one for words outside the vocabularies, and a bias
    assert model.count_params() == linear + 20_000 * 3 + (5 * 128 + 128) + (128 * 32 + 32) + (32 * 4 + 4) + (4 + 1)
    assert sum(int(np.prod(variable.shape)) for variable in wide) == linear
    assert {id(variable) for variable in (*wide, *deep)} == {id(variable) for variable in model.trainable_variables}
    assert deep[0].shape == (20_000, 3)


def test_one_size_makes_one_hidden_layer() -> None:
    model, _, deep = build_model((7,), 2)

    assert [tuple(variable.shape) for variable in deep] == [(20_000, 2), (4, 7), (7,), (7, 1), (1,)]
    assert model(encode_births(births(9))).shape == (9, 1)


def test_the_wide_part_adds_one_weight_for_each_column() -> None:
    model, (weight, bias), deep = build_model((4,), 2)
    for variable in deep:
        variable.assign(np.zeros(variable.shape))
    weight.assign(np.arange(72.0))
    bias.assign([1000.0])
    inputs = encode_births(births(50))

    np.testing.assert_allclose(model(inputs).numpy()[:, 0], 1000 + inputs["wide"].sum(1))


def test_a_word_of_no_vocabulary_counts_for_nothing() -> None:
    given = {"is_male": ["perhaps"], "mother_age": [26.0], "plurality": ["Single(1)"], "gestation_weeks": [39.0]}

    places = encode_request(**{name: tf.constant(value) for name, value in given.items()})["wide"].numpy()

    assert places[0, 0] == 71  # the last weight; no birth of the training data has it


def test_the_wide_rate_is_the_estimators_default_for_four_columns() -> None:
    assert WIDE_RATE == 0.2


def test_ftrl_moves_the_wide_weights_by_its_formula() -> None:
    import keras

    model, wide, _ = build_model((4,), 2)
    inputs, targets = encode_births(births(40)), np.linspace(5, 9, 40, dtype="float32")[:, None]
    rest = model(inputs).numpy() - targets
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(inputs) - targets))
    optimizer = keras.optimizers.Ftrl(WIDE_RATE)

    optimizer.apply(tape.gradient(loss, wide), wide)

    # B. McMahan and others, "Ad Click Prediction: a View from the Trenches", 2013, algorithm 1, from zero weights,
    # without penalties; squares start at 0.1. Rows of a batch that share a word have to be added up first.
    gradient = np.zeros(72)
    np.add.at(gradient, inputs["wide"], np.repeat(2 * rest / 40, 4, axis=1))
    np.testing.assert_allclose(wide[0].numpy(), -0.2 * gradient / np.sqrt(0.1 + gradient**2), rtol=1e-4, atol=1e-6)
