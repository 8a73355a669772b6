"""Iris: 150 irises of three species, four lengths in centimetres each, as scikit-learn ships them.

The flowers were measured by Edgar Anderson on the Gaspé Peninsula and published by R. A. Fisher ("The use of multiple
measurements in taxonomic problems", Annals of Eugenics 7, 1936). scikit-learn's table is Fisher's own; the copies that
go back to the UCI repository differ from it in two setosas. Taught in notebook 02.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.base import DataFile, Part, Split
from mlhelpers.errors import DataError, MissingExtraError, UsageError, unknown_name
from mlhelpers.storage import local_path, write_aside

__all__ = [
    "CLASS_NAMES", "COLUMNS", "FEATURES", "FILES", "LARGEST_CM", "SOURCES", "SUMMARY",
    "load", "prepare", "read_csv", "request",
]  # fmt: skip

SUMMARY = "150 irises, four lengths in cm, three species (Fisher 1936, by way of scikit-learn)"
SOURCES = ("shipped",)
FILES: dict[str, DataFile] = {}  # scikit-learn brings the table along: there is no file to fetch
CLASS_NAMES = ("setosa", "versicolor", "virginica")
COLUMNS = {
    "SepalLength": "length of a sepal, cm, 4.3 to 7.9",
    "SepalWidth": "width of a sepal, cm, 2.0 to 4.4",
    "PetalLength": "length of a petal, cm, 1.0 to 6.9",
    "PetalWidth": "width of a petal, cm, 0.1 to 2.5",
    "Species": "0 setosa, 1 versicolor, 2 virginica",
}
FEATURES = tuple(COLUMNS)[:4]

_TUTORIAL_FLOWER = (5.9, 3.0, 4.2, 1.5)  # what the original tutorial asks about; its class is 1
LARGEST_CM = 20.0  # no iris comes near it: what is longer was measured in another unit


def load(source: str | None = None, validation_size: int = 24, seed: int = 0) -> Split:
    """Load Iris; each part holds as many flowers of one species as of another, and small and large ones alike.

    With ten test flowers of a species, chance alone could make them all easy or all hard to tell. So the flowers of
    a species are put in order of their petals' size, that order is cut into runs, and one of each run is drawn.
    The test part has 30 flowers, the one that the tutorial asks about always among them. The other 120 are divided into
    training and validation part. Two virginicas have the same four lengths: both are always in the training part, so
    that no part knows a flower of another.

    Args:
        source: "shipped" or None, which mean the same: scikit-learn's table.
        validation_size: How many of the 120 become the validation part: 0 to 114, divisible by 3.
        seed: Which flowers go where, and in which order; the same seed always gives the same split.

    Returns:
        `SepalLength`, `SepalWidth`, `PetalLength`, `PetalWidth` of shape (n,), float32, cm; `Species` of shape (n,),
        int64, 0 to 2.

    Raises:
        UsageError: An unknown source, or a size out of range.
        MissingExtraError: scikit-learn is not installed.
    """
    if source is not None and source not in SOURCES:
        raise unknown_name("source", source, SOURCES, "Iris comes with scikit-learn, nothing is downloaded.")
    if not 0 <= validation_size <= 114 or validation_size % 3:
        raise UsageError(
            f"validation_size is {validation_size!r}; allowed is 0 to 114, divisible by 3: as many flowers of each "
            "species are set aside from the 120 that are not for testing."
        )
    lengths, species = _table()
    random = np.random.default_rng(seed)
    twins, asked = _twins(lengths), _tutorial_flower(lengths)
    free = np.array([row for row in np.lexsort((lengths[:, 2] * lengths[:, 3], species)) if row not in twins])
    test = _draw(free, species, 10, random, first=asked)
    free = free[~np.isin(free, test)]
    test = np.concatenate([[asked], random.permutation(test[test != asked])])  # first in the original's test file, too
    validation = _draw(free, species, validation_size // 3, random)
    train = np.concatenate([free[~np.isin(free, validation)], twins])
    rows_of_parts = (random.permutation(train), random.permutation(validation), test)
    parts = [_part(lengths[rows], species[rows]) for rows in rows_of_parts]
    return Split(
        name="iris",
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        target="Species",
        columns=COLUMNS,
        class_names=CLASS_NAMES,
        how=f"as many flowers of each species in every part, small and large ones alike, drawn with seed {seed}",
        source="shipped",
    )


def prepare(output_dir: str | Path, source: str | None = None, seed: int = 0) -> list[Path]:
    """Write iris_training.csv (120 flowers) and iris_test.csv (30), in the form of the original tutorial's files.

    The first line holds the number of rows, the number of features and the names of the classes; a row is the four
    lengths in cm and the class. No line end follows the last row.

    Args:
        output_dir: Folder or gs:// address; made if it is missing.
        source: As in `load`.
        seed: As in `load`: the training file holds the training and the validation part of that seed.

    Returns:
        The two files.

    Raises:
        UsageError: As in `load`.
        DataError: The folder cannot be written.
        MissingExtraError: scikit-learn is not installed.
    """
    split = load(source, validation_size=0, seed=seed)
    folder = local_path(output_dir)
    written = []
    for name, part in (("iris_training.csv", split.train), ("iris_test.csv", split.test)):
        rows = zip(*(part[column].tolist() for column in COLUMNS), strict=True)
        lines = [",".join([str(len(part["Species"])), str(len(FEATURES)), *CLASS_NAMES])]
        lines += [",".join([*(f"{length:.1f}" for length in lengths), str(species)]) for *lengths, species in rows]
        with write_aside(folder / name) as aside:
            aside.write_text("\n".join(lines), encoding="utf-8", newline="\n")
        written.append(folder / name)
    return written


def read_csv(path: str | Path) -> Part:
    """Read a file as `prepare` writes it; the original tutorial's files are such files too.

    Args:
        path: The file, or its gs:// address.

    Returns:
        The five columns as in `load`.

    Raises:
        DataError: The file cannot be read, its first line does not go with its rows, or a row is malformed; the line is
            named.
    """
    place = local_path(path)
    try:
        lines = place.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DataError(
            f"{path} cannot be read: {reason}. Make it first:  mlhelpers data prepare iris --output-dir FOLDER"
        ) from error
    header = [word.strip() for word in lines[0].split(",")] if lines else []
    if header[1:] != [str(len(FEATURES)), *CLASS_NAMES] or not header[0].isdecimal():
        raise DataError(
            f"{path}, line 1: {','.join(header)[:80]!r} is not what an Iris file begins with; that is the number of "
            f"rows, then '{len(FEATURES)},{','.join(CLASS_NAMES)}'."
        )
    if int(header[0]) != len(lines) - 1 or len(lines) < 2:
        raise DataError(
            f"{path}, line 1, promises {header[0]} rows, and {len(lines) - 1} follow: the file is truncated or altered."
        )
    rows = [_row(path, number, line) for number, line in enumerate(lines[1:], start=2)]
    lengths, species = (np.array(column) for column in zip(*rows, strict=True))
    return _part(lengths, species)


def request(n: int = 1, source: str | None = None) -> list[dict[str, Any]]:
    """Make the first test flowers into instances: the four lengths in cm, without the species.

    The first is the one that the original tutorial asks about (a versicolor, class 1).

    Args:
        n: How many, 1 to 30.
        source: As in `load`.

    Raises:
        UsageError: `n` is out of range, or an unknown source.
        MissingExtraError: scikit-learn is not installed.
    """
    test = load(source).test
    size = len(test["Species"])
    if not 1 <= n <= size:
        raise UsageError(f"{n!r} instances were asked for; allowed is 1 to {size}, the size of the test part.")
    columns = [np.round(test[name][:n].astype(float), 1).tolist() for name in FEATURES]
    return [dict(zip(FEATURES, lengths, strict=True)) for lengths in zip(*columns, strict=True)]


def _table() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return scikit-learn's table: lengths (150, 4) in cm and species (150,)."""
    try:
        from sklearn.datasets import load_iris  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingExtraError("scikit-learn, which ships the Iris table,", "data") from error
    return load_iris(return_X_y=True)  # type: ignore[no-any-return, unused-ignore]


