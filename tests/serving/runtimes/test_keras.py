"""Keras files: several inputs and outputs by name, no code from the file, true words on what is in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_model import Foreign

from mlhelpers.errors import ModelError
from mlhelpers.serving.model import load_model

Kind = Callable[[str], Foreign]


@pytest.mark.parametrize("kind", ["keras", "keras_dict", "keras_built", "keras_one", "keras_windows"])
def test_it_answers_as_keras_itself(foreign: Kind, kind: str) -> None:
    model = foreign(kind)

    answer = load_model(model.folder).predict(model.instances)

    assert answer.keys() == model.expected.keys()
    for output, values in model.expected.items():
        np.testing.assert_allclose(answer[output], values, rtol=1e-4, atol=1e-5)


def test_a_lambda_layer_is_refused_with_the_reason_and_a_way_on(foreign: Kind) -> None:
    with pytest.raises(ModelError, match=r"holds a Lambda layer, which is Python code .*model\.export\(FOLDER\)"):
        load_model(foreign("keras_lambda").folder)


def test_a_layer_of_somebody_elses_program_is_refused_by_name(foreign: Kind) -> None:
    with pytest.raises(
        ModelError, match=r"needs the class 'Own' registered by its maker, which is code that is not in"
    ):
        load_model(foreign("keras_own").folder)


@pytest.mark.parametrize(
    "entry",
    [
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", "it"]}, "registered_name": None},
    ],
)
def test_a_class_from_outside_keras_is_not_even_looked_up(foreign: Kind, entry: dict[str, Any]) -> None:
    model = foreign("keras")
    _change(
        model.folder / "model.keras", lambda config: config["config"]["layers"][-1]["config"].update(activation=entry)
    )

    with pytest.raises(ModelError, match=rf"needs the class '{entry['class_name']}' of the module '{entry['module']}'"):
        load_model(model.folder)


def test_what_was_only_used_in_training_is_in_nobodys_way(foreign: Kind) -> None:
    model = foreign("keras")
    loss = {"module": "their_losses", "class_name": "Loss", "config": {}, "registered_name": "theirs>Loss"}
    _change(model.folder / "model.keras", lambda config: config.update(compile_config={"loss": loss}))

    assert load_model(model.folder).predict(model.instances[:1])["width"].shape == (1, 1)


def test_damage_anywhere_is_a_model_error(foreign: Kind) -> None:
    model = foreign("keras")
    file = model.folder / "model.keras"
    content = file.read_bytes()
    draw = np.random.default_rng(6)
    told = 0

    for round_ in range(60):
        damaged = bytearray(content)
        if round_ % 2:
            damaged = damaged[: draw.integers(len(content))]
        else:
            damaged[draw.integers(len(content))] ^= 1 << int(draw.integers(8))
        file.write_bytes(damaged)
        try:
            load_model(model.folder)
        except ModelError as error:
            told += "model.keras" in str(error)

    assert told >= 50  # the checksums find what is not in a date or a name nobody reads


def test_another_backend_is_named_with_the_cure(foreign: Kind) -> None:
    pytest.importorskip("jax")
    code = (
        "import sys; from mlhelpers.errors import ModelError; from mlhelpers.serving.model import load_model\n"
        "try: load_model(sys.argv[1])\nexcept ModelError as error: print(error)"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax"}

    done = subprocess.run(
        [sys.executable, "-c", code, str(foreign("keras").folder)],
        env=environment, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip

    assert "Keras works on jax. Start it anew with KERAS_BACKEND=tensorflow." in done.stdout


def _change(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
