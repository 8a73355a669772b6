"""The web app as a process of its own, for notebooks and tests; it never outlives the one who started it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from typing import IO

from mlhelpers import settings
from mlhelpers.detection.server.access import PASSWORD_VARIABLE
from mlhelpers.serving.server.process import RunningServer, launch

__all__ = ["RunningWebApp", "start_app"]


class RunningWebApp(RunningServer):
    """A web app at work; leaving its `with` block stops it, and so does the end of this process.

    Attributes:
        password: What it asks for, under any user name.
    """

    def __init__(self, process: subprocess.Popen[str], address: str, log: IO[bytes], password: str) -> None:
        super().__init__(process, address, log)
        self.password = password


def start_app(
    model: str | os.PathLike[str] = "nanodet", port: int = 0, *, password: str | None = None, timeout_s: float = 60.0
) -> RunningWebApp:
    """Start `mlhelpers detect serve` on loopback as a process of its own, and wait until it answers.

    Args:
        model: The model that it begins with: a name, or a folder or file of your own.
        port: The port; 0 takes a free one.
        password: What it asks for, 8 characters or more; None makes one.
        timeout_s: How long to wait for it, in seconds.

    Returns:
        The app, a context manager with `address` and `password`.

    Raises:
        UsageError: There is no such model, the port cannot be bound, or the password is too short.
        ModelError: The model cannot be loaded, or the app did not come up; the message has its last words.

    Taught in notebook 11.
    """
    password = secrets.token_urlsafe(12) if password is None else password
    command = [
        *(sys.executable, "-m", "mlhelpers.cli", "detect", "serve"),
        *("--model", os.fspath(model), "--port", str(port), "--until-stdin-closes"),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MLHELPERS_HOME": str(settings.current().home)}
    environment[PASSWORD_VARIABLE] = password  # not an argument, which every user of the machine could read

    def made(process: subprocess.Popen[str], address: str, log: IO[bytes]) -> RunningWebApp:
        return RunningWebApp(process, address, log, password)

    return launch(made, command, environment, timeout_s, "web app", "mlhelpers detect serve")
