from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers.errors import DataError, MLHelpersError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers import keras_loop
from mlhelpers.trainers.keras_loop import KerasTask, fit, load_variables, save_variables


def model(units: int = 2) -> Any:
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(units)])
    network.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
    return network


def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(step)
    return rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=(4, 2)).astype("float32")


def weights(network: Any) -> np.ndarray:
    return np.concatenate([np.ravel(variable) for variable in network.variables])


def test_a_run_that_was_stopped_goes_on_and_ends_where_an_undisturbed_one_ends(tmp_path: Path) -> None:
    whole, first, second = model(), model(), model()
    steps: list[int] = []

    def noted(step: int) -> tuple[np.ndarray, np.ndarray]:
        steps.append(step)
        return batch(step)

    fit(KerasTask(whole, batch, 8), tmp_path / "whole").close()
    fit(KerasTask(first, batch, 3), tmp_path / "parts", checkpoint_every_s=0).close()
    fit(KerasTask(second, noted, 8), tmp_path / "parts").close()

    assert steps == [3, 4, 5, 6, 7]
    np.testing.assert_allclose(weights(whole), weights(second), rtol=1e-6)
    assert not np.allclose(weights(whole), weights(first))


def test_the_newest_two_checkpoints_are_kept_and_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    for steps in (1, 2, 3):
        network = model()
        fit(KerasTask(network, batch, steps), tmp_path).close()
    places = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert places == ["ckpt-2.npz", "ckpt-3.npz"]

    (tmp_path / "checkpoints" / "ckpt-3.npz").write_bytes(b"half a file")

    network = model()
    network.optimizer.build(network.trainable_variables)
    assert keras_loop._restore(network, tmp_path / "checkpoints")[0] == 2


def test_checkpoints_of_another_network_are_refused(tmp_path: Path) -> None:
    fit(KerasTask(model(), batch, 1), tmp_path).close()

    with pytest.raises(DataError, match=r"No checkpoint in .* belongs to another network.*Remove the run's folder"):
        fit(KerasTask(model(units=5), batch, 2), tmp_path)


def test_variables_come_back_with_the_numbers_kept_beside_them(tmp_path: Path) -> None:
    one, two = model(), model()
    one.variables[0].assign(np.full((3, 2), 7.0))

    save_variables(tmp_path / "w.npz", one.variables, step=5)

    assert load_variables(tmp_path / "w.npz", two.variables) == {"step": 5.0}
    np.testing.assert_array_equal(weights(one), weights(two))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    def broken(step: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((4, 3), np.nan, "float32"), np.zeros((4, 2), "float32")

    with pytest.raises(MLHelpersError, match=r"loss stopped being a number at step 1. Lower --learning_rate"):
        fit(KerasTask(model(), broken, 2), tmp_path)


def test_a_run_that_had_ended_is_validated_again_for_whoever_reads_its_last_step(tmp_path: Path) -> None:
    fit(KerasTask(model(), batch, 1), tmp_path, validate=lambda: {"accuracy": 0.5}).close()
    reporter = fit(KerasTask(model(), batch, 1), tmp_path, validate=lambda: {"accuracy": 0.75})
    reporter.save_history()

    with (tmp_path / "history.csv").open(newline="") as stream:
        assert [(row["step"], row["validation_accuracy"]) for row in csv.DictReader(stream)] == [("1", "0.75")]
    reporter.close()


def test_validation_is_reported_with_each_checkpoint(tmp_path: Path) -> None:
    fit(KerasTask(model(), batch, 1), tmp_path, validate=lambda: {"accuracy": 0.5}).close()

    with (tmp_path / "history.csv").open(newline="") as stream:
        assert [row["validation_accuracy"] for row in csv.DictReader(stream)] == ["0.5"]
