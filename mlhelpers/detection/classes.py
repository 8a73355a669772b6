"""COCO's classes: 80 names whose ids run from 1 to 90 with holes, as the Object Detection API's models answer them.

May import `errors` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["COCO", "COCO_IDS", "name_of"]

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, -, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, -, backpack, umbrella, -, -,
handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
surfboard, tennis racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, dining table, -, -, toilet, -, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, -, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush
"""

COCO: Mapping[int, str] = MappingProxyType(
    {k: name.strip() for k, name in enumerate(_NAMES.split(","), start=1) if name.strip() != "-"}
)
"""Class id -> name, 80 of them; the ids that no picture was ever labelled with (12, 26, 29, …) are not there."""

COCO_IDS: NDArray[np.int64] = np.array(list(COCO))
"""The ids in order: what a detector calls class 0 to 79 is `COCO_IDS[0]` to `COCO_IDS[79]`."""
COCO_IDS.setflags(write=False)


def name_of(class_id: int, classes: Mapping[int, str] = COCO) -> str:
    """Return a class's name, or its number as text where nobody has named it.

    Args:
        class_id: The id that a detector answered.
        classes: Id -> name.

    Example:
        >>> name_of(18), name_of(12)
        ('dog', 'class 12')
    """
    return classes.get(int(class_id), f"class {int(class_id)}")
