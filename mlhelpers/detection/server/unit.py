"""The web app as a service of systemd: the unit file, filled in for this installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlhelpers.errors import UsageError

__all__ = ["unit_text"]

_FIRST_FREE_PORT = 1024  # below it a service needs leave to bind


def unit_text(host: str, port: int, arguments: Sequence[str] = ()) -> str:
    """Return a unit file that starts the app as it would be started here, with the password of /etc/mlhelpers.

    Args:
        host: The address to bind.
        port: The port; one below 1024 gets the capability that it needs.
        arguments: More words for `mlhelpers detect serve`.

    Raises:
        UsageError: Port 0, under which nobody would find the service, or a word that spans lines.
    """
    if not 0 < port <= 65535:
        raise UsageError(f"A service wants a port of its own, 1 to 65535; given was {port}.")
    words = [sys.executable, "-m", "mlhelpers.cli", "detect", "serve", "--host", host, "--port", str(port), *arguments]
    template = (Path(__file__).parent / "mlhelpers-detect.service").read_text("utf-8")
    capabilities = "CAP_NET_BIND_SERVICE" if port < _FIRST_FREE_PORT else ""
    return template.replace("{command}", " ".join(map(_quoted, words))).replace("{capabilities}", capabilities)


def _quoted(word: str) -> str:
    """Write a word as systemd reads it: in quotes where need be, its own signs doubled."""
    if not word.isprintable():
        raise UsageError(f"{word[:60]!r} cannot stand in a unit file.")
    word = os.path.expanduser(word).replace("%", "%%").replace("$", "$$")
    if word and not set(word) & set(" \"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
