"""Write models of many kinds as strangers bring them: without a signature.json.

Run as a program, `make_foreign_models.py FOLDER`, so that TensorFlow stays out of the tests' own process. Beside each
model KIND lies KIND.json: instances, and what TensorFlow, LiteRT or Keras itself says to them, without mlhelpers.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np

from mlhelpers.frameworks import hidden

with hidden(("jax", "sklearn")):  # their imports take seconds, and nothing here needs them
    import keras
    import tensorflow as tf

V1 = tf.compat.v1
DRAW = np.random.default_rng(11)
FLOWERS = DRAW.normal(size=(7, 4)).astype(np.float32)
PICTURES = DRAW.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
Spec = tf.TensorSpec


def note(path: Path, instances: list[Any], expected: dict[str, Any]) -> None:
    """Write what a model is asked and what its framework answers."""
    plain = {name: _plain(values) for name, values in expected.items()}
    path.with_suffix(".json").write_text(json.dumps({"instances": instances, "expected": plain}))


def _plain(values: Any) -> Any:
    listed = np.asarray(values).tolist()
    return [item.decode() if isinstance(item, bytes) else item for item in listed]


class Module(tf.Module):
    """Signatures that can be served, and some that cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(DRAW.normal(size=(4, 3)).astype(np.float32))
        self.names = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["red", "blue"], tf.constant([1, 2], tf.int64)), -1
        )

    @tf.function(input_signature=[Spec([None, 4], tf.float32, "flower")])
    def flowers(self, flower):
        scores = tf.nn.softmax(flower @ self.weights)
        return {"scores": scores, "best": tf.argmax(scores, 1), "total": tf.reduce_sum(scores)}

    @tf.function(input_signature=[Spec([None], tf.string, "color"), Spec([None, None], tf.int64, "counts")])
    def colors(self, color, counts):
        return {"number": self.names.lookup(color), "loud": tf.strings.upper(color), "sum": tf.reduce_sum(counts, 1)}

    @tf.function(input_signature=[Spec([None, 2], tf.bool, "switches")])
    def switches(self, switches):
        return {"both": tf.reduce_all(switches, 1)}

    @tf.function(input_signature=[Spec([], tf.float32, "number")])
    def scalar(self, number):
        return {"twice": number * 2}

    @tf.function(input_signature=[])
    def nothing(self):
        return {"weights": self.weights + 0}

    @tf.function(input_signature=[Spec(None, tf.float32, "anything")])
    def anything(self, anything):
        return {"twice": anything * 2}

    @tf.function(input_signature=[Spec([8, 4], tf.float32, "eight")])
    def eight(self, eight):
        return {"sum": tf.reduce_sum(eight, 1)}

    @tf.function(input_signature=[Spec([None], tf.complex64, "wave")])
    def wave(self, wave):
        return {"size": tf.abs(wave)}


class One(tf.Module):
    """A batch fixed to one row: what it answers is right for one row only."""

    @tf.function(input_signature=[Spec([1, 4], tf.float32, "flower")])
    def one(self, flower):
        return {"share": tf.reshape(tf.nn.softmax(tf.reshape(flower, [-1])), [1, -1])}


class Examples(tf.Module):
    """Takes serialised tf.Examples, as estimators do; an empty one is refused."""

    @tf.function(input_signature=[Spec([None], tf.string, "examples")])
    def predict(self, examples):
        parsed = tf.io.parse_example(examples, {"length": tf.io.FixedLenFeature([], tf.float32)})
        return {"doubled": parsed["length"] * 2}


class Windows(tf.Module):
    """A convolution over pictures of any size: of one pixel there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(DRAW.normal(size=(3, 3, 1, 2)).astype(np.float32))

    @tf.function(input_signature=[Spec([None, None, None, 1], tf.uint8, "picture")])
    def windows(self, picture):
        return {"high": tf.reduce_max(tf.nn.conv2d(tf.cast(picture, tf.float32), self.kernel, 1, "VALID"), [1, 2])}


def saved_models(folder: Path) -> None:
    """Write SavedModels of today's TensorFlow."""
    module, one, examples, windows = Module(), One(), Examples(), Windows()
    kinds = ("flowers", "colors", "switches", "scalar", "nothing", "anything", "eight", "wave")
    tf.saved_model.save(module, str(folder / "module"), signatures={kind: getattr(module, kind) for kind in kinds})
    answer = module.flowers(FLOWERS)
    note(folder / "module", FLOWERS.tolist(), {"scores": answer["scores"], "best": answer["best"]})
    tf.saved_model.save(one, str(folder / "one"), signatures={"serving_default": one.one})
    rows = [one.one(row[None])["share"][0] for row in FLOWERS]
    note(folder / "one", FLOWERS.tolist(), {"share": np.stack(rows)})
    tf.saved_model.save(examples, str(folder / "examples"), signatures={"predict": examples.predict})
    tf.saved_model.save(windows, str(folder / "windows"), signatures={"serving_default": windows.windows})
    note(folder / "windows", PICTURES.tolist(), {"high": windows.windows(PICTURES)["high"]})
    tf.saved_model.save(module, str(folder / "unsigned"))
    tf.saved_model.save(module, str(folder / "unservable"), signatures={"serving_default": module.scalar})


