"""LiteRT models of any making: with signatures or without, a fixed batch, texts, quantised numbers, damage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_model import Foreign

from mlhelpers import serving
from mlhelpers.errors import ModelError
from mlhelpers.serving.model import load_model
from mlhelpers.serving.runtimes import signature_of

Kind = Callable[[str], Foreign]


@pytest.mark.parametrize("kind", ["lite", "lite_unnamed", "lite_one"])
def test_it_answers_as_litert_itself(foreign: Kind, kind: str) -> None:
    model = foreign(kind)

    answer = load_model(model.folder).predict(model.instances)

    assert answer.keys() == model.expected.keys()
    for output, values in model.expected.items():
        np.testing.assert_allclose(answer[output], values, rtol=1e-5, atol=1e-6)


def test_a_batch_fixed_to_one_row_is_not_stretched(foreign: Kind) -> None:
    """Resized to a batch, this model would take the softmax over all rows at once."""
    model = foreign("lite_one")

    shares = load_model(model.folder).predict(model.instances)["share"]

    np.testing.assert_allclose(shares.sum(axis=1), np.ones(len(model.instances)), rtol=1e-5)


def test_a_model_without_signatures_is_served_by_its_tensors_names(foreign: Kind) -> None:
    signature = signature_of(foreign("lite_unnamed").folder)

    assert list(signature.signatures) == ["serving_default"]
    assert list(signature.signatures["serving_default"].inputs) == ["flower"]


def test_texts_go_through(foreign: Kind) -> None:
    with serving.load(foreign("lite_text").folder) as predictor:
        (only,) = predictor.signature["signatures"]["serving_default"]["outputs"]
        assert predictor.predict(["a", "größer", "", {"b64": "/wA="}]) == [
            {only: ["a"]},
            {only: ["größer"]},
            {only: [""]},
            {only: [{"b64": "/wA="}]},
        ]


def test_quantised_numbers_are_described(foreign: Kind) -> None:
    signature = signature_of(foreign("lite_quantised").folder).choose(None, None)

    (given,) = signature.inputs.values()
    assert given.dtype == "int8"
    assert given.description.startswith("Quantised: the number meant is 0.")


def test_a_file_changed_after_its_signature_was_derived_is_refused(foreign: Kind, home: Path) -> None:
    store = serving.ModelStore()
    store.create_model("Lite")
    file = store.create_version("Lite", "v1", foreign("lite").folder).folder / "model.tflite"
    content = bytearray(file.read_bytes())
    content[-40] ^= 1
    file.write_bytes(content)

    with pytest.raises(
        ModelError, match=r"model\.tflite cannot be loaded: it is not the file .* make the version again"
    ):
        serving.load("Lite")


_FUZZ = """
import json, sys
from pathlib import Path
import numpy as np
from mlhelpers.errors import ModelError
from mlhelpers.serving.runtimes import litert_trial
folder, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
file = folder / "model.tflite"
content, draw, told = file.read_bytes(), np.random.default_rng(seed), 0
words = [b"\\xff\\xff\\xff\\xff", b"\\xff\\xff\\xff\\x7f", b"\\0\\0\\0\\x80", b"\\0\\0\\0\\0", b"\\x10\\x27\\0\\0"]
for round_ in range(rounds):
    damaged = bytearray(content)
    place = int(draw.integers(len(content) // 4)) * 4
    if round_ % 3 == 0:
        del damaged[place:]
    elif round_ % 3 == 1:
        damaged[place] ^= 1 << int(draw.integers(8))
    else:
        damaged[place : place + 4] = words[draw.integers(len(words))]
    file.write_bytes(damaged)
    try:
        litert_trial.try_model(folder, file.name)
    except ModelError as error:
        assert "cannot be loaded" in str(error) or "no signature that can be served" in str(error), error
        told += 1
print(json.dumps(told))
"""


def test_no_damage_ends_the_process_that_loads(foreign: Kind) -> None:
    rounds = 36
    command = [sys.executable, "-c", _FUZZ, str(foreign("lite").folder), "3", str(rounds)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert rounds // 3 <= int(done.stdout) < rounds
