"""A picture made ready for a network, and the network's boxes brought back onto the picture.

May import nothing of the project but this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.spec import DetectorSpec

__all__ = ["Placed", "place", "prepared"]

_GAP = 2.0  # Pillow averages whole blocks first where a picture is larger than twice what is needed


@dataclass(frozen=True)
class Placed:
    """Where the picture lies in what the network sees, as shares of its height and width.

    Attributes:
        pixels: Shape (height, width, 3), uint8, red, green, blue: what the network sees before mean and std.
        top: Above the picture.
        left: Left of it.
        height: Its own height.
        width: Its own width.
    """

    pixels: NDArray[np.uint8]
    top: float = 0.0
    left: float = 0.0
    height: float = 1.0
    width: float = 1.0

    def back(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        """Return boxes on the network's picture, shape (n, 4), as shares of the picture itself, cut at its edges."""
        start = np.array([self.top, self.left, self.top, self.left], np.float32)
        length = np.array([self.height, self.width, self.height, self.width], np.float32)
        on_picture: NDArray[np.float32] = np.clip((boxes - start) / length, 0, 1).astype(np.float32)
        return on_picture


def place(image: NDArray[np.uint8], spec: DetectorSpec) -> Placed:
    """Bring a picture to the size that a network takes.

    Args:
        image: Shape (height, width, 3), uint8.
        spec: What the network takes.
    """
    if spec.size is None or image.shape[:2] == spec.size:
        return Placed(image)
    height, width = spec.size
    if spec.fit == "stretch":
        return Placed(_resized(image, height, width))
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(side * scale)) for side in image.shape[:2])
    centred = spec.fit == "centre"
    top, left = ((height - rows) // 2, (width - columns) // 2) if centred else (0, 0)
    canvas = np.full((height, width, 3), spec.fill, np.uint8)
    canvas[top : top + rows, left : left + columns] = _resized(image, rows, columns)
    return Placed(canvas, top / height, left / width, rows / height, columns / width)


def prepared(pixels: NDArray[np.uint8], spec: DetectorSpec, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the batch of one that a network takes.

    Args:
        pixels: What `place` made.
        spec: What the network takes.
        dtype: Of its input; the numbers stay as they are where it takes bytes.

    Returns:
        Shape (1, height, width, 3), or (1, 3, height, width).
    """
    ordered = pixels if spec.order == "RGB" else np.ascontiguousarray(pixels[..., ::-1])
    batch = ordered.astype(dtype, copy=False)
    if dtype.kind == "f":
        # a row at a time: numpy is slow where the last axis is as short as the three colours
        height, width = pixels.shape[:2]
        rows, scale = batch.reshape(height, width * 3), 1 / np.array(spec.std)
        rows *= np.tile(scale, width).astype(dtype)
        rows -= np.tile(np.array(spec.mean) * scale, width).astype(dtype)
    batch = batch[None] if not spec.channels_first else batch.transpose(2, 0, 1)[None]
    return np.ascontiguousarray(batch)


def _resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    smaller = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=_GAP)
    return np.asarray(smaller)
