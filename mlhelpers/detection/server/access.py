"""The password of the web app: made or given, never a default; asked for by HTTP Basic authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from mlhelpers.errors import UsageError
from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["PASSWORD_VARIABLE", "Access", "find_password"]

PASSWORD_VARIABLE = "MLHELPERS_DETECT_PASSWORD"  # noqa: S105  the variable's name, no secret
_MADE_BYTES = 12
_LEAST = 8
_CHALLENGE = [(b"www-authenticate", b'Basic realm="mlhelpers detect", charset="UTF-8"')]


def find_password(file: Path | None = None) -> tuple[str, bool]:
    """Return the password to ask for, and whether it was made just now.

    Args:
        file: The file whose first line it is; MLHELPERS_DETECT_PASSWORD where None; where that is not set either, one
            is made of 96 random bits.

    Raises:
        UsageError: The file cannot be read, or the password is shorter than 8 characters.
    """
    where = PASSWORD_VARIABLE
    password = os.environ.get(PASSWORD_VARIABLE)
    if file is not None:
        where = f"The first line of {file}"
        try:
            with file.open(encoding="utf-8") as stream:
                password = stream.readline(4096).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"The password file {file} cannot be read: {reason}.") from error
    elif password is None:
        return secrets.token_urlsafe(_MADE_BYTES), True
    if password is None or len(password) < _LEAST:
        raise UsageError(
            f"{where} has {len(password or '')} characters; a password has {_LEAST} or more. Leave it out, and one is "
            "made and printed."
        )
    return password, False


class Access:
    """Lets in who brings the password, under any user name."""

    def __init__(self, password: str) -> None:
        self._digest = _digest(password.encode())

    def check(self, authorization: bytes) -> None:
        """Refuse who does not bring the password.

        Args:
            authorization: The request's header of that name; empty where there is none.

        Raises:
            RefusedError: 401.
        """
        kind, _, coded = authorization.partition(b" ")
        given = b""
        if kind.lower() == b"basic":
            try:
                given = base64.b64decode(coded.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                given = b""
        # digests have one length: the time that this takes tells nothing, not even how long the password is
        if not hmac.compare_digest(_digest(given), self._digest):
            raise RefusedError(
                401,
                "This server wants the password that it printed when it was started (HTTP Basic, any user name).",
                _CHALLENGE,
            )


def _digest(word: bytes) -> bytes:
    return hashlib.sha256(word).digest()
