"""What the peers share: the digit model behind a plain call, LiteRT or SavedModel, with the same checks of shape."""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(os.environ["DIGITS"])
Call = Callable[[list[Any]], list[dict[str, Any]]]


def rows(classes: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """Return predictions as JSON can carry them; a float32 as the shortest number that means it."""
    short = np.asarray(probabilities.astype(str), dtype=np.float64).tolist()
    return [{"classes": int(c), "probabilities": p} for c, p in zip(classes, short, strict=True)]


def litert() -> Call:
    """Return a function from instances (28x28 or 784 numbers each) to predictions, on LiteRT with two threads."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=(FOLDER / "model.tflite").read_bytes(), num_threads=2)
    run = interpreter.get_signature_runner("serving_default")

    def call(instances: list[Any]) -> list[dict[str, Any]]:
        found = run(inputs=np.asarray(instances, np.float32).reshape(len(instances), 784))
        return rows(found["classes"], found["probabilities"])

    return _settled(call)


def savedmodel() -> Call:
    """Return the same from the SavedModel, its signature called as a compiled function."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(FOLDER))
    run = loaded.signatures["serving_default"]

    def call(instances: list[Any]) -> list[dict[str, Any]]:
        found = run(inputs=tf.constant(np.asarray(instances, np.float32).reshape(len(instances), 784)))
        return rows(found["classes"].numpy(), found["probabilities"].numpy())

    call.__dict__["keeps"] = loaded
    return _settled(call)


def _settled(call: Call) -> Call:
    """Warm up, and take what is loaded off the garbage collector: its pauses would make any server's tail."""
    call([np.zeros(784).tolist()])
    gc.collect()
    gc.freeze()
    return call