def _draw(
    rows: NDArray[Any], species: NDArray[Any], each: int, random: np.random.Generator, first: int = -1
) -> NDArray[Any]:
    """Draw `each` rows of every species: one of each run of neighbours, the row `first` in any case."""
    drawn = [
        first if first in run else random.choice(run)
        for k in range(len(CLASS_NAMES))
        for run in (np.array_split(rows[species[rows] == k], each) if each else [])
    ]
    return np.array(drawn, int)


def _tutorial_flower(lengths: NDArray[Any]) -> int:
    """Return the row of the flower that the original tutorial asks about."""
    return int(np.abs(lengths - _TUTORIAL_FLOWER).sum(axis=1).argmin())


def _twins(lengths: NDArray[Any]) -> NDArray[Any]:
    """Return the rows whose four lengths another flower has too."""
    _, kinds, counts = np.unique(lengths, axis=0, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[kinds] > 1)


def _part(lengths: NDArray[Any], species: Iterable[int]) -> Part:
    columns = {name: column.astype(np.float32) for name, column in zip(FEATURES, lengths.T, strict=True)}
    return columns | {"Species": np.asarray(species, np.int64)}


def _row(path: str | Path, number: int, line: str) -> tuple[list[float], int]:
    """Read one row; nothing is filled in, for a length of 0 in place of a missing one would be learned."""
    words = line.split(",")
    try:
        *lengths, species = (float(word) for word in words)
    except ValueError:
        lengths, species = [], -1.0
    if len(lengths) != len(FEATURES) or not all(0 < length < LARGEST_CM for length in lengths):
        wanted = f"four lengths in cm, each over 0 and under {LARGEST_CM:g}, and the species"
    elif species not in range(len(CLASS_NAMES)):
        wanted = f"a species from 0 to {len(CLASS_NAMES) - 1} ({', '.join(CLASS_NAMES)}) at its end"
    else:
        return lengths, int(species)
    raise DataError(f"{path}, line {number}: {line[:80]!r} is no flower; a row has {wanted}.")
