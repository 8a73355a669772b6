"""One object at a time: sent, fetched, copied and deleted, whole or not at all, and checked by its CRC-32C.

Each request that changes an object carries the generation it may replace (0: none), by which Google's client may send
it again after a lost answer, and nobody's writing is lost. Facts: Cloud Storage's pages "Resumable uploads", "Request
preconditions" and "Data validation".
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mlhelpers.cloud import Place
from mlhelpers.errors import CloudError, DataError
from mlhelpers.storage.cloud.access import asking, client, patience
from mlhelpers.storage.paths import CloudPath, split, write_aside
from mlhelpers.storage.stores import Where

__all__ = ["as_path", "delete_object", "download", "look", "transfer", "upload"]

_Progress = Callable[[int], object]
_CHUNK = 32 << 20  # bytes of a resumable upload that go in one request, and are sent again if it fails
_SMALL = 8 << 20  # bytes up to which Google's client sends a file in one request
_BLOCK = 1 << 20  # bytes read at once for a checksum
_TRIES = 2  # a file that arrives damaged, or whose upload the service has forgotten, goes once more


def upload(path: Path, address: str, place: Place, progress: _Progress = lambda _: None) -> bool:
    """Send a file; what is at the address is replaced, unless somebody else writes there meanwhile.

    Args:
        path: The file.
        address: gs://bucket/path.
        place: Whose credentials ask.
        progress: Called with the bytes that have gone.

    Returns:
        False where the same content is there already; nothing was sent then.

    Raises:
        UsageError: The address is malformed.
        DataError: The file cannot be read, or changes while it is sent; there is no such bucket.
        CloudError: Google Cloud refused, or somebody else has written there meanwhile.
    """
    return _send(path, CloudPath(*split(address)), place, progress)


def download(address: str, path: Path, place: Place, progress: _Progress = lambda _: None) -> None:
    """Fetch an object to a file, as its bytes are stored; the file is replaced when the new one is whole and right.

    Args:
        address: gs://bucket/path.
        path: The file; its folder is made.
        place: Whose credentials ask.
        progress: Called with the bytes that have come.

    Raises:
        UsageError: The address is malformed.
        DataError: There is no such object, or the file cannot be written.
        CloudError: Google Cloud refused, or what came is damaged.
    """
    _fetch(CloudPath(*split(address)), path, place, progress)


def transfer(source: Where, target: Where, place: Place, progress: _Progress = lambda _: None) -> bool:
    """Copy one file of which at least one end is in Cloud Storage.

    Where a `CloudPath` knows its generation, that one is read, or replaced; 0 stands for none. Between two objects the
    bytes stay in the cloud.

    Returns:
        False where the same content is there already.

    Raises:
        DataError: The source or the bucket is not there, or a file cannot be read or written.
        CloudError: Google Cloud refused, what came is damaged, or somebody else has written there meanwhile.
    """
    if isinstance(target, Path):
        assert isinstance(source, CloudPath)
        return _fetch(source, target, place, progress)
    if isinstance(source, Path):
        return _send(source, target, place, progress)
    return _rewrite(source, target, place, progress)


def look(path: CloudPath, place: Place) -> CloudPath:
    """Return what is known of an object; its generation is 0 where there is none.

    Raises:
        CloudError: Google Cloud refused.
    """
    with asking(f"look at {path}", path.bucket):
        blob = client(place).bucket(path.bucket).get_blob(path.key, retry=patience())
    return CloudPath(path.bucket, path.key, generation=0) if blob is None else as_path(blob)


def as_path(blob: Any) -> CloudPath:
    """Return a blob of Google's client as plain data."""
    modified = blob.updated.timestamp() if blob.updated else 0.0
    return CloudPath(blob.bucket.name, blob.name, int(blob.size or 0), modified, blob.generation, blob.crc32c or "")


def delete_object(path: CloudPath, place: Place) -> None:
    """Delete an object if it is still the one that was listed; one that is gone already is no error.

    Raises:
        CloudError: Google Cloud refused, or somebody has written it since.
    """
    from google.api_core import exceptions

    blob = client(place).bucket(path.bucket).blob(path.key)
    with asking(f"delete {path}", path.bucket):
        try:
            blob.delete(if_generation_match=path.generation, retry=patience())
        except exceptions.NotFound:
            return
        except exceptions.PreconditionFailed:
            raise CloudError(
                f"{path} has been written again since it was listed, and is left as it is. List it, then delete it "
                "again."
            ) from None


def _send(source: Path, target: CloudPath, place: Place, progress: _Progress) -> bool:
    from google.api_core import exceptions

    with _readable(source) as stream:
        size, crc = _checksum(stream)
        there = target if target.generation is not None else look(target, place)
        if there.generation and (there.size, there.crc32c) == (size, crc):
            progress(size)
            return False
        for left in reversed(range(_TRIES)):
            counted = _Counted(stream, progress)
            with asking(f"write {target}", target.bucket):
                try:
                    made = _send_once(counted, size, crc, there, place)
                    break
                except exceptions.PreconditionFailed:
                    made = look(target, place)  # our own writing, whose answer was lost, looks like somebody else's
                    if (made.size, made.crc32c) != (size, crc):
                        raise CloudError(_raced(target)) from None
                    break
                except (exceptions.GoogleAPICallError, ValueError) as error:
                    if not left or not _goes_once_more(error):
                        raise
            progress(-counted.gone)
    _check_sent(made, source, crc, place)
    return True


