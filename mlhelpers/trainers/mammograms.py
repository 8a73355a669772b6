"""Mammograms as a trainer reads them: from PNG folders or TFRecord files, in batches that depend on the step alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.cbis_ddsm.folders import list_pictures
from mlhelpers.datasets.cbis_ddsm.pictures import read_png
from mlhelpers.datasets.records import read_records
from mlhelpers.errors import DataError, UsageError
from mlhelpers.trainers.cluster import Rows

__all__ = ["Pictures", "batches", "read_folder", "read_record_file"]

_PREPARE = "mlhelpers data prepare cbis_ddsm --output-dir DIR"


@dataclass(frozen=True)
class Pictures:
    """Pictures in memory.

    Attributes:
        images: Shape (n, height, width), uint16 from PNG files and float32 from records, 0 black to 65535 white.
        labels: Density - 1, shape (n,), int64.
        what: What they are, for whoever meets the model later.
    """

    images: NDArray[np.uint16] | NDArray[np.float32]
    labels: NDArray[np.int64]
    what: str

    @property
    def shape(self) -> tuple[int, int]:
        """Return their height and width."""
        return self.images.shape[1], self.images.shape[2]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.labels)


def read_folder(folder: Path, width: int = 0, height: int = 0) -> Pictures:
    """Read every PNG file `<density>_<case>.png` of a folder, in the order of their names.

    Args:
        folder: Where they are.
        width: Width that they must have, in pixels; what the first one has if 0.
        height: Height likewise.

    Raises:
        DataError: No pictures, a damaged one, or pictures of different sizes.
        UsageError: Their size is not the one asked for.
    """
    paths = list_pictures(folder)
    images = [read_png(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{path} is {_size(image.shape)} pixels, {paths[0].name} is {_size(images[0].shape)}; a network takes "
                f"one size. Make them again:  {_PREPARE}"
            )
    _check_size(folder, images[0].shape, width, height)
    drawn = sum("_Phantom-" in path.name for path in paths)
    kinds = {0: "mammograms", len(paths): "synthetic phantoms, no person's mammograms"}
    what = kinds.get(drawn, f"mammograms, {drawn} of {len(paths)} of them synthetic phantoms")
    return Pictures(np.stack(images), np.array([int(path.name[0]) - 1 for path in paths], np.int64), what)


def read_record_file(path: Path, width: int = 0, height: int = 0) -> Pictures:
    """Read a TFRecord file with `label` (int64, density - 1) and `image` (raw float32, row by row).

    Args:
        path: The file.
        width: Width of the pictures in pixels; 95 if 0. The records do not tell it.
        height: Height; 128 if 0.

    Raises:
        DataError: The file is missing, damaged, empty or holds something else.
        UsageError: The pictures have another number of pixels.
    """
    shape = (height or 128, width or 95)
    images, labels = [], []
    if not path.is_file():
        raise DataError(f"{path} does not exist. Make the records first:  {_PREPARE}")
    for number, record in enumerate(read_records(path)):
        image, label = record.get("image"), record.get("label")
        if not isinstance(image, bytes) or not isinstance(label, int):
            raise DataError(f"{path}: record {number} has {sorted(record)}, not image and label: {_PREPARE}")
        if len(image) != 4 * shape[0] * shape[1]:
            raise UsageError(
                f"{path}: the picture of record {number} has {len(image):,} bytes; {_size(shape)} pixels of float32 "
                f"are {4 * shape[0] * shape[1]:,}. Say its size with --image_width and --image_height."
            )
        images.append(np.frombuffer(image, "<f4").reshape(shape))
        labels.append(label)
    if not labels:
        raise DataError(f"{path} holds no record. Make it again:  {_PREPARE}")
    return Pictures(np.stack(images), np.array(labels, np.int64), "records that do not tell whether they are synthetic")


def batches(
    data: Pictures, size: int, seed: int, augment: bool, rows: Rows | None = None
) -> Callable[[int], tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Return a function step -> batch; each epoch is shuffled anew, and the same step always gives the same batch.

    The original trainer for TPUs read its records in label order, a single class for many batches.

    Args:
        data: What to draw from.
        size: Pictures a batch, at most as many as there are. What is left over at an epoch's end comes in other ones.
        seed: Order and changes.
        augment: Flip, shift and expose the pictures anew each time.
        rows: Return these rows of each batch only, the same as in a whole one; None for all.
    """
    per_epoch = len(data) // size
    part = slice(None) if rows is None else rows.part

    def batch(step: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        epoch, k = divmod(step, per_epoch)
        order = np.random.default_rng([seed, 0, epoch]).permutation(len(data))[k * size : (k + 1) * size]
        mine = order[part]
        images = data.images[mine].astype(np.float32)
        if augment:
            changes = _draw_changes(size, data.shape[0], np.random.default_rng([seed, 1, step]))
            images = _changed(images, [change[part] for change in changes])
        return images[..., None], data.labels[mine]

    return batch


def _draw_changes(n: int, height: int, rng: np.random.Generator) -> list[NDArray[Any]]:
    """Draw, for each of n pictures: shifts down and across, two mirrorings, gain and curve."""
    moves = [
        (rng.integers(-height // 16, height // 16 + 1), rng.integers(-2, 3), rng.random() < 0.5, rng.random() < 0.5)
        for _ in range(n)
    ]
    return [np.array(moves, np.int64), *np.exp(rng.uniform(-0.3, 0.3, (2, n, 1, 1))).astype(np.float32)]


def _changed(images: NDArray[np.float32], changes: list[NDArray[Any]]) -> NDArray[np.float32]:
    """Return the pictures as other exposures and positions would have made them; density stays."""
    height, width = images.shape[1:]
    moves, gain, curve = changes
    result = np.zeros_like(images)
    for target, image, (down, across, mirrored, upended) in zip(result, images, moves.tolist(), strict=True):
        rows, columns = height - abs(down), width - abs(across)
        y, x = max(0, -down), max(0, -across)
        target[max(0, down) :][:rows, max(0, across) :][:, :columns] = image[y : y + rows, x : x + columns]
        if mirrored:
            target[:] = target[:, ::-1].copy()
        if upended:
            target[:] = target[::-1].copy()
    changed: NDArray[np.float32] = np.float32(65535) * np.minimum(result / np.float32(65535) * gain, 1) ** curve
    return changed


def _check_size(folder: Path, shape: tuple[int, ...], width: int, height: int) -> None:
    if (height or shape[0], width or shape[1]) != shape:
        raise UsageError(
            f"The pictures in {folder} are {_size(shape)} pixels (width x height), but --image_width {width} and "
            f"--image_height {height} were given. Leave both at 0 to take the pictures as they are."
        )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
