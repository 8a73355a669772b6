"""MNIST: 70,000 handwritten digits, 28x28 grey pixels each, from the four original IDX files.

The data are by Yann LeCun, Corinna Cortes and Christopher J.C. Burges, made from NIST's Special Databases 1 and 3, and
licensed CC BY-SA 3.0. Ink is high: 0 is paper, 255 full ink. Taught in notebook 01.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.base import SOURCES, DataFile, Split, fetch
from mlhelpers.datasets.records import Value, write_records
from mlhelpers.errors import DataError, UsageError
from mlhelpers.storage import local_path

__all__ = ["CLASS_NAMES", "COLUMNS", "FILES", "SOURCES", "SUMMARY", "load", "prepare", "read_idx", "request"]

SUMMARY = "70,000 handwritten digits, 28x28 grey pixels, classes 0 to 9 (CC BY-SA 3.0)"
CLASS_NAMES = tuple("0123456789")
COLUMNS = {
    "images": "28x28 grey levels row by row, 0 paper to 255 ink",
    "labels": "the digit that was written, 0 to 9",
}

_PUBLIC = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FILES = {
    "train_images": DataFile(
        "train-images-idx3-ubyte.gz",
        "7ff28fd295f802eefc6d40e461175dfe4b969b1842b2abc8c6dc8c20711cf79f",
        9_630_610,
        _PUBLIC + "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train_labels": DataFile(
        "train-labels-idx1-ubyte.gz",
        "81a978ae83d39ffdba0db3ce2fcaf80a8921e9629e874428996a2b03242d4b2a",
        28_878,
        _PUBLIC + "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "test_images": DataFile(
        "t10k-images-idx3-ubyte.gz",
        "197e111ae341b0770be9011ac5e622d0e6cd1c640b32eb0de5dc1dd26cc6e182",
        1_602_050,
        _PUBLIC + "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "test_labels": DataFile(
        "t10k-labels-idx1-ubyte.gz",
        "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
        4_517,
        _PUBLIC + "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}


def load(source: str | None = None, validation_size: int = 5000, seed: int = 0) -> Split:
    """Load MNIST; the validation part is drawn from the 60,000 training pictures, the test part is the original one.

    Args:
        source: "shipped", "mirror" or "public"; the default of `datasets.base.fetch` if None.
        validation_size: How many of the 60,000 become the validation part, 0 to 59,999.
        seed: Which ones; the same seed always draws the same ones, and puts the training part in the same order.

    Returns:
        `images` of shape (n, 28, 28), uint8, 0 paper to 255 ink; `labels` of shape (n,), int64, 0 to 9.

    Raises:
        UsageError: An unknown source, or a size out of range.
        DataError: A file is missing, truncated or altered.
    """
    paths = {name: fetch("mnist", file, source) for name, file in FILES.items()}
    parts = {name: read_idx(path) for name, (path, _) in paths.items()}
    images, labels = parts["train_images"], parts["train_labels"].astype(np.int64)
    if not 0 <= validation_size < len(images):
        raise UsageError(
            f"validation_size is {validation_size!r}; allowed is 0 to {len(images) - 1:,}: so many of the "
            f"{len(images):,} training pictures are set aside."
        )
    order = np.random.default_rng(seed).permutation(len(images))
    validation, train = order[:validation_size], order[validation_size:]
    return Split(
        name="mnist",
        train={"images": images[train], "labels": labels[train]},
        validation={"images": images[validation], "labels": labels[validation]},
        test={"images": parts["test_images"], "labels": parts["test_labels"].astype(np.int64)},
        target="labels",
        columns=COLUMNS,
        class_names=CLASS_NAMES,
        how=f"{validation_size:,} of the 60,000 training pictures drawn with seed {seed} for validation",
        source=paths["train_images"][1],
    )


def prepare(
    output_dir: str | Path, source: str | None = None, validation_size: int = 5000, seed: int = 0
) -> list[Path]:
    """Write train.tfrecords, validation.tfrecords and test.tfrecords (55,000, 5,000 and 10,000 records).

    Each record has `height`, `width`, `depth` and `label` (int64) and `image_raw` (784 bytes, row by row), as the
    original tutorial's files had.

    Args:
        output_dir: Folder or gs:// address; made if it is missing.
        source: As in `load`.
        validation_size: How many of the 60,000 training pictures are set aside for validation.
        seed: Which ones are set aside, and the order of the others.

    Returns:
        The three files.

    Raises:
        UsageError: As in `load`.
        DataError: As in `load`, or the folder cannot be written.
    """
    split = load(source, validation_size, seed)
    folder = local_path(output_dir)
    written = []
    for part in ("train", "validation", "test"):
        images, labels = getattr(split, part)["images"], getattr(split, part)["labels"]
        path = folder / f"{part}.tfrecords"
        write_records(path, _examples(images, labels), total=len(labels), label=path.name)
        written.append(path)
    return written


def request(n: int = 10, source: str | None = None) -> list[dict[str, Any]]:
    """Make the first test pictures into instances: `inputs` with 784 grey levels in 0..1.

    The original tutorial sends ten, whose labels are 7 2 1 0 4 1 4 9 5 9.

    Args:
        n: How many, 1 to 10,000.
        source: As in `load`.

    Raises:
        UsageError: `n` is out of range.
        DataError: The file is missing, truncated or altered.
    """
    images = read_idx(fetch("mnist", FILES["test_images"], source)[0])
    if not 1 <= n <= len(images):
        raise UsageError(f"{n!r} instances were asked for; allowed is 1 to {len(images):,}, the size of the test part.")
    flat = images[:n].reshape(n, -1)
    return [{"inputs": [round(pixel / 255, 4) for pixel in picture]} for picture in flat.tolist()]


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes.

    The format: two zero bytes, 8 for unsigned byte, the number of axes, the length of each axis as a big-endian int32,
    then the data in row-major order (described on the MNIST home page).

    Args:
        path: The file.

    Returns:
        The array, uint8, of the shape that the file names.

    Raises:
        DataError: The file cannot be read, is no gzip or IDX file, or is shorter or longer than its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}): it is truncated, altered or no gzip file.") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path} is no IDX file of bytes: it begins with {content[:4]!r}, not with 00 00 08.")
    axes = content[3]
    shape = np.frombuffer(content, ">i4", count=axes, offset=4) if len(content) >= 4 + 4 * axes else np.array([-1])
    body = len(content) - 4 - 4 * axes
    if (shape < 0).any() or int(np.prod(shape, dtype=np.int64)) != body:
        raise DataError(f"{path} is truncated or altered: its header says {shape.tolist()}, but {body:,} bytes follow.")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _examples(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Iterator[dict[str, Value]]:
    height, width = images.shape[1:]
    for image, label in zip(images, labels.tolist(), strict=True):
        yield {"height": height, "width": width, "depth": 1, "label": label, "image_raw": image.tobytes()}
