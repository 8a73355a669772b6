"""The process that stands behind one local job: starts its replicas, starts failed ones again, records how it ended.

Started as `python -m mlhelpers.jobs.local.supervisor FOLDER LOCK`, where FOLDER is the job's and LOCK the number of an
inherited, locked file: as long as this process lives, and not a moment longer, the lock is held. That is how every
reader tells a job that runs from one whose supervisor was killed. Until the trainer has started it needs the standard
library alone, so that a job starts at once.

A replica that fails is started again up to `max_restarts` times, unless it would fail again in the same way; then the
whole job is tried again, up to `max_retries` times. This is the service's own policy (its page on the training
service: 5 restarts of a worker, 3 retries of a job).
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from mlhelpers.errors import JobError
from mlhelpers.jobs.hints import DISK_FULL, cause, ending, last_words, obituary
from mlhelpers.jobs.local.cluster import Task, free_addresses, replica_environment
from mlhelpers.jobs.local.identity import CANCEL_SIGNAL, adopt_orphans, identity
from mlhelpers.jobs.local.logs import SERVICE, Marks, log_path, write_service
from mlhelpers.jobs.local.outcome import Outcome, write_in_place
from mlhelpers.jobs.local.queue import start_next
from mlhelpers.jobs.local.replica import Replica
from mlhelpers.jobs.local.store import FINAL, Store

__all__ = ["look_after"]

_PROCESSES = "mlhelpers.jobs.local.processes"  # its psutil is slow to import: not before the trainer has started
_LITTLE_BYTES = 1 << 16
_LOOK_S = 1.0  # between two looks into the store
_MARK_S = 0.1  # between two marks of time in the logs; also how late a due restart may be
_QUEUE_S = 0.2
_LEFTOVER_GRACE_S = 2.0
_REMOVED = Outcome("FAILED", "The job's folder was removed while it ran.")


def look_after(folder: Path, lock: int) -> None:
    """Leave the submitting process behind, run the job, record its end.

    Args:
        folder: The job's folder.
        lock: The file descriptor of its lock, which is held already.
    """
    if os.fork():
        os._exit(0)  # the submitter waits for this process alone; the job's own is nobody's child
    os.set_inheritable(lock, False)
    supervisor = _Supervisor(folder)
    try:
        outcome = supervisor.run()
    except BaseException as error:  # whatever it is, the job must not seem to run on
        sys.excepthook(type(error), error, error.__traceback__)
        outcome = Outcome("FAILED", f"The job could not be looked after: {type(error).__name__}: {error}")
        with suppress(Exception):  # what went wrong may have been the stopping itself
            supervisor.stop_all()
    supervisor.end(outcome)


class _CannotStartError(Exception):
    """A replica's process could not be started."""


