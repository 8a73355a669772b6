"""TF_CONFIG: which processes train together, which of them this one is, and of which trial of a study.

The service, and our local engine, tell each replica of a job its place in this environment variable:
`{"cluster": {"chief": ["host:port"], "worker": […], "ps": […]}, "task": {"type": "worker", "index": 0}}`. Our trainers
average gradients between chief and workers; parameter servers have no work there. In a hyperparameter study the task
has a `trial` too: "1", "2", … This module only reads and checks; `data_parallel.py` connects.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlhelpers.errors import UsageError, unknown_name

__all__ = ["Cluster", "Rows", "read_cluster"]

_CHIEFS = ("chief", "master")  # the first is TensorFlow 2's word, the second TensorFlow 1's
_ROLES = (*_CHIEFS, "worker", "ps", "evaluator")
_FORM = 'TF_CONFIG looks like {"cluster": {"chief": ["host:port"], "worker": [...]}, "task": {"type": ..., "index": 0}}'


@dataclass(frozen=True)
class Rows:
    """The rows of each batch that one process sees: `start` up to, not including, `stop`, `of` so many in all."""

    start: int
    stop: int
    of: int

    @property
    def part(self) -> slice:
        """Return them as a slice of the batch."""
        return slice(self.start, self.stop)

    @property
    def weight(self) -> float:
        """Return their share of the batch, over 0 and up to 1."""
        return (self.stop - self.start) / self.of


@dataclass(frozen=True)
class Cluster:
    """The processes that share each batch, and this process's place among them.

    Attributes:
        addresses: `host:port` of each of them, the chief first; empty for a process on its own.
        rank: This one's place in `addresses`; 0 for replicas that are not among them.
        role: "chief", "worker", "ps" or "evaluator"; a master is a chief.
        trial: The trial of a hyperparameter study that it belongs to, such as "3"; empty outside of a study.
    """

    addresses: tuple[str, ...] = ()
    rank: int = 0
    role: str = "chief"
    trial: str = ""

    @property
    def size(self) -> int:
        """Return how many processes share a batch."""
        return max(1, len(self.addresses))

    @property
    def is_chief(self) -> bool:
        """Return whether this process writes checkpoints, evaluates and exports."""
        return self.role == "chief"

    @property
    def label(self) -> str:
        """Return what stands before this process's lines: nothing for the chief, who is the first of them."""
        return "" if self.is_chief else f"worker {self.rank + 1} of {self.size}: "

    def rows(self, batch_size: int, flag: str) -> Rows | None:
        """Return this process's share of each batch; shares differ by one row where the batch does not divide.

        Args:
            batch_size: Rows of the batch that all share.
            flag: The flag that set it, for the error.

        Returns:
            The rows; None where this process sees whole batches.

        Raises:
            UsageError: There are more processes than rows.
        """
        if self.size == 1:
            return None
        if batch_size < self.size:
            raise UsageError(
                f"{flag} is {batch_size}, but {self.size} processes share each batch (TF_CONFIG names a chief and its "
                f"workers): each needs a row. Give {flag} {self.size} or more, or start fewer workers."
            )
        start, stop = (batch_size * rank // self.size for rank in (self.rank, self.rank + 1))
        return Rows(start, stop, batch_size)

    def reason_to_leave(self, shares: bool) -> str:
        """Return why this replica has nothing to do, as a sentence; empty where it trains.

        Args:
            shares: Whether the trainer can share its batches between processes.
        """
        if self.role == "ps":
            return (
                "this replica is a parameter server: our trainers average gradients between the workers and leave "
                "parameter servers out; it ends here, with success"
            )
        if self.role == "evaluator":
            return "this replica is an evaluator: the chief evaluates; it ends here, with success"
        if not shares and not self.is_chief:
            return (
                f"{self.label}this trainer's data are too small to share: the chief trains alone; it ends here, with "
                "success"
            )
        return ""


def read_cluster(environ: Mapping[str, str] | None = None) -> Cluster:
    """Read TF_CONFIG, and CLOUD_ML_TRIAL_ID where that names no trial.

    Chief or master comes first among those that share a batch, then the workers; without either, worker 0 is the chief.

    Args:
        environ: The environment; the process's own where None.

    Returns:
        The cluster; one process on its own where TF_CONFIG is missing or names no cluster, as in most trials.

    Raises:
        UsageError: TF_CONFIG is malformed, its task is not in its cluster, or its trial cannot name a folder.
    """
    variables = os.environ if environ is None else environ
    text = variables.get("TF_CONFIG", "")
    if not text.strip():
        return Cluster(trial=_trial(None, variables))
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UsageError(f"TF_CONFIG is not JSON ({error}): {text[:200]!r}. {_FORM}.") from error
    if not isinstance(config, dict):
        raise UsageError(f"TF_CONFIG is {text[:200]!r}, no JSON object. {_FORM}.")
    jobs = _jobs(config.get("cluster") or {})
    task = config.get("task") or {}
    role, index = _task(task, jobs)
    trial = _trial(task.get("trial"), variables)
    chiefs = jobs.get("chief", ()) + jobs.get("master", ())
    if len(chiefs) > 1:
        raise UsageError(f"TF_CONFIG names {len(chiefs)} chiefs and masters, {', '.join(chiefs)}; a cluster has one.")
    addresses = chiefs + jobs.get("worker", ())
    if role in ("ps", "evaluator"):
        return Cluster(addresses, 0, role, trial)
    rank = index + len(chiefs) if role == "worker" else 0
    if len(addresses) > 1:
        _check_addresses(addresses)
    return Cluster(addresses, rank, "worker" if rank else "chief", trial)


def _jobs(cluster: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(cluster, dict):
        raise UsageError(f"TF_CONFIG's cluster is {cluster!r}, no object. {_FORM}.")
    for name, addresses in cluster.items():
        if name not in _ROLES:
            raise unknown_name("kind of replica in TF_CONFIG", name, _ROLES)
        if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
            raise UsageError(f'TF_CONFIG\'s cluster has {name!r}: {addresses!r}; a list of "host:port" stands there.')
    return {name: tuple(addresses) for name, addresses in cluster.items()}


def _task(task: Any, jobs: Mapping[str, tuple[str, ...]]) -> tuple[str, int]:
    if not isinstance(task, dict):
        raise UsageError(f"TF_CONFIG's task is {task!r}, no object. {_FORM}.")
    role, index = task.get("type"), task.get("index", 0)
    if role is None and not any(jobs.values()):
        return "chief", 0
    if role not in _ROLES:
        raise unknown_name("task type in TF_CONFIG", role, _ROLES)
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise UsageError(f"TF_CONFIG's task has the index {index!r}; it is a whole number from 0 on.")
    if role == "evaluator" or not any(jobs.values()):  # an evaluator is never listed
        return role, 0
    if index >= len(jobs.get(role, ())):
        raise UsageError(
            f"TF_CONFIG says that this is {role} {index}, but its cluster has {len(jobs.get(role, ()))} of that kind. "
            "Every replica gets the same cluster, and a type and index that stand in it."
        )
    return role, index


def _trial(trial: Any, environ: Mapping[str, str]) -> str:
    """Return the trial that TF_CONFIG names, or else CLOUD_ML_TRIAL_ID, which is all that Vertex AI promises."""
    if trial is None:
        trial = environ.get("CLOUD_ML_TRIAL_ID", "")
    name = str(trial) if isinstance(trial, int) and not isinstance(trial, bool) else trial
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]*", name, re.ASCII):
        raise UsageError(
            f"TF_CONFIG's task (or CLOUD_ML_TRIAL_ID) has the trial {trial!r}; it is a number or a name of letters, "
            "digits, _ and -, for a folder is named after it."
        )
    return name


def _check_addresses(addresses: tuple[str, ...]) -> None:
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UsageError(f'TF_CONFIG has the address {address!r}; it is "host:port", the port from 1 to 65535.')
    if twice := [address for address in addresses if addresses.count(address) > 1]:
        raise UsageError(f"TF_CONFIG has the address {twice[0]} twice; each replica needs a port of its own.")
