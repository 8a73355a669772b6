"""The network that the project ships reads digits as people draw them, not only MNIST's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mlhelpers import datasets, serving, strokes


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model() -> serving.Predictor:
    return serving.shipped("mnist")


def _read(model: serving.Predictor, drawings: list) -> np.ndarray:
    pictures = [{"inputs": strokes.rasterize(drawing)} for drawing in drawings]
    return np.array([answer["classes"] for answer in model.predict(pictures)])


def test_the_shipped_network_reads_synthetic_drawings_in_every_way_of_writing(model: serving.Predictor) -> None:
    drawings, digits, ways = _beside("drawn_digits").sample(20, seed=1)

    right = _read(model, drawings) == digits

    worst = {way: right[[name == way for name in ways]].mean() for way in dict.fromkeys(ways)}
    assert right.mean() >= 0.97
    assert min(worst.values()) >= 0.8, worst


def test_the_shipped_network_reads_real_people_s_strokes_redrawn_from_validation_digits(
    model: serving.Predictor,
) -> None:
    split = datasets.load("mnist")
    strokes_of = _beside("digit_strokes").strokes_of
    rng = np.random.default_rng(0)
    # anywhere on a canvas of 280 pixels, at a third to four thirds of the size
    drawings = []
    for image in split.validation["images"][:300]:
        size, place = rng.uniform(0.3, 1.3), rng.uniform(-80, 120, 2)
        drawings.append([stroke * size + place for stroke in strokes_of(image)])

    right = _read(model, drawings) == split.validation["labels"][:300]

    assert right.mean() >= 0.97


def test_the_shipped_model_is_as_good_on_the_test_digits_as_it_says(model: serving.Predictor) -> None:
    split = datasets.load("mnist")

    answers = model.predict(split.test["images"], signature_name="pixels")

    right = np.mean([answer["classes"] for answer in answers] == split.test["labels"])
    assert right == pytest.approx(model.signature["metrics"]["accuracy"], abs=2e-4)
    assert right >= 0.995
