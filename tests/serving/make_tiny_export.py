"""Write a tiny export: softmax(x @ weights + bias) with the two signatures of the digit models.

Run as a program, `make_tiny_export.py FOLDER`, so that TensorFlow stays out of the tests' own process. The weights are
written beside the export (`weights.npz`): with them NumPy alone says what the model has to answer.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from mlhelpers.frameworks import import_tensorflow

TENSORS = {
    "classes": {"dtype": "int64", "shape": [None]},
    "probabilities": {"dtype": "float32", "shape": [None, 10]},
}
SIGNATURE = {
    "format": 1,
    "name": "tiny",
    "description": "One dense layer with random weights",
    "created": "2026-11-21T09:00:00Z",
    "default_signature": "serving_default",
    "signatures": {
        "serving_default": {
            "inputs": {
                "inputs": {
                    "dtype": "float32",
                    "shape": [None, 784],
                    "min": 0.0,
                    "max": 1.0,
                    "description": "0 is paper",
                }
            },
            "outputs": TENSORS,
        },
        "pixels": {
            "inputs": {"pixels": {"dtype": "uint8", "shape": [None, 28, 28], "min": 0, "max": 255}},
            "outputs": TENSORS,
        },
    },
    "class_names": [str(digit) for digit in range(10)],
    "metrics": {"accuracy": 0.1},
}


def main(folder: Path) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    tf = import_tensorflow()

    draw = np.random.default_rng(7)
    weights = (draw.normal(size=(784, 10)) * 0.3).astype(np.float32)
    bias = draw.normal(size=10).astype(np.float32)

    class Tiny(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights, self.bias = tf.Variable(weights), tf.Variable(bias)

        @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, name="inputs")])
        def from_inputs(self, inputs):
            probabilities = tf.nn.softmax(inputs @ self.weights + self.bias)
            return {"classes": tf.argmax(probabilities, 1), "probabilities": probabilities}

        @tf.function(input_signature=[tf.TensorSpec([None, 28, 28], tf.uint8, name="pixels")])
        def from_pixels(self, pixels):
            return self.from_inputs(tf.reshape(tf.cast(pixels, tf.float32) / 255.0, [-1, 784]))

    tiny = Tiny()
    tf.saved_model.save(tiny, str(folder), signatures={"serving_default": tiny.from_inputs, "pixels": tiny.from_pixels})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default", "pixels"])
    (folder / "model.tflite").write_bytes(converter.convert())
    (folder / "signature.json").write_text(json.dumps(SIGNATURE))
    np.savez(folder.with_suffix(".npz"), weights=weights, bias=bias)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
