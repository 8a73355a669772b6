"""One picture through the shipped model, in this process: loading up to the first answer, then many calls."""

import json
import time
from collections.abc import Callable

import numpy as np
import psutil
from stopwatch import WANTED

from mlhelpers import serving, settings

FOLDER = settings.shipped_data() / "models" / "mnist"


def litert() -> Callable:  # our serving's runtime, without the checks around it
    run = serving.shipped("mnist", runtime="litert")._opened()._run
    return lambda picture: run("serving_default", {"inputs": picture})["probabilities"]


def predict() -> Callable:  # what a user calls: instances in, checked, plain Python values out
    predictor = serving.shipped("mnist", runtime="litert")
    return lambda picture: np.array([row["probabilities"] for row in predictor.predict(picture)])


def savedmodel() -> Callable:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(FOLDER))
    return lambda picture: loaded.signatures["serving_default"](inputs=tf.constant(picture))["probabilities"].numpy()


def keras() -> Callable:
    import tensorflow as tf

    from mlhelpers.trainers.mnist import build_model

    signature = json.loads((FOLDER / "signature.json").read_text("utf-8"))
    model = build_model(signature["hyperparameters"]["architecture"], signature["hyperparameters"]["dropout"])
    weights = tf.train.load_checkpoint(str(FOLDER / "variables" / "variables"))
    for number, variable in enumerate(model.variables):  # in the order in which the trainer exported them
        variable.assign(weights.get_tensor(f"model_variables/{number}/.ATTRIBUTES/VARIABLE_VALUE"))
    model.add(tf.keras.layers.Softmax())
    return lambda picture: model.predict(picture.reshape(-1, 28, 28, 1), verbose=0)


with np.load(WANTED.data) as arrays:
    picture, label = arrays["picture"], int(arrays["label"])
began = time.perf_counter()
call = {"litert": litert, "predict": predict, "savedmodel": savedmodel, "keras-predict": keras}[WANTED.row]()
answer = int(np.argmax(call(picture)))
load_s = time.perf_counter() - began
if answer != label:
    raise SystemExit(f"{WANTED.row} takes a {label} for a {answer}: this is not the shipped model.")
for _ in range(20):
    call(picture)
times: list[float] = []
deadline = time.perf_counter() + WANTED.give_up_s
while len(times) < WANTED.calls and time.perf_counter() < deadline:
    start = time.perf_counter()
    call(picture)
    times.append(1e3 * (time.perf_counter() - start))
memory_mb = psutil.Process().memory_info().rss / 2**20
figures = {"median_ms": float(np.median(times)), "p99_ms": float(np.percentile(times, 99)), "calls": len(times)}
print(json.dumps(figures | {"load_s": load_s, "memory_mb": memory_mb}))
