"""From a network's answer to boxes, scores and classes: one function for each family of detectors.

Each takes the answer by name and returns candidates on the network's own picture, as shares of its sides; overlaps are
dealt with afterwards. To add a family: a function here, its line in `_TABLE`, its name in `spec.DECODERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.classes import COCO_IDS
from mlhelpers.detection.spec import DetectorSpec
from mlhelpers.errors import ModelError

__all__ = ["Answer", "Candidates", "candidates"]

_STRIDES = (8, 16, 32)  # NanoDet and YOLOX look at the picture in cells of so many pixels
_MOST = 1000  # candidates that are compared with one another; the weakest beyond it are left

Answer = Mapping[str, NDArray[Any]]


class Candidates(NamedTuple):
    """Boxes that a network proposes.

    Attributes:
        boxes: Shape (n, 4), ymin, xmin, ymax, xmax as shares of what the network saw.
        scores: Shape (n,).
        class_ids: Shape (n,), the ids that people know: COCO's, from 1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]


def candidates(answer: Answer, spec: DetectorSpec, threshold: float) -> Candidates:
    """Read a network's answer.

    Args:
        answer: Its outputs by name.
        spec: Which decoder, and the size of what the network saw.
        threshold: Lower scores are left out.

    Raises:
        ModelError: The answer is not of the form that the decoder reads.
    """
    try:
        return _TABLE[spec.decoder](answer, spec, threshold)
    except (KeyError, ValueError, IndexError, StopIteration) as error:
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in answer.items())
        raise ModelError(
            f"The answer of this model cannot be read as {spec.decoder!r} ({error!r}); it has {shapes}. "
            "Name another decoder in its detector.json."
        ) from error


