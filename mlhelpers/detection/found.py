"""What a detector answers: boxes, scores and classes, in one form whatever the model.

May import `errors` alone of the project.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import UsageError

__all__ = ["Detections"]


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects found in one picture, the surest first.

    Attributes:
        boxes: Shape (n, 4), float32: ymin, xmin, ymax, xmax as shares of height and width, within 0 to 1.
        scores: Shape (n,), float32, 0 to 1, falling.
        class_ids: Shape (n,), int64: COCO's ids, 1 to 90; of a model of your own, its ids.
        names: The n names of the classes.
        model: Name of the model that answered.
        size: Width and height of the picture in pixels.
        seconds: How long it took from the picture to the boxes.

    Raises:
        UsageError: Arrays of another shape, not the same number of each, or scores that rise.

    Example:
        >>> found = Detections(
        ...     np.array([[0, 0, 0.5, 0.5]], np.float32), np.array([0.8], np.float32), np.array([18]), ("dog",),
        ...     model="nanodet", size=(640, 480), seconds=0.02)
        >>> found.counts(), len(found.above(0.9))
        ({'dog': 1}, 0)
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    names: tuple[str, ...]
    model: str
    size: tuple[int, int]
    seconds: float

    def __post_init__(self) -> None:
        n = len(self.names)
        shapes = (self.boxes.shape, self.scores.shape, self.class_ids.shape)
        if shapes != ((n, 4), (n,), (n,)):
            raise UsageError(
                f"Detections with {n} names need boxes, scores and class ids of the shapes {(n, 4)}, {(n,)} and "
                f"{(n,)}; given were {', '.join(map(str, shapes))}."
            )
        if (np.diff(self.scores) > 0).any():
            raise UsageError("The scores of detections fall from the first to the last; these rise somewhere.")

    def __len__(self) -> int:
        return len(self.names)

    def above(self, threshold: float) -> Detections:
        """Return those with a score of at least the threshold.

        Args:
            threshold: From 0 to 1.
        """
        n = int((self.scores >= threshold).sum())
        return replace(
            self, boxes=self.boxes[:n], scores=self.scores[:n], class_ids=self.class_ids[:n], names=self.names[:n]
        )

    def counts(self) -> dict[str, int]:
        """Return class name -> how many were found, the most frequent first."""
        return dict(Counter(self.names).most_common())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each object as plain data with the keys name, class_id, score and box (ymin, xmin, ymax, xmax)."""
        for name, class_id, score, box in zip(self.names, self.class_ids, self.scores, self.boxes, strict=True):
            corners = [round(float(value), 5) for value in box]
            yield {"name": name, "class_id": int(class_id), "score": round(float(score), 5), "box": corners}

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data that `json.dumps` takes: model, size, seconds, counts and detections."""
        width, height = self.size
        return {
            "model": self.model,
            "size": {"width": width, "height": height},
            "seconds": round(self.seconds, 4),
            "counts": self.counts(),
            "detections": list(self.rows()),
        }

    def __repr__(self) -> str:
        """Show what was found, not where."""
        found = ", ".join(f"{name} {score:.2f}" for name, score in zip(self.names[:5], self.scores, strict=False))
        more = f" and {len(self) - 5} more" if len(self) > 5 else ""
        return f"Detections({found or 'nothing'}{more}; {self.model}, {self.seconds * 1e3:.0f} ms)"
