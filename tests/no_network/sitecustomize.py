"""Closes the network beyond loopback in every Python process that a test starts, the kernels of notebooks included.

Python imports this by itself, because tests/conftest.py puts this folder on PYTHONPATH. (In pytest's own process
pytest-socket does the same.)
"""

import os
import sys


class NetworkClosedError(RuntimeError):
    """A process that a test started asked for an address beyond this machine."""


def _is_here(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not isinstance(name, str):
        return name is None
    own = {"", "localhost", "::1", "0.0.0.0", "::", os.uname().nodename if hasattr(os, "uname") else "localhost"}
    return name.startswith("127.") or name in own


def _loopback_only(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) and address else None  # anything else is a local socket
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        raise NetworkClosedError(f"a test asked the network for {host!r}; only loopback is open")


sys.addaudithook(_loopback_only)