def _best(scores: NDArray[Any], threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row and column of the scores, shape (boxes, classes), that reach the threshold, the best if too many."""
    rows, columns = np.nonzero(scores >= threshold)
    if len(rows) > _MOST:
        best = np.sort(np.argpartition(-scores[rows, columns], _MOST)[:_MOST])
        rows, columns = rows[best], columns[best]
    return rows, columns


def _cells(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return column and row of each cell, shape (n, 2), and its stride, shape (n, 1), in the order networks have."""
    corners, strides = [], []
    for stride in _STRIDES:
        rows, columns = (-(-side // stride) for side in size)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        corners.append(grid)
        strides.append(np.full((len(grid), 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _shares(x0: Any, y0: Any, x1: Any, y1: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return corners in pixels as boxes in shares."""
    height, width = size
    return np.stack([y0 / height, x0 / width, y1 / height, x1 / width], axis=-1).astype(np.float32)


def _size(spec: DetectorSpec) -> tuple[int, int]:
    if spec.size is None:
        raise ValueError("detector.json names no size")
    return spec.size


def _nanodet(answer: Answer, spec: DetectorSpec, threshold: float) -> Candidates:
    """Read NanoDet's: the distance to each side of a box is the mean of a distribution over whole cells."""
    scores = np.concatenate([answer[f"scores_{stride}"][0] for stride in _STRIDES])
    sides = np.concatenate([answer[f"sides_{stride}"][0] for stride in _STRIDES])
    rows, columns = _best(scores, threshold)
    corners, strides = (values[rows] for values in _cells(_size(spec)))
    bins = sides[rows].reshape(len(rows), 4, sides.shape[1] // 4).astype(np.float32)
    weights = np.exp(bins - bins.max(axis=-1, keepdims=True))
    means = (weights * np.arange(bins.shape[-1])).sum(axis=-1) / weights.sum(axis=-1)
    left, top, right, bottom = (means * strides).T
    x, y = ((corners + 0.5) * strides).T
    boxes = _shares(x - left, y - top, x + right, y + bottom, _size(spec))
    return Candidates(boxes, scores[rows, columns].astype(np.float32), COCO_IDS[columns])


def _yolox(answer: Answer, spec: DetectorSpec, threshold: float) -> Candidates:
    """Read YOLOX's: centre and the logarithm of the sides in cells, how likely an object, and which."""
    (raw,) = answer.values()
    rows_of = raw[0]
    scores = rows_of[:, 4:5] * rows_of[:, 5:]
    rows, columns = _best(scores, threshold)
    corners, strides = _cells(_size(spec))
    if len(corners) != len(rows_of):
        raise ValueError(f"{len(rows_of)} boxes for {len(corners)} cells")
    corners, strides, found = corners[rows], strides[rows], rows_of[rows].astype(np.float32)
    x, y = ((found[:, :2] + corners) * strides).T
    width, height = (np.exp(found[:, 2:4]) * strides / 2).T
    boxes = _shares(x - width, y - height, x + width, y + height, _size(spec))
    return Candidates(boxes, scores[rows, columns].astype(np.float32), _ids(columns, scores.shape[1]))


def _ids(columns: NDArray[np.intp], n_classes: int) -> NDArray[np.int64]:
    """Return COCO's ids where there are its 80 classes, else the places counted from 1."""
    return COCO_IDS[columns] if n_classes == len(COCO_IDS) else columns.astype(np.int64) + 1


def _ssd(answer: Answer, spec: DetectorSpec, threshold: float) -> Candidates:
    """Read a single-shot detector's whose boxes are decoded already: scores of classes 1, 2, … for each anchor."""
    scores = answer["scores"][0]
    rows, columns = _best(scores, threshold)
    boxes = answer["boxes"].reshape(-1, 4)[rows].astype(np.float32)
    return Candidates(boxes, scores[rows, columns].astype(np.float32), columns.astype(np.int64) + 1)


def _centernet(answer: Answer, spec: DetectorSpec, threshold: float) -> Candidates:
    """Read CenterNet's hundred best: corners in pixels, score, class from 0."""
    found = answer["detections"][0]
    found = found[found[:, 4] >= threshold]
    left, top, right, bottom = found[:, :4].T
    boxes = _shares(left, top, right, bottom, _size(spec))
    return Candidates(boxes, found[:, 4].astype(np.float32), COCO_IDS[found[:, 5].astype(np.int64)])


def _object_detection_api(answer: Answer, spec: DetectorSpec, threshold: float) -> Candidates:
    """Read what TensorFlow's Object Detection API exports: four outputs, boxes chosen already."""
    boxes, scores, classes = (answer[f"detection_{what}"][0] for what in ("boxes", "scores", "classes"))
    return _chosen(boxes, scores, classes, answer["num_detections"], threshold)


def _postprocessed(answer: Answer, spec: DetectorSpec, threshold: float) -> Candidates:
    """Read what LiteRT's detection operation gives: boxes, classes from 0, scores and their number.

    Converters have put them in more than one order; so boxes and number are told by their shapes, and the scores by
    being no whole numbers.
    """
    (boxes,) = (value for value in answer.values() if value.ndim == 3)
    (count,) = (value for value in answer.values() if value.ndim < 2)
    classes, scores = (value for value in answer.values() if value.ndim == 2)
    if (classes != classes.round()).any():
        classes, scores = scores, classes
    return _chosen(boxes[0], scores[0], classes[0] + 1, count, threshold)


def _chosen(boxes: Any, scores: Any, classes: Any, count: Any, threshold: float) -> Candidates:
    n = int(np.ravel(count)[0])
    keep = scores[:n] >= threshold
    class_ids = classes[:n][keep].round().astype(np.int64)
    return Candidates(boxes[:n][keep].astype(np.float32), scores[:n][keep].astype(np.float32), class_ids)


_TABLE: dict[str, Callable[[Answer, DetectorSpec, float], Candidates]] = {
    "centernet": _centernet,
    "nanodet": _nanodet,
    "object_detection_api": _object_detection_api,
    "postprocessed": _postprocessed,
    "ssd": _ssd,
    "yolox": _yolox,
}
