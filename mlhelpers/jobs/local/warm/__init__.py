"""Python kept warm: trials that start from a process which has the frameworks imported already.

An import of TensorFlow takes ten seconds, a fork of a process that has it 20 ms. `server` is that process, `client` the
command of a trial that uses it, `child` what the forked process does to be like any other. A trial that cannot start
warm starts cold, as if nothing of this were there.

What a warm trial has not of its own: the seed of Python's hashes, the limits (ulimit), umask and priority, which are
the server's; numpy's BLAS has one thread (TensorFlow's threads are made after the fork, as the trial's variables ask
for). A module that is imported already is not looked for again, so a trainer's file of the same name is not found.
Its memory beyond the shared pages, with TensorFlow: 14 MB at its start, 30 MB after an operation, 100 MB after the
Iris trainer, which takes 340 MB in all. At its end only what it has made itself is taken down (see `child`).
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from mlhelpers.jobs.local.cluster import this_machine
from mlhelpers.jobs.local.environment import python_path
from mlhelpers.jobs.local.identity import NO_TOKEN, TOKEN_VARIABLE

__all__ = ["WarmPython"]

_CLIENT = Path(__file__).with_name("client.py")
# these libraries start their threads when they are imported
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")


class WarmPython:
    """A server of warm processes, running while the `with` block lasts and ending with the process that made it.

    On Linux only, and not where there are GPUs, whose context must not cross a fork; elsewhere nothing is started and
    `command` returns commands as they are. Entering the block does not wait for the imports: a trial that comes before
    they are over waits for them. Enter it from a thread that lives as long as the block: the kernel ends the server
    with the thread that started it. Trials that still run when the block ends are killed (signal 9).

    Args:
        preload: What to import, "module" or "module:function"; the function is called without arguments, for instance
            "mlhelpers.frameworks:import_tensorflow". It must start no thread and run no TensorFlow operation; where it
            does, all trials start cold. User code does not belong here: nothing of it would be read again.
        environment: The trials' variables. One that a trial has otherwise has it start cold, except for those that
            differ between trials: CLOUD_ML_…, AIP_…, MLHELPERS_…, TF_CONFIG, PYTHONPATH and the numbers of threads.
        log: A file to which the server's own lines are added: which trials it declined and why; None for nowhere.

    Example:
        with WarmPython(["mlhelpers.frameworks:import_tensorflow"], environment) as warm:
            command = warm.command([sys.executable, "-P", "-m", "trainer.task", "--learning_rate=0.1"])
    """

    def __init__(self, preload: Sequence[str], environment: Mapping[str, str], log: Path | None = None) -> None:
        self._preload = list(preload)
        self._environment = dict(environment)
        self._log = log
        self._address = ""
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> WarmPython:
        """Start the server, where there can be one.

        Raises:
            OSError: It cannot be started, or its log not be written.
        """
        if sys.platform != "linux" or this_machine().gpus:
            return self
        self._address = f"@mlhelpers-{secrets.token_hex(16)}"
        # an abstract address: no file is left behind by an owner that is killed; both ends check whose the other is
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
            open(self._log or os.devnull, "ab") as log,
        ):
            listener.bind(self._address.replace("@", "\0", 1))
            listener.listen(128)
            module = f"{__name__}.server"
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(listener.fileno()), str(os.getpid()), *self._preload],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._server_environment(),
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the server, and what still runs."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    @property
    def pid(self) -> int | None:
        """The server's process, or None where there is none (any more)."""
        return None if self._server is None or self._server.poll() is not None else self._server.pid

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that does the same from a warm process.

        Args:
            command: [Python, "-m", MODULE, …] with or without "-P" before "-m"; any other is returned as it is, and so
                is each where there is no server.
        """
        words = [word for word in command[1:3] if word != "-P"]
        if self.pid is None or command[:1] != [sys.executable] or words[:1] != ["-m"]:
            return list(command)
        return [sys.executable, "-I", "-S", str(_CLIENT), self._address, *command]

    def _server_environment(self) -> dict[str, str]:
        path = python_path([], self._environment)
        mine = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}  # unbuffered as the engine's trials are
        return {TOKEN_VARIABLE: NO_TOKEN} | self._environment | _ONE_THREAD | mine
