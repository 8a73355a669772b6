"""Bodies: of requests read up to a limit, and unpacked without trusting what they claim to hold; of answers packed."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from mlhelpers.serving.server.drain import DRAINED_BYTES
from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["GoneError", "declared_length", "is_gzip", "pack", "read_body", "unpack", "wants_gzip"]

_PACKED_FROM = 16_384  # below this the wire gains less than packing costs
_CLOSE = (b"connection", b"close")
_GZIP = 31  # zlib's window bits for the gzip form

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class GoneError(Exception):
    """The caller has hung up."""


def declared_length(headers: Mapping[bytes, bytes], max_bytes: int) -> int:
    """Return the length that a request announces; 0 where it announces none.

    Raises:
        RefusedError: 413, so much that it is not even read on out of politeness.
    """
    length = int(headers.get(b"content-length", b"0"))
    if length > DRAINED_BYTES + max_bytes:
        raise _too_long(max_bytes)
    return length


def is_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request's body is packed.

    Raises:
        RefusedError: 415, packed in another way than gzip.
    """
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding in (b"", b"identity"):
        return False
    if encoding in (b"gzip", b"x-gzip"):
        return True
    shown = encoding[:60].decode("latin-1")
    raise RefusedError(
        415,
        f"The body is packed as {shown!r}; send it plain, or with 'Content-Encoding: gzip'.",
        [(b"accept-encoding", b"gzip")],
    )


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """Read a body; how long that may take is the caller's affair.

    Args:
        receive: ASGI's.
        max_bytes: The longest body taken.

    Raises:
        RefusedError: 413, longer than that.
        GoneError: The caller has hung up.
    """
    message = await receive()
    if message.get("more_body") or message["type"] != "http.request":
        return await _read_parts(message, receive, max_bytes)
    body: bytes = message.get("body", b"")  # most bodies arrive with their heads, in one piece
    if len(body) > max_bytes:
        raise _too_long(max_bytes)
    return body


async def _read_parts(message: MutableMapping[str, Any], receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise GoneError
        size += len(message.get("body", b""))
        if size > DRAINED_BYTES + max_bytes:
            raise _too_long(max_bytes)
        if size > max_bytes:
            parts.clear()  # read on, so that the sender comes to listen, but keep nothing
        else:
            parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
        message = await receive()
    if size > max_bytes:
        raise _too_long(max_bytes)
    return b"".join(parts)


def unpack(packed: bytes, max_bytes: int) -> bytes:
    """Undo gzip, never holding more than the limit: a small body may claim to be gigabytes.

    Raises:
        RefusedError: 413, more than the limit comes out; 400, it is no gzip, or is cut off.
    """
    parts: list[bytes] = []
    room, rest = max_bytes, packed
    try:
        while rest or not parts:
            stream = zlib.decompressobj(_GZIP)
            parts.append(stream.decompress(rest, room + 1))
            room -= len(parts[-1])
            if room < 0:
                raise _too_long(max_bytes, "unpacked ")
            if not stream.eof:
                raise RefusedError(400, "The body is cut off: its gzip does not come to an end. Send it again.")
            rest = stream.unused_data  # gzip may be several, one after another
    except zlib.error:
        raise RefusedError(400, "The body is no gzip, though 'Content-Encoding: gzip' says so.") from None
    return b"".join(parts)


def wants_gzip(headers: Mapping[bytes, bytes], size: int) -> bool:
    """Tell whether an answer of so many bytes goes out packed: where the caller takes that, and where it pays."""
    if size < _PACKED_FROM:
        return False
    for entry in headers.get(b"accept-encoding", b"").lower().split(b","):
        name, _, weight = entry.partition(b";")
        if name.strip() in (b"gzip", b"x-gzip") and weight.replace(b" ", b"").rstrip(b".0") != b"q=":
            return True
    return False


def pack(body: bytes) -> bytes:
    """Return the body as gzip, packed quickly rather than small."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return stream.compress(body) + stream.flush()


def _too_long(max_bytes: int, how: str = "") -> RefusedError:
    return RefusedError(
        413,
        f"The {how}body is longer than the {max_bytes / 1e6:g} MB a request may have. Send fewer instances at a time, "
        "or start the server with a larger --max-request-bytes.",
        [_CLOSE],
    )