def first_tensorflow(folder: Path) -> None:
    """Write SavedModels as TensorFlow 1 did: with placeholders, sessions and tags."""
    with tf.Graph().as_default(), V1.Session() as session:
        flower, key = V1.placeholder(tf.float32, [None, 4]), V1.placeholder(tf.string, [None])
        weights = V1.get_variable("weights", initializer=DRAW.normal(size=(4, 1)).astype(np.float32))
        length = tf.matmul(flower, weights)
        session.run(V1.global_variables_initializer())
        V1.saved_model.simple_save(
            session, str(folder / "simple_save"), {"flower": flower, "key": key}, {"length": length, "key": key + "!"}
        )
        keys = [f"k{index}" for index in range(len(FLOWERS))]
        answer = session.run(length, {flower: FLOWERS})
        instances = [{"flower": row.tolist(), "key": key} for row, key in zip(FLOWERS, keys, strict=True)]
        note(folder / "simple_save", instances, {"length": answer, "key": [f"{key}!" for key in keys]})
        builder = V1.saved_model.Builder(str(folder / "two_graphs"))
        signature = V1.saved_model.predict_signature_def({"flower": flower}, {"length": length})
        builder.add_meta_graph_and_variables(session, ["train"], {"training": signature})
        builder.add_meta_graph(["serve"], {"predict": signature})
        builder.save()
        note(folder / "two_graphs", FLOWERS.tolist(), {"length": answer})
    with tf.Graph().as_default(), V1.Session() as session:
        sparse = V1.sparse_placeholder(tf.float32, [None, 4])
        V1.saved_model.simple_save(
            session, str(folder / "sparse"), {"words": sparse}, {"sum": tf.sparse.reduce_sum(sparse, 1)}
        )


def lite_models(folder: Path) -> None:
    """Write model.tflite files, and ask LiteRT itself."""
    from ai_edge_litert.interpreter import Interpreter

    module, one = Module(), One()

    def write(name: str, content: bytes) -> Interpreter:
        (folder / name).mkdir()
        (folder / name / "model.tflite").write_bytes(content)
        return Interpreter(model_content=content)

    tf.saved_model.save(module, str(folder / "source"), signatures={"flowers": module.flowers})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "source"), signature_keys=["flowers"])
    answer = write("lite", converter.convert()).get_signature_runner("flowers")(flower=FLOWERS)
    note(folder / "lite", FLOWERS.tolist(), {"scores": answer["scores"], "best": answer["best"]})

    function = module.flowers.get_concrete_function()
    interpreter = write("lite_unnamed", tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    (given,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], FLOWERS.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], FLOWERS)
    interpreter.invoke()
    rows = [one for one in interpreter.get_output_details() if len(one["shape_signature"])]
    note(folder / "lite_unnamed", FLOWERS.tolist(), {one["name"]: interpreter.get_tensor(one["index"]) for one in rows})

    tf.saved_model.save(one, str(folder / "source_one"), signatures={"serving_default": one.one})
    interpreter = write("lite_one", tf.lite.TFLiteConverter.from_saved_model(str(folder / "source_one")).convert())
    runner = interpreter.get_signature_runner()
    shares = [runner(flower=row[None])["share"][0].copy() for row in FLOWERS]
    note(folder / "lite_one", FLOWERS.tolist(), {"share": np.stack(shares)})

    @tf.function(input_signature=[Spec([None], tf.string, "text")])
    def echo(text):
        return {"same": tf.reshape(text, [-1, 1])}

    interpreter = write(
        "lite_text", tf.lite.TFLiteConverter.from_concrete_functions([echo.get_concrete_function()]).convert()
    )

    small = keras.Sequential([keras.Input((4,), name="flower"), keras.layers.Dense(3, name="scores")])
    converter = tf.lite.TFLiteConverter.from_keras_model(small)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in FLOWERS)
    converter.inference_input_type = converter.inference_output_type = tf.int8
    write("lite_quantised", converter.convert())


