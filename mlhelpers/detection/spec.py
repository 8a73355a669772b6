"""detector.json: what a network wants to see, and how its answer is read. One per folder of a model that is not plain.

```
{"decoder": "nanodet", "title": "NanoDet-g", "sha256": "…of model.tflite",
 "input": {"size": [416, 416], "order": "BGR", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395],
           "fit": "centre", "fill": 0, "channels_first": false},
 "most_overlap": 0.6, "classes": "coco"}
```

May import `errors` alone of the project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlhelpers.detection.classes import COCO
from mlhelpers.errors import ModelError, unknown_name

__all__ = ["DECODERS", "FILE", "FITS", "DetectorSpec", "read_spec"]

FILE = "detector.json"
DECODERS = ("centernet", "nanodet", "object_detection_api", "postprocessed", "ssd", "yolox")
FITS = ("stretch", "centre", "corner")
_ORDERS = ("RGB", "BGR")
_FIELDS = {"decoder", "title", "sha256", "input", "most_overlap", "classes", "made_from"}
_INPUT_FIELDS = {"size", "order", "mean", "std", "fit", "fill", "channels_first"}


@dataclass(frozen=True)
class DetectorSpec:
    """What a network wants to see, and how its answer is read.

    Attributes:
        decoder: Which reading of the answer: a name of `DECODERS`.
        size: Height and width of the picture it takes, in pixels; None where it takes any.
        order: Of the colours: "RGB" or "BGR".
        mean: Taken off each colour in that order, on the scale 0 to 255.
        std: Each colour is divided by it afterwards.
        fit: How a picture comes to that size: "stretch"; "centre" or "corner" keep its form and fill the rest.
        fill: Grey level of that rest, 0 to 255, before mean and std.
        channels_first: Whether it wants (1, 3, height, width) rather than (1, height, width, 3).
        most_overlap: Boxes of a class that overlap more (intersection over union) are one; None where the network
            has seen to that.
        classes: Class id -> name.
        title: What people call the model.
        sha256: Of its file, or empty.

    Raises:
        ModelError: A decoder, order or fit that is not known, or numbers out of their range.
    """

    decoder: str
    size: tuple[int, int] | None = None
    order: str = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: str = "stretch"
    fill: int = 0
    channels_first: bool = False
    most_overlap: float | None = None
    classes: Mapping[int, str] = field(default_factory=lambda: COCO)
    title: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        for kind, given, allowed in (
            ("decoder", self.decoder, DECODERS),
            ("order of colours", self.order, _ORDERS),
            ("fit", self.fit, FITS),
        ):
            if given not in allowed:
                raise ModelError(str(unknown_name(kind, given, allowed)))
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ModelError(f"The size is {self.size}; give height and width in pixels, for instance [320, 320].")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ModelError(f"mean is {self.mean} and std {self.std}; give three numbers for each, std above 0.")
        if self.most_overlap is not None and not 0 < self.most_overlap <= 1:
            raise ModelError(f"most_overlap is {self.most_overlap}; it is above 0 and at most 1, or null.")


def read_spec(path: Path) -> DetectorSpec:
    """Read a detector.json.

    Args:
        path: The file.

    Raises:
        ModelError: It cannot be read, or something in it is unknown or of the wrong kind.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        picture = content.get("input", {})
        _refuse_unknown(content, _FIELDS, "field")
        _refuse_unknown(picture, _INPUT_FIELDS, "field of input")
        values: dict[str, Any] = {name: content[name] for name in ("decoder", "title", "sha256") if name in content}
        values |= {name: picture[name] for name in ("order", "fit", "fill", "channels_first") if name in picture}
        values |= {name: tuple(map(float, picture[name])) for name in ("mean", "std") if name in picture}
        if picture.get("size") is not None:
            values["size"] = tuple(map(int, picture["size"]))
        if content.get("most_overlap") is not None:
            values["most_overlap"] = float(content["most_overlap"])
        if (classes := content.get("classes", "coco")) != "coco":
            values["classes"] = {int(key): str(name) for key, name in classes.items()}
        return DetectorSpec(**values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no description of a detector: {error}.") from error


def _refuse_unknown(given: Mapping[str, Any], known: set[str], kind: str) -> None:
    for name in given:
        if name not in known:
            raise ModelError(str(unknown_name(kind, name, known)))
