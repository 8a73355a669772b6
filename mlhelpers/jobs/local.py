"""The local backend: jobs on this machine that outlive the process which submitted them.

`<home>/jobs/jobs.sqlite` knows the jobs; `<home>/jobs/NAME/` holds what belongs to one:

| file | what |
|---|---|
| log | what the trainer printed |
| progress.json | what the trainer last reported |
| launch.json | the command, its folder and its environment's additions; readable by its owner alone |
| lock | held by the job's supervisor for as long as that lives |
| outcome | room kept for the job's end, should the disk be full |
| package/ | the copy of the user's package that runs |
| metrics/ | the metric file that tuning reads |

Nobody has to tell a reader that a supervisor was killed: its lock is free, and the first reader who sees that stops
what is left of the job and records its end.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError, unknown_name
from mlhelpers.jobs import processes
from mlhelpers.jobs.base import Backend, JobSpec, JobState, Plan
from mlhelpers.jobs.environment import base_environment, python_path
from mlhelpers.jobs.identity import TOKEN_VARIABLE, machine
from mlhelpers.jobs.launch import fill_folder, local_plan, make_job_dir
from mlhelpers.jobs.store import FINAL, Store
from mlhelpers.settings import home_folder

__all__ = ["LocalBackend", "backend"]

_PIECE = 1 << 20
_OPEN = ("QUEUED", "PREPARING", "RUNNING")


def backend() -> Backend:
    """Return the local backend over the store of the home in force."""
    return LocalBackend(home_folder("jobs"))


class LocalBackend(Backend):
    """Jobs on this machine.

    Args:
        folder: Where the store lies.
    """

    name = "local"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = Store(folder)

    def plan(self, spec: JobSpec) -> Plan:
        """Check the spec against this machine and return the request; nothing is written.

        Raises:
            UsageError: The scale tier is not offered, or the package or the module is not there.
        """
        return local_plan(spec, self._folder / spec.name)

    def submit(self, plan: Plan) -> None:
        """Make the job's folder and row, then start its supervisor.

        Raises:
            UsageError: The job dir cannot be written.
            DataError: The store's folder cannot be written, or has no room.
            JobError: The name is taken, the job's folder cannot be written, or the supervisor did not start.
        """
        name = plan.spec.name
        if self._store.job(name) is not None:
            raise JobError(self._store.taken(name))
        if plan.spec.job_dir is not None:
            make_job_dir(str(plan.spec.job_dir))
        token = secrets.token_hex(16)
        try:
            self._store.prepare()
            with self._new_folder(plan, token) as (aside, lock):
                row = {
                    "name": name,
                    "token": token,
                    "labels": dict(plan.spec.labels),
                    "training_input": plan.request["trainingInput"],
                }
                self._store.add(row, then=lambda: self._put_in_place(aside, name))
                self._start_supervisor(name, token, lock)
        except OSError as error:
            raise JobError(
                f"The job {name!r} cannot be made in {self._folder}: {error.strerror or error}. Free some room there, "
                "or set MLHELPERS_HOME to a folder you may write to."
            ) from error

    def state(self, name: str) -> JobState:
        """Return the true state now."""
        return JobState(self._row(name)["state"])

    def log(self, name: str, start: int) -> tuple[bytes, int]:
        """Return a piece of the log from a byte offset, and the offset after it.

        Raises:
            JobError: There is no such job, or its log cannot be read.
        """
        try:
            with open(self._folder / name / "log", "rb") as file:
                size = os.fstat(file.fileno()).st_size
                start = max(0, size + start) if start < 0 else start
                file.seek(start)
                piece = file.read(_PIECE)
        except OSError as error:
            self._row(name)
            raise JobError(f"The log of the job {name!r} cannot be read: {error.strerror or error}.") from error
        return piece, start + len(piece)

    def cancel(self, name: str) -> None:
        """Ask the job to end; the supervisor stops the whole tree and records it."""
        row = self._row(name)
        if row["state"] in FINAL:
            return
        self._store.move(name, "CANCELLING", _OPEN)
        if row["supervisor"]:
            processes.wake(row["supervisor"])  # it also looks by itself every second
        self._row(name)

    def list(self, limit: int | None) -> list[dict[str, Any]]:
        """Return short rows, newest first."""
        found = {name: self._row(name) for name in self._store.unfinished()}
        return [_short(found.get(row["name"], row)) for row in self._store.jobs(limit)]

    def describe(self, name: str) -> dict[str, Any]:
        """Return the job as the service's Job resource, with what is known of it here under localOutput."""
        row = self._row(name)
        resource = _short(row) | {"trainingInput": json.loads(row["training_input"])}
        if row["error_message"]:
            resource["errorMessage"] = row["error_message"]
        folder = self._folder / name
        replicas = [_replica(replica) for replica in self._store.replicas(name)]
        if replicas and row["state"] in FINAL and replicas[0].get("exitCode") is None:
            replicas[0]["exitCode"] = row.get("exit_code")
        resource["localOutput"] = {"folder": str(folder), "log": str(folder / "log"), "replicas": replicas}
        if progress := self.progress(name):
            resource["localOutput"]["progress"] = progress
        return resource

    def progress(self, name: str) -> dict[str, Any]:
        """Return what the trainer last reported, or an empty dict."""
        try:
            found = json.loads((self._folder / name / "progress.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _row(self, name: str) -> dict[str, Any]:
        """Return the row of a job, made true first where its supervisor has died."""
        row = self._store.job(name)
        if row is None:
            known = [job["name"] for job in self._store.jobs(1000)]
            hint = "See them with  mlhelpers jobs list" if known else "Submit one with  mlhelpers jobs submit training"
            raise JobError(str(unknown_name("job", name, known, hint)))
        if row["state"] in FINAL:
            return row
        with self._left_alone(name) as alone:
            return self._bury(name) if alone else row

    @contextmanager
    def _left_alone(self, name: str) -> Iterator[bool]:
        """Tell whether a job has no supervisor; inside the block this process then has the job to itself."""
        try:
            lock = os.open(self._folder / name / "lock", os.O_RDWR)
        except OSError as error:  # removed, with its folder; or another user's, which is not ours to judge
            yield isinstance(error, FileNotFoundError)
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except OSError:
            alone = False
        try:
            yield alone
        finally:
            os.close(lock)

    def _bury(self, name: str) -> dict[str, Any]:
        """Stop what is left of a job whose supervisor is gone, and record the end."""
        row = self._store.job(name)
        assert row is not None
        if row["state"] in FINAL:
            return row
        processes.stop(lambda: processes.of_token(row["token"]), 0.5)
        state, message, exit_code = self._outcome(name) or _epitaph(row, (self._folder / name).is_dir())
        end = {"state": state, "error_message": message, "exit_code": exit_code}
        try:
            self._store.finish(name, state, message, exit_code)
        except JobError:  # the disk is full: tell the truth all the same
            return row | end
        return self._store.job(name) or row

    def _outcome(self, name: str) -> tuple[str, str | None, int | None] | None:
        """Return the end that the supervisor could not write into the store."""
        try:
            found = json.loads((self._folder / name / "outcome").read_bytes())
            return found["state"], found["message"], found["exit_code"]
        except (OSError, ValueError, KeyError):
            return None

    @contextmanager
    def _new_folder(self, plan: Plan, token: str) -> Iterator[tuple[Path, int]]:
        """Make a job's folder aside and hold its lock; what is still aside afterwards is removed."""
        aside = self._folder / f".{plan.spec.name[:100]}.{token[:8]}.part"
        aside.mkdir(mode=0o700)
        lock = os.open(aside / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fill_folder(aside, plan, token)
            yield aside, lock
        finally:
            os.close(lock)  # the supervisor holds its own
            shutil.rmtree(aside, ignore_errors=True)

    def _put_in_place(self, aside: Path, name: str) -> None:
        # without a row it is what a submission left that was killed half-way
        shutil.rmtree(self._folder / name, ignore_errors=True)
        aside.rename(self._folder / name)

    def _start_supervisor(self, name: str, token: str, lock: int) -> None:
        folder = self._folder / name
        environment = base_environment() | {"PYTHONPATH": python_path(), TOKEN_VARIABLE: token}
        with open(folder / "supervisor.log", "ab") as output:
            done = subprocess.run(
                [sys.executable, "-m", "mlhelpers.jobs.supervisor", str(folder), str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=environment,
                pass_fds=(lock,),
                start_new_session=True,
                check=False,
            )
        if done.returncode != 0:
            reason = (folder / "supervisor.log").read_text(errors="replace").strip().rpartition("\n")[2]
            message = f"The process that looks after the job did not start: {reason or f'code {done.returncode}'}"
            self._store.finish(name, "FAILED", message, None)
            raise JobError(f"The job {name!r} failed. {message}")


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        "jobId": row["name"],
        "state": row["state"],
        "createTime": row["create_time"],
        "startTime": row["start_time"],
        "endTime": row["end_time"],
        "labels": json.loads(row["labels"]),
    }
    return {name: value for name, value in values.items() if value is not None}


def _replica(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        "task": row["task"],
        "pid": int(row["process"].split("/")[-2]),
        "startTime": row["start_time"],
        "endTime": row["end_time"],
        "exitCode": row["exit_code"],
        "restarts": row["restarts"],
    }
    return {name: value for name, value in values.items() if value is not None}


def _epitaph(row: Mapping[str, Any], has_folder: bool) -> tuple[str, str, None]:
    """Say what is known of a job whose supervisor left no word."""
    supervisor = row["supervisor"] or ""
    if row["state"] == "CANCELLING":
        return (
            "CANCELLED",
            "Cancelled; the process that looked after the job had been killed, what was left of it was stopped.",
            None,
        )
    if not has_folder:
        return "FAILED", "The job's folder was removed while it ran, so the job was stopped.", None
    if not supervisor:
        return (
            "FAILED",
            "The submission was interrupted before the trainer was started. Submit again under another name.",
            None,
        )
    if not supervisor.startswith(machine()):
        return "FAILED", "The machine was restarted while the job ran, so it did not finish.", None
    pid = supervisor.split("/")[-2]
    message = (
        f"The process that looked after the job (pid {pid}) was killed from outside, so the job did not finish; "
        "what was left of it was stopped. The log holds what was printed until then."
    )
    return "FAILED", message, None