def keras_models(folder: Path) -> None:
    """Write model.keras files, and ask Keras itself."""
    layers = keras.layers

    def write(name: str, model: keras.Model) -> None:
        (folder / name).mkdir()
        model.save(folder / name / "model.keras")

    flower, color = keras.Input((4,), name="flower"), keras.Input((1,), dtype="string", name="color")
    known = layers.StringLookup(vocabulary=["red", "blue"], output_mode="one_hot")(color)
    both = layers.Concatenate()([flower, known])
    scores = layers.Dense(3, activation="softmax", name="scores")(both)
    width = layers.Dense(1, activation=keras.activations.gelu, name="width")(layers.Dropout(0.5)(both))
    colors = np.array([["red"], ["blue"], ["pink"]] * 3)[: len(FLOWERS)]
    instances = [{"flower": f.tolist(), "color": c.tolist()} for f, c in zip(FLOWERS, colors, strict=True)]
    listed = keras.Model([flower, color], [scores, width])
    answer = listed([tf.constant(FLOWERS), tf.constant(colors)], training=False)
    write("keras", listed)
    note(folder / "keras", instances, {"scores": answer[0], "width": answer[1]})
    write("keras_dict", keras.Model({"flower": flower, "color": color}, {"p": scores, "w": width}))
    note(folder / "keras_dict", instances, {"p": answer[0], "w": answer[1]})

    built = keras.Sequential([layers.Dense(2, name="pair")])
    answer = built(FLOWERS)
    write("keras_built", built)
    note(folder / "keras_built", FLOWERS.tolist(), {"pair": answer})
    one = keras.Sequential(
        [
            keras.Input(batch_shape=(1, 4), name="flower"),
            layers.Reshape((4, 1)),
            layers.LSTM(2, stateful=False, name="end"),
        ]
    )
    write("keras_one", one)
    note(folder / "keras_one", FLOWERS.tolist(), {"end": np.concatenate([one(row[None]) for row in FLOWERS])})
    picture = [keras.Input((None, None, 1), dtype="uint8"), layers.Rescaling(1 / 255), layers.Conv2D(2, 3)]
    windows = keras.Sequential([*picture, layers.GlobalMaxPooling2D(name="high")])
    write("keras_windows", windows)
    note(folder / "keras_windows", PICTURES.tolist(), {"high": windows(PICTURES)})

    write("keras_lambda", keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2)]))

    @keras.saving.register_keras_serializable("theirs")
    class Own(layers.Layer):
        def call(self, x):
            return x

    write("keras_own", keras.Sequential([keras.Input((4,)), Own()]))
    exported = keras.Sequential([keras.Input((4,), name="flower"), layers.Dense(3, name="scores")])
    exported.export(str(folder / "keras_export"), verbose=False)
    note(folder / "keras_export", FLOWERS.tolist(), {"output_0": exported(FLOWERS)})


def tables(folder: Path) -> None:
    """Write what takes a table with named columns: a scikit-learn pipeline and a booster."""
    import skops.io
    import xgboost
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = ["a", "b", "c", "d"]
    instances = [dict(zip(names, row, strict=True)) for row in FLOWERS.tolist()]
    targets = FLOWERS.sum(axis=1)
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(FLOWERS, targets)
    pipeline[0].feature_names_in_ = np.array(names, object)  # as after a fit on a data frame
    (folder / "sklearn").mkdir()
    skops.io.dump(pipeline, folder / "sklearn" / "model.skops")
    note(folder / "sklearn", instances, {"predictions": pipeline.predict(FLOWERS)[:, None]})

    data = xgboost.DMatrix(FLOWERS, targets, feature_names=names)
    booster = xgboost.train({"min_child_weight": 0, "lambda": 0}, data, 5)
    (folder / "xgboost").mkdir()
    booster.save_model(folder / "xgboost" / "model.ubj")
    note(folder / "xgboost", instances, {"predictions": booster.predict(data)[:, None]})


def main(folder: Path) -> None:
    """Write everything."""
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(5)
    saved_models(folder)
    first_tensorflow(folder)
    lite_models(folder)
    keras_models(folder)
    tables(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
