"""The files that a batch prediction reads, found and looked at before anything starts; and the folder that it fills."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, UsageError
from mlhelpers.settings import current
from mlhelpers.storage import files, local, local_path
from mlhelpers.tfrecords import skip_frames

__all__ = ["address_of", "changed_since", "check_format", "check_output", "find_inputs", "results_in", "stamps"]

_GZIP = b"\x1f\x8b"
_WILD = re.compile(r"[*?[]")
_RESULT = re.compile(r"prediction\.(results|errors_stats)-\d{5,}-of-\d{5,}")


def find_inputs(paths: Sequence[str]) -> list[Path]:
    """Return the files that are meant, in the order in which they are named, and by name where * stands.

    As in a bucket, `folder/part*` is every file whose name begins so, those in folders below it too. Each file counts
    once, however often it is named.

    Args:
        paths: Paths and gs:// addresses.

    Raises:
        UsageError: A path is a folder, or has a wildcard that is not a trailing *.
        DataError: There is nothing at a path.
    """
    found: dict[Path, None] = {}
    for path in paths:
        is_wild = path.endswith("*") and not os.path.lexists(local_path(path))
        if _WILD.search(path[:-1] if is_wild else path) and not os.path.lexists(local_path(path)):
            raise UsageError(f"The input path {path!r} is refused: a * may stand at its end alone, for what follows.")
        here = files.found(path, "local")
        for name, place in here:
            assert isinstance(place, Path)  # as the local store has it
            if place.is_dir():
                if not is_wild:
                    raise UsageError(f"The input path {path!r} is a folder. Write {path.rstrip('/')}/* for its files.")
                found |= dict.fromkeys(_plain(one) for _, one in local.files_below(name, place))
            else:
                found[_plain(place)] = None
    if not found:
        raise DataError(f"There is no file at {', '.join(map(repr, paths))}, only folders without any.")
    if not any(path.stat().st_size for path in found):
        raise DataError(f"The input is empty: {', '.join(map(str, list(found)[:5]))} holds nothing to predict.")
    return list(found)


def check_format(paths: Sequence[Path], data_format: str) -> None:
    """Look at the first bytes of every file.

    Args:
        paths: The files.
        data_format: "text", "tf-record" or "tf-record-gzip".

    Raises:
        DataError: A file cannot be read, or is not of the format.
    """
    for path in paths:
        try:
            with path.open("rb") as stream:
                is_gzip = stream.read(2) == _GZIP
                stream.seek(0)
                if not path.stat().st_size:
                    continue
                if data_format == "tf-record" and not is_gzip:
                    next(skip_frames(stream, path.stat().st_size, path))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
        except DataError as error:
            raise DataError(f"{error} It may be no TFRecord file; for lines of JSON give --data-format text.") from None
        if is_gzip and data_format == "text":
            raise DataError(f"{path} is compressed. Lines of text are read as they are: unpack it with  gunzip {path}")
        if is_gzip and data_format == "tf-record":
            raise DataError(f"{path} is compressed: give --data-format tf-record-gzip.")
        if not is_gzip and data_format == "tf-record-gzip":
            raise DataError(f"{path} is not compressed with gzip: give --data-format tf-record.")


def check_output(output: str, inputs: Sequence[str], found: Sequence[Path]) -> Path:
    """Return the folder for the answers, which may be there or not.

    Args:
        output: Path or gs:// address.
        inputs: The input paths as they were named.
        found: The files that they mean.

    Raises:
        UsageError: It is a file, or lies among the inputs.
    """
    folder = _plain(local_path(output))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"The output path {output!r} is a file. Name a folder; it is made where it is not there.")
    for name in inputs:
        if name.endswith("*") and f"{folder}/".startswith(str(local_path(name[:-1] + "x").absolute())[:-1]):
            raise UsageError(
                f"The output path {output!r} lies among the inputs {name!r}, so that the next batch would read the "
                "answers of this one. Name a folder outside of them."
            )
    if beside := [path for path in found if path.parent == folder or path.resolve().parent == folder.resolve()]:
        raise UsageError(
            f"The output path {output!r} is the folder of the input {beside[0].name}. Name a folder of its own."
        )
    return folder


def results_in(folder: Path) -> list[str]:
    """Return the names of the answers of any batch in a folder."""
    return sorted(one.name for one in folder.iterdir() if _RESULT.fullmatch(one.name)) if folder.is_dir() else []


def address_of(path: Path) -> str:
    """Return a file as somebody would name it: gs://… where it lies in a bucket of the local store."""
    buckets = current().home / "buckets"
    return f"gs://{path.relative_to(buckets)}" if path.is_relative_to(buckets) else str(path)


def stamps(paths: Sequence[Path]) -> list[list[Any]]:
    """Return the path, size and time of change of files: by them another content is told."""
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in paths]


def changed_since(known: Sequence[Sequence[Any]]) -> str | None:
    """Return the first of the files that is not as its stamp says, or None."""
    for path, size, changed in known:
        try:
            found = os.stat(path)
        except OSError:
            return str(path)
        if (found.st_size, found.st_mtime_ns) != (size, changed):
            return str(path)
    return None


def _plain(path: Path) -> Path:
    """Return a path as people read it: absolute, without `..`; links are left as they are."""
    return Path(os.path.abspath(path))
