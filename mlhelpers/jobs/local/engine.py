"""The local backend: jobs on this machine that outlive the process which submitted them.

`<home>/jobs/jobs.sqlite` knows the jobs; `<home>/jobs/NAME/` holds what belongs to one:

| file | what |
|---|---|
| logs/TASK.log | what a replica printed; beside it TASK.times, when |
| logs/service.log | what the engine itself did: starts, restarts, the end |
| progress/TASK.json | what a replica last reported |
| launch.json | the command and its environment, until the job is over; readable by its owner alone |
| working_folder | where the trainer was started, which relative paths in its arguments mean |
| lock | held by the job's supervisor for as long as that lives |
| outcome | room kept for the job's end, should the disk be full |
| packages/ | the user's packages as a cloud would be sent them |
| package/, package-1/, … | the copies of them that run |
| supervisor.log | what the job's supervisor printed: nothing, unless it broke |
| metrics/TASK/ | the metric file that tuning reads |
| training_output.json | of a study: what its controller has to say of the trials |
| prediction_output.json | of a batch prediction: how much was predicted, and where it is |

A study is a job whose trainer is its controller; its trials are jobs called STUDY.NUMBER, which end with it. A batch
prediction is a job whose trainer is its controller too; its workers are processes of that.

Nobody has to tell a reader that a supervisor was killed: its lock is free, and the first reader who sees that stops
what is left of the job and records its end.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError, unknown_name
from mlhelpers.jobs.base import Backend, JobState, LogEntry, Plan
from mlhelpers.jobs.lines import LONGEST_LINE, severity, shown
from mlhelpers.jobs.local.description import description, progress, short
from mlhelpers.jobs.local.identity import TOKEN_VARIABLE
from mlhelpers.jobs.local.launch import fill_folder, local_plan, make_job_dir
from mlhelpers.jobs.local.logs import PIECE, Times, log_path, read_piece, tasks_of
from mlhelpers.jobs.local.lost import true_row
from mlhelpers.jobs.local.queue import Start, start_next, start_supervisor
from mlhelpers.jobs.local.store import FINAL, FIRST, Store
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.settings import current

__all__ = ["LocalBackend"]

_STALE_S = 3600.0
_OPEN = ("QUEUED", "PREPARING", "RUNNING")


class LocalBackend(Backend):
    """Jobs on this machine.

    Args:
        folder: Where the store lies.
        start: What starts the supervisor of a job that is submitted.
    """

    name = "local"

    def __init__(self, folder: Path, start: Start = start_supervisor) -> None:
        self._folder = folder
        self._start = start
        self._store = Store(folder)

    def plan(self, spec: JobSpec) -> Plan:
        """Check the spec against this machine and return the request; nothing is written.

        Raises:
            UsageError: A package or the module is not there, or a package cannot be built.
        """
        return local_plan(spec, self._folder / spec.name)

    def submit(self, plan: Plan, verify: Callable[[Path], None] | None = None) -> None:
        """Make the job's folder and row, then start its supervisor.

        Args:
            plan: The job's plan.
            verify: Called with the folder, its packages in it, before the job is there; what it raises ends it.

        Raises:
            UsageError: The job dir cannot be written.
            DataError: The store's folder cannot be written, or has no room.
            JobError: The name is taken, the job's folder cannot be written, or the supervisor did not start.
        """
        name, local = str(plan.request["jobId"]), plan.request["local"]
        if self._store.job(name) is not None:
            raise JobError(self._store.taken(name))
        if job_dir := plan.input.get("jobDir"):
            make_job_dir(str(job_dir))
        token = secrets.token_hex(16)
        try:
            self._store.prepare()
            with self._new_folder(plan, token) as aside:
                if verify is not None:
                    verify(aside)
                row = {
                    "name": name,
                    "token": token,
                    "labels": plan.request["labels"],
                    "training_input": plan.input,
                    "nested": local.get("nested", TOKEN_VARIABLE in os.environ),
                    "study": plan.spec.name if local.get("trial") else None,
                    "trial": local.get("trial"),
                }
                self._store.add(row, then=lambda: self._put_in_place(aside, name))
            self._sweep()
            start_next(self._store, current().max_jobs, self._start)
        except OSError as error:
            raise JobError(
                f"The job {name!r} cannot be made in {self._folder}: {error.strerror or error}. Free some room there, "
                "or set MLHELPERS_HOME to a folder you may write to."
            ) from error
        made = self._store.job(name)
        if made is not None and made["state"] == "FAILED" and made["supervisor"] is None:
            raise JobError(f"The job {name!r} failed. {made['error_message']}")

    def state(self, name: str) -> JobState:
        """Return the true state now."""
        return JobState(self._row(name)["state"])

    def tasks(self, name: str) -> list[str]:
        """Return the tasks that have a log by now, the first replica first, the engine's own last."""
        found = tasks_of(self._folder / name)
        if not found:
            self._row(name)
        return found

    def log(self, name: str, start: int, task: str | None = None) -> tuple[bytes, int]:
        """Return a piece of a task's log from a byte offset, and the offset after it.

        Raises:
            UsageError: There is no such task.
            JobError: There is no such job, or its log cannot be read.
        """
        try:
            return read_piece(log_path(self._folder / name, self._task(name, task)), start)
        except OSError as error:
            self._row(name)
            raise JobError(f"The log of the job {name!r} cannot be read: {error.strerror or error}.") from error

    def entries(
        self, name: str, cursor: Mapping[str, int], task: str | None = None
    ) -> tuple[list[LogEntry], Mapping[str, int]]:
        """Return the next lines of all tasks or of one, by time, and the cursor after them; a study's with its trials'.

        Raises:
            UsageError: There is no such task.
            JobError: There is no such job, or its log cannot be read.
        """
        is_over = self._row(name)["state"] in FINAL  # asked before reading, so that the last lines are not missed
        asked = None if task is None else self._task(name, task)
        logs = [(name, "", is_over)]
        logs += [(row["name"], str(row["trial"]), row["state"] in FINAL) for row in self._store.trials(name)]
        found: list[LogEntry] = []
        after = dict(cursor)
        for job, trial, ended in logs:
            for one in [each for each in tasks_of(self._folder / job) if asked in (None, each)]:
                key = f"{trial}/{one}" if trial else one
                try:
                    lines, after[key] = _lines(log_path(self._folder / job, one), after.get(key, 0), ended)
                except OSError as error:
                    raise JobError(f"The log of the job {job!r} cannot be read: {error.strerror or error}.") from error
                found += [LogEntry(moment, severity(line), one, line, trial) for moment, line in lines]
        return sorted(found, key=lambda entry: entry.time), after

    def cancel(self, name: str) -> None:
        """Ask the job to end; the supervisor stops the whole tree and records it."""
        row = self._row(name)
        if row["state"] in FINAL:
            return
        if self._store.cancel_queued(name):
            (self._folder / name / "launch.json").unlink(missing_ok=True)
            return
        with suppress(JobError):  # the disk is full: the signal is enough
            self._store.move(name, "CANCELLING", _OPEN)
        if supervisor := self._row(name)["supervisor"]:
            from mlhelpers.jobs.local import processes  # its psutil is slow to import: lists do without

            processes.tell_to_cancel(supervisor)  # it also looks by itself every second

    def relabel(self, name: str, labels: Mapping[str, str | None], clear: bool) -> None:
        """Change labels; two who change different ones at once lose neither."""
        self._row(name)
        self._store.relabel(name, labels, clear)

    def list(self, limit: int | None) -> list[dict[str, Any]]:
        """Return short rows, newest first."""
        found = {row["name"]: true_row(self._store, row) for row in self._store.busy()}
        self._move_queue()
        return [short(found.get(row["name"], row)) for row in self._store.jobs(limit)]

    def describe(self, name: str) -> dict[str, Any]:
        """Return the job as the service's Job resource, with what is known of it here under localOutput."""
        return description(self._store, self._row(name))

    def progress(self, name: str) -> dict[str, Any]:
        """Return what the first replica last reported, with "restarts" (of all replicas) and "retries" if any."""
        found = progress(self._folder / name, FIRST)
        row = self._store.job(name) or self._row(name)
        troubles = {"restarts": sum(replica["restarts"] for replica in self._store.replicas(name))}
        troubles["retries"] = row["retries"]
        return found | {what: count for what, count in troubles.items() if count}

    def _task(self, name: str, task: str | None) -> str:
        """Return a task's name as it was given, or the first replica's; refuse one that has no log."""
        if task is None:
            return FIRST
        if task not in (known := self.tasks(name)):
            raise unknown_name("task", task, known, f"They are the replicas of the job {name!r} that have started.")
        return task

    def _row(self, name: str) -> dict[str, Any]:
        """Return the row of a job, made true first where its supervisor has died or has not come yet."""
        row = self._store.job(name)
        if row is None:
            known = [job["name"] for job in self._store.jobs(1000)]
            hint = "See them with  mlhelpers jobs list" if known else "Submit one with  mlhelpers jobs submit training"
            raise JobError(str(unknown_name("job", name, known, hint)))
        row = true_row(self._store, row)
        if row["state"] == "QUEUED":
            self._move_queue()
        return row

    def _move_queue(self) -> None:
        """See to it that whoever is next in the queue has a supervisor; a job that cannot start says so itself."""
        with suppress(JobError):
            start_next(self._store, current().max_jobs)

    @contextmanager
    def _new_folder(self, plan: Plan, token: str) -> Iterator[Path]:
        """Make a job's folder aside; what is still aside afterwards is removed."""
        aside = self._folder / f".{plan.request['jobId'][:100]}.{token[:8]}.part"
        aside.mkdir(mode=0o700)
        try:
            fill_folder(aside, plan, token)
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what submissions left aside that were killed half-way, once they cannot be under way any more."""
        for aside in self._folder.glob(".*.part"):
            with suppress(OSError):
                if time.time() - aside.stat().st_mtime > _STALE_S:
                    shutil.rmtree(aside)

    def _put_in_place(self, aside: Path, name: str) -> None:
        # without a row it is what a submission left that was killed half-way
        shutil.rmtree(self._folder / name, ignore_errors=True)
        aside.rename(self._folder / name)


def _lines(path: Path, start: int, is_over: bool) -> tuple[list[tuple[str, str]], int]:
    """Return the whole lines of a piece of log with their times, and the offset behind them."""
    piece, _ = read_piece(path, start)
    *whole, rest = piece.split(b"\n")
    takes_rest = bool(rest) and (len(rest) > LONGEST_LINE or (is_over and len(piece) < PIECE))
    if takes_rest:
        whole.append(rest)
    times = Times(path)
    found = []
    for line in whole:
        found.append((times.at(start), shown(line)))
        start += len(line) + 1
    return found, start - takes_rest  # which has no end that would count
