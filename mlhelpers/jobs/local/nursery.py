"""Supervisors forked from a process that has their code imported, for a study with many short trials.

A supervisor of its own costs 0.15 s of a core before it has started anything, its imports; a fork 5 ms. The forked one
is like any other: in a session of its own, nobody's child, with the lock of its job, and it outlives this process.
On Linux only; elsewhere, and where the process is gone, supervisors start as ever.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from mlhelpers.jobs.local import processes, supervisor
from mlhelpers.jobs.local.environment import base_environment, python_path
from mlhelpers.jobs.local.identity import NO_TOKEN, TOKEN_VARIABLE, TokenPlace
from mlhelpers.jobs.local.queue import start_supervisor

__all__ = ["Nursery", "main"]

_NEEDED = (processes,)  # by every supervisor at the end of its job; imported here, once for all
_STATUS = struct.Struct("=i")
_LONGEST_PATH = 1 << 16
_ANSWER_S = 30.0


class Nursery:
    """A process from which supervisors are forked, for as long as the `with` block lasts.

    Example:
        with Nursery() as nursery:
            LocalBackend(folder, start=nursery.start).submit(plan)
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def __enter__(self) -> Nursery:
        """Start the process; it is not waited for."""
        if sys.platform != "linux":
            return self
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_ANSWER_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=base_environment() | {"PYTHONPATH": python_path(), TOKEN_VARIABLE: NO_TOKEN},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process; the supervisors go on."""
        self._close()
        if self._process is not None:
            self._process.wait()

    @property
    def pid(self) -> int | None:
        """The process, or None where there is none (any more)."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self, folder: Path, lock: int) -> str:
        """Start a job's supervisor, as `queue.start_supervisor` does.

        Args:
            folder: The job's folder.
            lock: The file descriptor of its lock.

        Returns:
            Why it did not start; an empty text where it did.
        """
        if self._channel is None:
            return start_supervisor(folder, lock)
        with open(folder / "supervisor.log", "ab") as log:
            try:
                socket.send_fds(self._channel, [os.fsencode(folder)], [lock, log.fileno()])
            except OSError:  # it is gone
                self._close()
                return start_supervisor(folder, lock)
        try:
            answer = self._channel.recv(_STATUS.size)
        except OSError:
            answer = b""
        if len(answer) != _STATUS.size:
            # it went meanwhile: whether it had forked one first the lock tells, and who looks at the job next asks that
            self._close()
            return ""
        code = _STATUS.unpack(answer)[0]
        return "" if code == 0 else f"code {code}; supervisor.log says more"

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def main() -> None:
    """Fork a supervisor for each message on the socket that the first argument numbers, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is meant for the one who asks
    channel = socket.socket(fileno=int(sys.argv[1]))
    place = TokenPlace()
    if not place.fits(NO_TOKEN.encode()):
        return
    gc.freeze()  # what is shared stays shared
    while True:
        folder, given, _, _ = socket.recv_fds(channel, _LONGEST_PATH, 2)
        if not folder:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            _become_supervisor(Path(os.fsdecode(folder)), place, *given)
        for descriptor in given:
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        with suppress(OSError):
            channel.send(_STATUS.pack(os.waitstatus_to_exitcode(status)))


def _become_supervisor(folder: Path, place: TokenPlace, lock: int, log: int) -> None:
    """Be what `python -m mlhelpers.jobs.local.supervisor FOLDER LOCK` would be, and end."""
    code = 1
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.setsid()
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        inherited = json.loads((folder / "launch.json").read_bytes())["inherited"]
        place.write(inherited[TOKEN_VARIABLE].encode())  # by which others tell whose process this is
        os.environ.clear()
        os.environ.update(inherited)
        supervisor.look_after(folder, lock)
        code = 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