class _Supervisor:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.store = Store(folder.parent)
        self.launch: dict[str, Any] = json.loads((folder / "launch.json").read_text())
        self.asked_by_signal = 0
        self.wake = -1
        self.replicas: list[Replica] = []
        self.retries = 0
        self.service_marks = Marks(log_path(folder, SERVICE))
        self.ends_at = float("inf")
        self.looked_at = 0.0

    def run(self) -> Outcome | None:
        """Wait for a place and run the job; return its end, or None where it was cancelled while it waited."""
        self._listen()
        if not self._take_place():
            return None
        adopt_orphans()
        while True:
            try:
                outcome = self._try()
            except _CannotStartError as error:
                return Outcome("FAILED", f"The trainer could not be started: {error}.")
            finally:
                self.stop_all()
            if outcome is not None:
                return outcome
            self.retries += 1
            self._tell(f"the job is tried again from its checkpoints ({self.retries} of {self.launch['max_retries']})")

    def end(self, outcome: Outcome | None) -> None:
        """Record the end; in the place kept for it where the disk is full."""
        if outcome is not None:
            self._tell(f"the job is over: {outcome.state}")
            self._record(outcome)
        with suppress(JobError, OSError):
            row = self.store.job(self.name)
            if row is None or row["state"] in FINAL:  # one that waits will be started with it later
                (self.folder / "launch.json").unlink(missing_ok=True)
        with suppress(JobError):
            start_next(self.store, self.launch["max_jobs"])

    def _record(self, outcome: Outcome) -> None:
        for attempt in range(3):
            try:
                self.store.finish(self.name, outcome.state, outcome.message, outcome.exit_code)
                return
            except JobError:
                if attempt == 0:
                    with suppress(OSError):  # the folder was removed
                        write_in_place(self.folder / "outcome", outcome)
                time.sleep(0.3)

    def _listen(self) -> None:
        """Have signals end the waits below."""
        self.wake, writing = os.pipe()
        os.set_blocking(writing, False)
        os.set_blocking(self.wake, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, CANCEL_SIGNAL):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.asked_by_signal = number

    def _pause(self, seconds: float) -> None:
        select.select([self.wake], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self.wake, 4096)

    def _take_place(self) -> bool:
        """Wait until the job is the first in the queue and there is a place; tell whether it got it."""
        me = identity(os.getpid())
        while True:
            with suppress(JobError):  # the disk is full, or the store is busy for long: a queued job can wait
                if self.store.take_place(self.name, me, self.launch["max_jobs"]):
                    return True
                row = self.store.job(self.name)
                if row is None or row["state"] != "QUEUED":
                    return False
                if time.monotonic() - self.looked_at >= _LOOK_S:
                    self.looked_at = time.monotonic()
                    self._bury_lost()
            if self.asked_by_signal or not self.folder.is_dir():
                return False
            self._pause(_QUEUE_S)

    def _bury_lost(self) -> None:
        """Free the places of jobs whose supervisors were killed."""
        from mlhelpers.jobs.local.lost import true_row

        for row in self.store.busy():
            true_row(self.store, row)

    def _try(self) -> Outcome | None:
        """Run all replicas once; return how the job ended, or None where it should be tried again."""
        addresses = free_addresses(self.launch["cluster"]["counts"])
        tasks = [Task(role, index) for role, listed in addresses.items() for index in range(len(listed))]
        self.replicas = [Replica(self.folder, task, self.launch) for task in tasks]
        environments = {
            task: self.launch["replicas"][task.name]
            | replica_environment(task, addresses, self.launch["job"], self.launch["cluster"], self.launch["trial"])
            for task in tasks
        }
        self._tell(f"starting {', '.join(task.name for task in tasks)}")  # before they can say anything themselves
        for replica in self.replicas:
            self._start(replica, environments[replica.task])
        with suppress(JobError):  # no room: it is tried again with the looks below
            self.store.running(self.name, self.retries)
        if self.ends_at == float("inf"):
            self.ends_at = time.monotonic() + self.launch["max_running_s"]
            with suppress(JobError):
                start_next(self.store, self.launch["max_jobs"])  # somebody else waits at the head of the queue now
        return self._watch(environments)

    def _start(self, replica: Replica, environment: dict[str, str]) -> None:
        try:
            replica.start(environment)
        except OSError as error:
            raise _CannotStartError(error.strerror or error) from error
        assert replica.process is not None
        with suppress(JobError, ProcessLookupError):  # a full disk, or a trainer that is over already
            self.store.started(self.name, replica.task.name, identity(replica.process.pid), replica.restarts)

    def _watch(self, environments: dict[Task, dict[str, str]]) -> Outcome | None:
        """Wait for the first replica's end, and see to those that fail; None where the job should be tried again."""
        first = self.replicas[0]
        done_at = None
        is_last = self.retries == self.launch["max_retries"]
        while True:
            for replica in self._reap():
                if replica.exit_code == 0 or done_at is not None:
                    continue
                if not self._restarts(replica):
                    return self._judge(replica) if is_last or self._is_beyond_help(replica) else None
            if first.exit_code == 0:
                done_at = done_at or time.monotonic()
                others = [replica for replica in self.replicas if replica.runs and replica.task.role != "ps"]
                if not others or time.monotonic() - done_at > self.launch["grace_s"]:
                    return Outcome("SUCCEEDED", None, 0)
            if outcome := self._asked_to_stop():
                self.stop_all(self.launch["grace_s"])
                self._reap()
                return outcome._replace(exit_code=first.exit_code)
            for replica in self.replicas:
                replica.mark()
                if replica.is_due and done_at is None:
                    self._start(replica, environments[replica.task])
            self._pause(_MARK_S)
            importlib.import_module(_PROCESSES)  # takes a moment, which is free now and would not be at the end

    def _reap(self) -> list[Replica]:
        """Collect every child that has ended; return the replicas among them."""
        mine = {replica.process.pid: replica for replica in self.replicas if replica.runs and replica.process}
        ended: list[Replica] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if replica := mine.get(pid):
                replica.ended(os.waitstatus_to_exitcode(status))
                ended.append(replica)
                with suppress(JobError):
                    self.store.ended(self.name, replica.task.name, replica.exit_code or 0)

    def _restarts(self, replica: Replica) -> bool:
        """Have a failed replica started again, if it may and if that can help."""
        how = f"{replica.task.name} {ending(replica.exit_code or 0)}"
        if self._is_beyond_help(replica) or replica.restarts >= self.launch["max_restarts"]:
            self._tell(how)
            return False
        replica.plan_restart()
        self._tell(f"{how}; it is started again ({replica.restarts} of {self.launch['max_restarts']})")
        return True

    def _is_beyond_help(self, replica: Replica) -> bool:
        return not self.folder.is_dir() or self._has_no_room() or replica.is_beyond_help

    def _asked_to_stop(self) -> Outcome | None:
        if time.monotonic() > self.ends_at:
            limit = self.launch["max_running_s"]
            return Outcome("CANCELLED", f"The job had run for {limit:g} s, its maxRunningTime, so it was ended.")
        if time.monotonic() - self.looked_at < _LOOK_S and not self.asked_by_signal:
            return None
        self.looked_at = time.monotonic()
        try:
            job = self.store.job(self.name)
        except JobError:  # the disk is full, or the store is busy for long: ask again later
            job = {"state": "RUNNING"}
        if job is None or not self.folder.is_dir():
            return _REMOVED
        if job["state"] == "CANCELLING" or self.asked_by_signal == CANCEL_SIGNAL:
            return Outcome("CANCELLED")
        if job["state"] == "PREPARING":
            with suppress(JobError):
                self.store.running(self.name, self.retries)
        if self.asked_by_signal:
            name = signal.Signals(self.asked_by_signal).name
            return Outcome("FAILED", f"The job was ended from outside ({name}), as when the machine is shut down.")
        return None

    def stop_all(self, grace_s: float = _LEFTOVER_GRACE_S) -> None:
        """Stop whatever is left of the job's processes."""
        importlib.import_module(_PROCESSES).stop(self._members, grace_s)

    def _members(self) -> list[Any]:
        processes = importlib.import_module(_PROCESSES)
        self._reap()
        found = {process.pid: process for process in processes.tree(os.getpid(), self.launch["token"])}
        found |= {process.pid: process for process in processes.of_token(self.launch["token"])}
        return list(found.values())

    def _judge(self, replica: Replica) -> Outcome:
        exit_code = replica.exit_code or 0
        if not self.folder.is_dir():
            return _REMOVED._replace(exit_code=exit_code)
        lines = replica.last_lines()
        if (self.launch["study"] or self.launch.get("prediction")) and (reason := last_words(lines)):
            return Outcome("FAILED", reason, exit_code)
        alone = "The prediction" if self.launch.get("prediction") else "The trainer"
        who = alone if len(self.replicas) == 1 else f"The replica {replica.task.name}"
        hint = DISK_FULL if self._has_no_room() else cause(exit_code, lines)
        return Outcome("FAILED", obituary(who, exit_code, replica.restarts, self.retries, hint, lines), exit_code)

    def _has_no_room(self) -> bool:
        """Tell whether the logs could not grow any more; then a trainer's last words are not in them either."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        sizes = [path.stat().st_size for path in (self.folder / "logs").glob("*.log")]
        is_at_limit = max(sizes, default=0) >= limit != resource.RLIM_INFINITY
        return is_at_limit or shutil.disk_usage(self.folder).free - self.store.given_up_bytes() < _LITTLE_BYTES

    def _tell(self, line: str) -> None:
        write_service(self.folder, line)
        self.service_marks.look()


if __name__ == "__main__":
    look_after(Path(sys.argv[1]), int(sys.argv[2]))
