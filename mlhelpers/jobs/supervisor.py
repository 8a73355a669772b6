"""The process that stands behind one local job: starts the trainer, waits for it, and records how it ended.

Started as `python -m mlhelpers.jobs.supervisor FOLDER LOCK`, where FOLDER is the job's and LOCK the number of an
inherited, locked file: as long as this process lives, and not a moment longer, the lock is held. That is how every
reader tells a job that runs from one whose supervisor was killed. It needs the standard library and psutil alone, so
that a job starts at once.

The trainer writes straight into the log file: no line waits in a pipe, none is lost with this process, and a log of
gigabytes takes no memory.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from mlhelpers.errors import JobError
from mlhelpers.jobs.hints import cause, ending, last_lines
from mlhelpers.jobs.identity import adopt_orphans, die_with_parent, identity
from mlhelpers.jobs.store import Store

__all__ = ["OUTCOME_BYTES", "Outcome", "main"]

OUTCOME_BYTES = 16384  # written when the job is made, so that its end can be noted on a full disk
_TAIL_BYTES = 65536
_LITTLE_BYTES = 1 << 16
_FULL = "The disk is full: free some room, or send the results elsewhere."
_LOOK_S = 1.0
_LEFTOVER_GRACE_S = 2.0


class Outcome(NamedTuple):
    """How a job ended: the final state, what to tell the user, and the exit code (negative: a signal)."""

    state: str
    message: str | None = None
    exit_code: int | None = None


_REMOVED = Outcome("FAILED", "The job's folder was removed while it ran.")


def main() -> None:
    """Leave the submitting process behind, run the job, record its end."""
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)  # the submitter waits for this process alone; the job's own is nobody's child
    os.set_inheritable(lock, False)
    supervisor = _Supervisor(folder)
    try:
        outcome = supervisor.run()
    except BaseException as error:  # whatever it is, the job must not seem to run on
        sys.excepthook(type(error), error, error.__traceback__)
        outcome = Outcome("FAILED", f"The job could not be looked after: {type(error).__name__}: {error}")
    supervisor.end(outcome)


class _Supervisor:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.store = Store(folder.parent)
        self.launch: dict[str, Any] = json.loads((folder / "launch.json").read_text())
        self.asked_by_signal = 0
        self.stopped_for: Outcome | None = None

    def run(self) -> Outcome:
        wake = self._listen()
        me = identity(os.getpid())
        if not self.store.move(self.name, "PREPARING", ("QUEUED",), supervisor=me):
            return Outcome("CANCELLED")
        adopt_orphans()
        try:
            replica = self._start()
        except OSError as error:
            return Outcome("FAILED", f"The trainer could not be started: {error.strerror or error}.")
        self.store.started(self.name, "master-replica-0", identity(replica.pid))
        exit_code = self._watch(replica, wake)
        self._stop_all(_LEFTOVER_GRACE_S)
        if self.stopped_for is not None:
            return self.stopped_for._replace(exit_code=exit_code)
        return self._judge(exit_code)

    def end(self, outcome: Outcome) -> None:
        """Stop what is left and record the end; in the place kept for it where the disk is full."""
        self._stop_all(_LEFTOVER_GRACE_S)
        for attempt in range(3):
            try:
                self.store.finish(self.name, outcome.state, outcome.message, outcome.exit_code)
                return
            except JobError:
                if attempt == 0:
                    _write_in_place(self.folder / "outcome", outcome)
                time.sleep(0.3)

    def _listen(self) -> int:
        """Have signals wake the wait below; return the file to wait on."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        os.set_blocking(reading, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked)
        return reading

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.asked_by_signal = number

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | self.launch["environment"]
        for name in [name for name, value in self.launch["environment"].items() if value is None]:
            environment.pop(name)
        cwd = self.launch["cwd"] if os.path.isdir(self.launch["cwd"]) else self.folder
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                self.launch["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _watch(self, replica: subprocess.Popen[bytes], wake: int) -> int:
        """Wait for the trainer's end, and end it when that is asked for; return its exit code."""
        while True:
            exit_code = _reap(replica.pid)
            if exit_code is not None:
                replica.returncode = exit_code
                return exit_code
            if self.stopped_for is None and (reason := self._asked_to_stop()):
                self.stopped_for = reason
                self._stop_all(self.launch["grace_s"])
                continue
            select.select([wake], [], [], _LOOK_S)
            _drain(wake)

    def _asked_to_stop(self) -> Outcome | None:
        try:
            job = self.store.job(self.name)
        except JobError:  # the disk is full, or the store is busy for long: ask again later
            job = {"state": "RUNNING"}
        if job is None or not self.folder.is_dir():
            return _REMOVED
        if job["state"] == "CANCELLING":
            return Outcome("CANCELLED")
        if self.asked_by_signal:
            name = signal.Signals(self.asked_by_signal).name
            return Outcome("FAILED", f"The job was ended from outside ({name}), as when the machine is shut down.")
        return None

    def _stop_all(self, grace_s: float) -> None:
        from mlhelpers.jobs import processes  # its psutil is slow to import: not before the trainer has started

        processes.stop(self._members, grace_s)

    def _members(self) -> list[Any]:
        from mlhelpers.jobs import processes

        found = {process.pid: process for process in processes.tree(os.getpid(), self.launch["token"])}
        found |= {process.pid: process for process in processes.of_token(self.launch["token"])}
        return list(found.values())

    def _judge(self, exit_code: int) -> Outcome:
        if exit_code == 0:
            return Outcome("SUCCEEDED", None, 0)
        if not self.folder.is_dir():
            return _REMOVED._replace(exit_code=exit_code)
        lines = last_lines(_tail(self.folder / "log"))
        message = [f"The trainer {ending(exit_code)}."]
        if hint := _FULL if self._has_no_room() else cause(exit_code, lines):
            message.append(f"Hint: {hint}")
        message += ["Its last lines:", *(f"  {line}" for line in lines)] if lines else ["It printed nothing."]
        return Outcome("FAILED", "\n".join(message), exit_code)

    def _has_no_room(self) -> bool:
        """Tell whether the log could not grow any more; then the trainer's last words are not in it either."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        is_at_limit = (self.folder / "log").stat().st_size >= limit != resource.RLIM_INFINITY
        return is_at_limit or shutil.disk_usage(self.folder).free - self.store.given_up_bytes() < _LITTLE_BYTES


def _reap(wanted: int) -> int | None:
    """Collect every child that has ended; return the exit code of the wanted one if it is among them."""
    exit_code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return exit_code
        if pid == 0:
            return exit_code
        if pid == wanted:
            exit_code = os.waitstatus_to_exitcode(status)


def _drain(reading: int) -> None:
    try:
        os.read(reading, 4096)
    except BlockingIOError:
        return


def _tail(log: Path) -> bytes:
    with open(log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        return file.read()


def _write_in_place(path: Path, outcome: Outcome) -> None:
    """Overwrite the bytes that are there already: this needs no room on the disk."""
    values = outcome._asdict()
    text = json.dumps(values).encode()
    if len(text) > OUTCOME_BYTES:
        text = json.dumps(values | {"message": (outcome.message or "")[: OUTCOME_BYTES // 12]}).encode()
    with open(path, "r+b") as file:
        file.write(text.ljust(OUTCOME_BYTES))
        os.fsync(file.fileno())


if __name__ == "__main__":
    main()
