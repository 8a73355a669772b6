"""The workers of a batch prediction, as their controller sees them: processes that take shards and tell of them."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError
from mlhelpers.jobs.hints import ending
from mlhelpers.jobs.local.identity import die_with_parent

__all__ = ["WorkerDiedError", "Workers"]

_WORKER = "mlhelpers.serving.batch.worker"
_LOOK_S = 0.5


class WorkerDiedError(Exception):
    """A worker ended without a word."""


class Workers:
    """Some processes, and the shards that they work on.

    Args:
        folder: The job's folder.
        count: How many processes.
        threads: How many threads the model has in each.
    """

    def __init__(self, folder: Path, count: int, threads: int) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TF_NUM_INTRAOP_THREADS": str(threads)}
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", _WORKER, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                preexec_fn=die_with_parent,
            )
            for _ in range(count)
        ]

    def run(self, numbers: Iterable[int]) -> Iterator[dict[str, Any] | None]:
        """Hand shards out until all are done.

        Args:
            numbers: The shards.

        Yields:
            What a worker says: "shard", "share" and "done" of one under way, "finished" and "counts" of one that is
            done; None where nobody has said anything for half a second.

        Raises:
            DataError: A worker cannot go on, for instance because an input is damaged.
            WorkerDiedError: A worker was ended from outside, or crashed.
        """
        left = deque(numbers)
        with selectors.DefaultSelector() as selector:
            rests = dict.fromkeys(self._processes, b"")
            for process in self._processes:
                assert process.stdout is not None
                selector.register(process.stdout, selectors.EVENT_READ, process)
            while selector.get_map():
                ready = selector.select(_LOOK_S)
                if not ready:
                    yield None
                for key, _ in ready:
                    process, pipe = key.data, key.fileobj
                    piece = os.read(key.fd, 65536)
                    *lines, rests[process] = (rests[process] + piece).split(b"\n")
                    for message in map(json.loads, lines):
                        if "failed" in message:
                            raise DataError(message["failed"])
                        if "finished" in message or "ready" in message:
                            self._give(process, left)
                        yield message
                    if not piece:
                        selector.unregister(pipe)
                        if code := process.wait():
                            raise WorkerDiedError(f"A worker (pid {process.pid}) {ending(code)}.")

    def close(self) -> None:
        """End the workers that are still there."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()

    def _give(self, process: subprocess.Popen[bytes], left: deque[int]) -> None:
        assert process.stdin is not None
        try:
            if left:
                process.stdin.write(f"{left.popleft()}\n".encode())
                process.stdin.flush()
            else:
                process.stdin.close()
        except BrokenPipeError:  # it has just ended; its exit code is seen with the end of what it says
            pass