def _goes_once_more(error: Exception) -> bool:
    """Tell whether bytes arrived damaged (400), or a session was forgotten (404, 410) or lost its place in the file."""
    return getattr(error, "code", None) in (400, 404, 410) or type(error) is ValueError


def _send_once(stream: _Counted, size: int, crc: str, there: CloudPath, place: Place) -> CloudPath:
    import mimetypes

    blob = client(place).bucket(there.bucket).blob(there.key, chunk_size=_CHUNK)
    blob.upload_from_file(
        stream,
        size=size,
        content_type=mimetypes.guess_type(there.name)[0] or "application/octet-stream",
        if_generation_match=there.generation,
        # a small file carries its checksum by the first word, a large one by the second: the service compares; what the
        # client would do with the first for a large one is to delete the object, whoever has written it meanwhile
        checksum="crc32c" if size <= _SMALL else None,
        crc32c_checksum_value=crc,
        retry=patience(),
    )
    return as_path(blob)


def _check_sent(made: CloudPath, source: Path, crc: str, place: Place) -> None:
    """Compare what the service has with what was sent, in case that it did not itself."""
    if made.crc32c == crc:
        return
    delete_object(made, place)
    raise CloudError(
        f"{source} arrived at {made} damaged (CRC-32C {made.crc32c} instead of {crc}), or was changed while it was "
        "sent. What had arrived is deleted. Copy it again."
    )


def _fetch(source: CloudPath, target: Path, place: Place, progress: _Progress) -> bool:
    from google.api_core import exceptions

    there = source if source.generation else look(source, place)
    if not there.generation:
        raise DataError(f"There is nothing at {source}.")
    if target.is_file() and target.stat().st_size == there.size:
        with _readable(target) as stream:
            if _checksum(stream)[1] == there.crc32c:
                progress(there.size)
                return False
    blob = client(place).bucket(there.bucket).blob(there.key)
    with write_aside(target) as aside:
        for left in reversed(range(_TRIES)):
            with aside.open("wb") as stream, asking(f"read {source}", source.bucket):
                counted = _Counted(stream, progress)
                try:
                    blob.download_to_file(
                        counted,
                        raw_download=True,
                        checksum=None,
                        if_generation_match=there.generation,
                        retry=patience(),
                    )
                except exceptions.PreconditionFailed:
                    raise CloudError(f"{source} was written again while it was read. Copy it again.") from None
            if counted.crc32c == there.crc32c:
                break
            progress(-counted.gone)
            if not left:
                raise CloudError(
                    f"{source} arrived damaged {_TRIES} times (CRC-32C {counted.crc32c} instead of {there.crc32c}). "
                    f"{target} is left as it was. Try again, from another network if it stays so."
                )
    return True


def _rewrite(source: CloudPath, target: CloudPath, place: Place, progress: _Progress) -> bool:
    """Have the service copy an object itself."""
    from google.api_core import exceptions

    origin = source if source.generation else look(source, place)
    if not origin.generation:
        raise DataError(f"There is nothing at {source}.")
    there = look(target, place)
    if there.generation and (there.size, there.crc32c) == (origin.size, origin.crc32c):
        progress(origin.size)
        return False
    asked = client(place)
    blob = asked.bucket(target.bucket).blob(target.key)
    token, gone = None, 0
    with asking(f"copy {source} to {target}", target.bucket):
        try:
            while True:
                token, done, _ = blob.rewrite(
                    asked.bucket(origin.bucket).blob(origin.key),
                    token,
                    if_generation_match=there.generation,
                    if_source_generation_match=origin.generation,
                    retry=patience(),
                )
                progress(done - gone)
                gone = done
                if token is None:
                    break
        except exceptions.PreconditionFailed:
            blob = None
    made = as_path(blob) if blob else look(target, place)
    if made.crc32c != origin.crc32c:
        raise CloudError(_raced(target))
    return True


def _raced(target: CloudPath) -> str:
    return (
        f"Somebody else has written {target} since it was looked at. Theirs is left as it is, and yours is not there. "
        "Look at it, then copy again, or copy to another name."
    )


class _Counted:
    """A file that tells how much has gone through it, with the checksum of what was written to it."""

    def __init__(self, stream: IO[bytes], progress: _Progress) -> None:
        import google_crc32c

        stream.seek(0)
        self._stream, self._progress = stream, progress
        self._sum: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        self.gone = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._went(len(data))
        return data

    def write(self, data: bytes) -> int:
        self._sum.update(data)
        self._went(len(data))
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._sum.digest()).decode()

    def _went(self, size: int) -> None:
        self.gone += size
        self._progress(size)


@contextmanager
def _readable(path: Path) -> Iterator[IO[bytes]]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. See who may with  ls -l {path}") from error
    with stream:
        yield stream


def _checksum(stream: IO[bytes]) -> tuple[int, str]:
    """Return size and CRC-32C of a file, as Cloud Storage writes it."""
    import google_crc32c

    made: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    while block := stream.read(_BLOCK):
        made.update(block)
    return os.fstat(stream.fileno()).st_size, base64.b64encode(made.digest()).decode()
