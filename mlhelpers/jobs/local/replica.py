"""One replica of a job: a trainer's process, started, watched and started again.

Imported by the supervisor, so beyond the floor it needs the standard library alone.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlhelpers.jobs.hints import is_permanent
from mlhelpers.jobs.lines import last_lines
from mlhelpers.jobs.local.cluster import Task
from mlhelpers.jobs.local.identity import die_with_parent
from mlhelpers.jobs.local.logs import Marks, log_path
from mlhelpers.jobs.metric_file import set_aside

__all__ = ["Replica"]

_TAIL_BYTES = 65536
_FIRST_PAUSE_S = 0.1  # before a replica is started again; each pause is twice as long as the one before


class Replica:
    """A replica's process over its restarts.

    Args:
        folder: The job's folder.
        task: Its place in the cluster.
        launch: What launch.json says: "command", "cwd" and "environment".
    """

    def __init__(self, folder: Path, task: Task, launch: Mapping[str, Any]) -> None:
        self.task = task
        self.restarts = 0
        self.exit_code: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.due_at: float | None = None
        self._folder = folder
        self._launch = launch
        self._log = log_path(folder, task.name)
        self._began_at = 0
        self._marks = Marks(self._log)

    @property
    def runs(self) -> bool:
        """Tell whether its process is there."""
        return self.process is not None and self.exit_code is None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process, in a session of its own, printing into its log.

        Args:
            environment: What this replica finds beyond the job's common variables.

        Raises:
            OSError: It cannot be started, or the log cannot be opened.
        """
        changes = {**self._launch["environment"], **environment}
        merged = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
        cwd = self._launch["cwd"] if os.path.isdir(self._launch["cwd"]) else self._folder
        self.exit_code = self.due_at = None
        if metric_file := environment.get("CLOUD_ML_HP_METRIC_FILE"):
            set_aside(Path(metric_file))
        with open(self._log, "ab") as log:
            self._began_at = log.tell()
            self.process = subprocess.Popen(
                self._launch["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=merged,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def ended(self, exit_code: int) -> None:
        """Note that the process has ended; it was reaped elsewhere."""
        assert self.process is not None
        self.process.returncode = self.exit_code = exit_code
        self.mark()

    def mark(self) -> None:
        """Set a mark of time if it has printed something."""
        self._marks.look()

    def plan_restart(self) -> None:
        """Have it started again after a short pause."""
        self.due_at = time.monotonic() + _FIRST_PAUSE_S * 2**self.restarts
        self.restarts += 1

    @property
    def is_due(self) -> bool:
        """Tell whether the pause before its next start is over."""
        return self.due_at is not None and time.monotonic() >= self.due_at

    @property
    def is_beyond_help(self) -> bool:
        """Tell whether it has failed in a way in which it would fail again."""
        return bool(self.exit_code) and is_permanent(self.exit_code, self.last_lines())  # type: ignore[arg-type]

    def last_lines(self) -> list[str]:
        """Return the last lines that it printed since it was started last."""
        try:
            with open(self._log, "rb") as file:
                file.seek(max(self._began_at, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                return last_lines(file.read())
        except OSError:
            return []
