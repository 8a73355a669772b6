"""The picture in a request's body: the body itself, or a file in a form (multipart/form-data, RFC 7578)."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from email.parser import BytesHeaderParser
from typing import NamedTuple

from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["Upload", "read_upload"]

_MOST_PARTS = 20
_HEAD_BYTES = 8_192
_TEXT_BYTES = 1_000
_EXAMPLE = "curl -F image=@photo.jpg does it"


class Upload(NamedTuple):
    """A picture file, and what the form says beside it."""

    content: bytes
    fields: Mapping[str, str]


def read_upload(content_type: str, body: bytes) -> Upload:
    """Find the picture in a body.

    Args:
        content_type: The request's header; anything but multipart/form-data means that the body is the file.
        body: The whole body.

    Raises:
        RefusedError: 400, a form that is malformed, or that has no file or several.
    """
    head = Message()
    head["content-type"] = content_type
    if head.get_content_type() != "multipart/form-data":
        return Upload(body, {})
    boundary = head.get_boundary()
    if not boundary or len(boundary) > 70 or not boundary.isascii():
        raise RefusedError(400, f"The form's Content-Type names no boundary; {_EXAMPLE}.")
    files: list[bytes] = []
    fields: dict[str, str] = {}
    for part in _parts(body, b"--" + boundary.encode("ascii")):
        name, is_file, content = _read_part(part)
        if is_file:
            files.append(content)
            continue
        if name in fields or len(content) > _TEXT_BYTES:
            raise RefusedError(400, f"The form's field {name[:60]!r} stands there twice, or is too long.")
        try:
            fields[name] = content.decode("utf-8")
        except UnicodeDecodeError:
            raise RefusedError(400, f"The form's field {name[:60]!r} is no text in UTF-8.") from None
    if len(files) != 1:
        raise RefusedError(400, f"The form has {len(files)} files; send one picture at a time: {_EXAMPLE}.")
    return Upload(files[0], fields)


def _parts(body: bytes, delimiter: bytes) -> list[bytes]:
    """Split a body at its boundary; the first delimiter may lack the line end before it."""
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter, _MOST_PARTS + 2)
    if len(pieces) > _MOST_PARTS + 2:
        raise RefusedError(400, f"The form has more than {_MOST_PARTS} parts; {_EXAMPLE}.")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise RefusedError(400, "The form is cut off: its last boundary is missing. Send it again.")
    parts = []
    for piece in pieces[1:-1]:
        padding, line_end, part = piece.partition(b"\r\n")
        if padding.strip(b" \t") or not line_end:
            raise RefusedError(400, f"The form is malformed after a boundary; {_EXAMPLE}.")
        parts.append(part)
    return parts


def _read_part(part: bytes) -> tuple[str, bool, bytes]:
    """Return a part's name, whether it is a file, and its content."""
    at = 0 if part.startswith(b"\r\n") else part.find(b"\r\n\r\n", 0, _HEAD_BYTES)
    head = BytesHeaderParser().parsebytes(part[: max(at, 0)])
    name = head.get_param("name", header="content-disposition")
    if at < 0 or head.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise RefusedError(400, f"A part of the form has no name; {_EXAMPLE}.")
    if head.get("content-transfer-encoding", "binary").lower() not in ("binary", "7bit", "8bit"):
        raise RefusedError(400, f"The form's part {name[:60]!r} is coded; send it as it is: {_EXAMPLE}.")
    return name, head.get_filename() is not None, part[at + 4 :]
