"""The two networks for breast density, and their export; written on `keras.ops`, so that TensorFlow and JAX run them.

Both take grey levels as the pictures hold them and bring them to a common scale inside the network. The original fed
levels of up to 65535 as they are, on which its gradient descent diverges.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.base import write_json
from mlhelpers.trainers.cluster import Rows
from mlhelpers.trainers.data_parallel import build_dropout
from mlhelpers.trainers.export import export, number
from mlhelpers.trainers.keras_loop import load_variables, save_variables

__all__ = ["build_model", "export_density"]

_LEVELS = 65535.0


def build_model(recipe: str, shape: tuple[int, int], classes: int, rows: Rows | None = None) -> Any:
    """Build an untrained network.

    `tutorial` is the original's: two convolutions of 5x5 with pooling, 1,024 hidden units, dropout 0.4; 48,291,716
    parameters at 128x95 pixels and four classes. `fast` finds out where tissue is and returns shares of areas, which is
    how density is defined: 21,216 parameters.

    Args:
        recipe: "fast" or "tutorial".
        shape: Height and width of the pictures, in pixels.
        classes: How many classes.
        rows: The rows of each batch that it is trained on, where other processes take the others; None for all.

    Returns:
        A Keras model: (n, height, width, 1) float32, 0 to 65535 -> logits (n, classes).
    """
    from keras import Model, layers

    inputs = layers.Input((*shape, 1), name="image")
    hidden = _tutorial(inputs, rows) if recipe == "tutorial" else _fast(inputs, rows)
    return Model(inputs, layers.Dense(classes)(hidden), name=recipe)


def _tutorial(inputs: Any, rows: Rows | None) -> Any:
    from keras import layers, ops

    x = inputs / _LEVELS
    mean, spread = ops.mean(x, (1, 2, 3), keepdims=True), ops.std(x, (1, 2, 3), keepdims=True)
    x = (x - mean) / (spread + 1e-3)
    for filters in (32, 64):
        x = layers.MaxPool2D(2)(layers.Conv2D(filters, 5, padding="same", activation="relu")(x))
    return build_dropout(0.4, rows)(layers.Dense(1024, activation="relu")(layers.Flatten()(x)))


def _fast(inputs: Any, rows: Rows | None) -> Any:
    from keras import layers, ops

    x = ops.log1p(inputs / 1500.0)  # exposure multiplies; after the logarithm it adds, and edges stay alike
    # told relative to the breast: bright pixels weigh most in this mean, the black around it next to nothing
    x = x - ops.sum(x**3, (1, 2, 3), keepdims=True) / (ops.sum(x**2, (1, 2, 3), keepdims=True) + 1.0)
    for filters, size, stride in ((12, 5, 2), (24, 3, 2), (32, 3, 1), (32, 3, 1)):
        x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, synchronized=rows is not None)(x))
    what, where = (layers.Conv2D(16, 1, activation="sigmoid")(x) for _ in range(2))
    shares = ops.sum(what * where, (1, 2)) / (ops.sum(where, (1, 2)) + 1.0)  # of the area that matters, which part?
    shares = layers.BatchNormalization(momentum=0.9, synchronized=rows is not None)(shares)
    return layers.Dense(32, activation="relu")(shares)


def export_density(
    model: Any, recipe: str, folder: Path, class_names: list[str], description: Mapping[str, Any]
) -> Path:
    """Export a trained network as SavedModel and LiteRT model; one trained on JAX is rebuilt on TensorFlow first.

    Args:
        model: What `build_model` returned, trained.
        recipe: What it was built with.
        folder: The run's output folder.
        class_names: What the classes are called.
        description: More fields for signature.json.

    Returns:
        `<folder>/export/cbis_ddsm/<seconds since the epoch>`.

    Raises:
        DataError: The export cannot be written.
        MissingExtraError: TensorFlow is not installed.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        return _export(model, folder, class_names, description)
    weights, words = folder / "weights.npz", folder / ".export.json"
    _, height, width, _ = model.input_shape
    save_variables(weights, model.variables)
    write_json(
        words,
        {
            "build": [recipe, [height, width], len(class_names)],
            "folder": str(folder),
            "class_names": class_names,
            "description": dict(description),
        },
    )
    try:  # a process has one Keras backend for life
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, str(words), str(weights)],
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        words.unlink(missing_ok=True)
        weights.unlink(missing_ok=True)
    if done.returncode:
        raise DataError(
            f"The network was trained, but its export under TensorFlow failed: {done.stderr.strip()[-500:]}. The same "
            "command goes on from the last checkpoint and exports again."
        )
    return Path(done.stdout.strip().splitlines()[-1])


def _export(model: Any, folder: Path, class_names: list[str], description: Mapping[str, Any]) -> Path:
    tf = import_tensorflow()
    _, height, width, _ = model.input_shape

    def answer(image: Any) -> dict[str, Any]:
        probabilities = tf.nn.softmax(model(image[..., None], training=False))
        classes = tf.argmax(probabilities, 1)
        return {"density": classes + 1, "classes": classes, "probabilities": probabilities}

    n = len(class_names)
    text = "rows of grey levels of a mammogram of 16 bits, 0 black to 65535 white; made small as the training pictures"
    outputs = {
        "density": number("int64", [None], f"the most probable BI-RADS density, 1 to {n}", 1, n),
        "classes": number("int64", [None], f"the same less 1, 0 to {n - 1}", 0, n - 1),
        "probabilities": number("float32", [None, n], "one probability per density; they sum to 1", 0.0, 1.0),
    }
    inputs = {"image": number("float32", [None, height, width], text, 0.0, _LEVELS)}
    spec = [tf.TensorSpec([None, height, width], tf.float32, "image")]
    signature = answer, spec, {"inputs": inputs, "outputs": outputs}
    more = {**description, "class_names": class_names}
    return export(folder, "cbis_ddsm", model, {"serving_default": signature}, more)


def _export_rebuilt(words: Path, weights: Path) -> Path:
    """Export what another process trained; called in a process of its own."""
    content = json.loads(words.read_text(encoding="utf-8"))
    import_tensorflow()
    model = build_model(*content["build"])
    load_variables(weights, model.variables)
    return _export(model, Path(content["folder"]), content["class_names"], content["description"])


if __name__ == "__main__":
    print(_export_rebuilt(*map(Path, sys.argv[1:])))
