"""Addresses as paths, on this machine and in Cloud Storage, and files that are written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlhelpers.errors import DataError, UsageError
from mlhelpers.settings import current

__all__ = ["CloudPath", "bucket_path", "is_aside", "local_path", "split", "write_aside"]

_ASIDE = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class CloudPath:
    """An object of Cloud Storage, or a folder of them: to a plan what a `Path` is on this machine.

    It asks nobody anything; what is known of an object stands in it. Two are the same where bucket and key are.

    Attributes:
        bucket: The bucket's bare name.
        key: The object's name; a folder's ends with a slash, a bucket's is empty.
        size: Bytes.
        modified: Seconds since the epoch; 0 where it is not known.
        generation: Which writing of the object this is; None where that is not known.
        crc32c: Its checksum as Cloud Storage writes it, in base64; empty where it is not known.
    """

    bucket: str
    key: str = ""
    size: int = field(default=0, compare=False)
    modified: float = field(default=0.0, compare=False)
    generation: int | None = field(default=None, compare=False)
    crc32c: str = field(default="", compare=False)

    def __truediv__(self, below: str | os.PathLike[str]) -> CloudPath:
        start = f"{self.key.rstrip('/')}/" if self.key else ""
        return CloudPath(self.bucket, f"{start}{Path(below).as_posix()}")

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of its key, or the bucket's name."""
        return self.key.rstrip("/").rpartition("/")[2] or self.bucket

    def is_dir(self) -> bool:
        """Tell whether it stands for a folder or a bucket."""
        return not self.key or self.key.endswith("/")


def split(address: str) -> tuple[str, str]:
    """Return bucket and key of an address.

    Raises:
        UsageError: It is none, or the bucket's name is malformed.
    """
    if not address.startswith("gs://"):
        raise UsageError(f"{address!r} is in no bucket. Write gs://BUCKET or gs://BUCKET/PATH.")
    local_path(address)
    bucket, _, key = address.removeprefix("gs://").partition("/")
    return bucket, key


def local_path(uri: str | os.PathLike[str]) -> Path:
    """Return the local path of a `gs://bucket/path` or of a plain path.

    Args:
        uri: `gs://bucket/path`, a path, or a path with `~`.

    Returns:
        A plain path as it is; for gs:// the folder `<home>/buckets/<bucket>/<path>` that stands in for the bucket.

    Raises:
        UsageError: The bucket's name is malformed, or the path climbs out of the bucket with `..`, or `~` names
            a user that is not there.
    """
    text = os.fspath(uri)
    if not text.startswith("gs://"):
        try:
            return Path(text).expanduser()
        except RuntimeError:
            raise UsageError(
                f"{text!r} begins with a home folder, and there is no user {text[1:].partition('/')[0]!r} here. "
                f"Write ~/… for your own, or ./{text} for a file of that name."
            ) from None
    bucket, _, key = text.removeprefix("gs://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{text!r} names no bucket: {bucket!r} should be 3 to 63 lower-case letters, digits, '-', '_' or '.'."
        )
    if ".." in key.split("/") or "\0" in key:
        raise UsageError(f"{text!r} is refused: a path inside a bucket has no '..' in it.")
    return current().home / "buckets" / bucket / key


def bucket_path(bucket: str) -> Path:
    """Return the local folder of a bucket named as the tutorials' trainers take it: bare, with gs://, or as a folder.

    Args:
        bucket: `my-bucket`, `gs://my-bucket`, or the path of a folder; a bare name counts as a folder where one of that
            name is there and as a bucket otherwise.

    Raises:
        UsageError: It is none of the three.
    """
    if "/" in bucket or bucket.startswith((".", "~")) or Path(bucket).is_dir():
        return local_path(bucket)
    return local_path(f"gs://{bucket}")


def is_aside(name: str) -> bool:
    """Tell whether a file's name is that of one which `write_aside` is writing, or left when it was killed."""
    return _ASIDE.fullmatch(name) is not None


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Give a path to write to, and move it to its place only when the block ends well.

    A reader therefore sees the old file or the whole new one, never half of it; after an error nothing is left.

    Args:
        path: Where the file shall be; its folder is made.

    Yields:
        A path in the same folder, to be written by the block.

    Raises:
        DataError: The folder cannot be made, or the file cannot be written (no permission, disk full).
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}. "
            "Choose a folder you may write to, with room on its disk."
        ) from error
    finally:
        with suppress(OSError):  # a folder that could not be made holds nothing to remove
            aside.unlink(missing_ok=True)
