"""The data sets, one file each: load arrays, prepare the files that trainers read, make prediction requests.

A data set is a module with `SUMMARY`, `SOURCES` (where it may come from, the default first), `FILES` (what it is made
from), `load`, `prepare` and `request`; the table below names it. The keywords of its `prepare`, with their lines under
Args, are also the options of `mlhelpers data prepare NAME`. To add one: its file here, its line in the table, its rows
in data/README.md, its notebook. The contract tests run over the table. May import `errors`, `settings`, `storage`.

Example:
    >>> "mnist" in names()
    True
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from mlhelpers.datasets.base import Split
from mlhelpers.errors import unknown_name

__all__ = ["Split", "get", "load", "names", "prepare", "request"]

_TABLE = {
    "babyweight": "mlhelpers.datasets.babyweight",
    "cbis_ddsm": "mlhelpers.datasets.cbis_ddsm",
    "iris": "mlhelpers.datasets.iris",
    "mnist": "mlhelpers.datasets.mnist",
}


def names() -> list[str]:
    """Return the names of the data sets, in alphabetical order."""
    return sorted(_TABLE)


def get(name: str) -> ModuleType:
    """Return the module of a data set.

    Raises:
        UsageError: There is no data set of this name.
    """
    if name not in _TABLE:
        raise unknown_name("data set", name, _TABLE)
    return importlib.import_module(_TABLE[name])


def load(name: str, source: str | None = None, **options: Any) -> Split:
    """Load a data set as arrays, split into training, validation and test part.

    Args:
        name: Name of the data set, for instance "mnist".
        source: One of the data set's SOURCES; what needs no network if None, or the mirror where one is set.
        **options: What the data set's own `load` takes, for instance `seed`.

    Raises:
        UsageError: There is no data set or source of this name.
        DataError: A file is missing, truncated or altered.
    """
    split: Split = get(name).load(source=source, **options)
    return split


def prepare(name: str, output_dir: str | Path, source: str | None = None, **options: Any) -> list[Path]:
    """Write the files that the data set's trainer reads.

    Args:
        name: Name of the data set.
        output_dir: Folder or gs:// address to write to; made if it is missing.
        source: As in `load`.
        **options: What the data set's own `prepare` takes.

    Returns:
        The files written.

    Raises:
        UsageError: There is no data set or source of this name.
        DataError: A file is missing or altered, or the folder cannot be written.
    """
    files: list[Path] = get(name).prepare(output_dir, source=source, **options)
    return files


def request(name: str, n: int | None = None, source: str | None = None) -> list[dict[str, Any]]:
    """Make test examples into instances as the prediction server takes them.

    Args:
        name: Name of the data set.
        n: How many; as many as the tutorial sent if None.
        source: As in `load`.

    Raises:
        UsageError: There is no data set of this name, or `n` is not between 1 and the size of the test part.
    """
    count = {} if n is None else {"n": n}
    instances: list[dict[str, Any]] = get(name).request(source=source, **count)
    return instances
