"""Which replicas a scale tier becomes on this machine, and what each of them is told of the others.

Imported by the supervisor, so beyond the floor it needs the standard library alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlhelpers.jobs.machines import SCALE_TIERS
from mlhelpers.settings import cores

if TYPE_CHECKING:
    from mlhelpers.jobs.spec import JobSpec

__all__ = ["Cluster", "Machine", "Task", "cluster_of", "free_addresses", "replica_environment", "this_machine"]

_REPLICA_BYTES = 1 << 30  # a trainer over TensorFlow, with a little data
_REPLICAS_PER_CORE = 2  # more than that only wait for each other
# role in TF_CONFIG -> role in the name of a task, and the worker pool that Vertex AI's CLUSTER_SPEC has for it
_ROLES = {
    "chief": ("master", "workerpool0"),
    "master": ("master", "workerpool0"),
    "worker": ("worker", "workerpool1"),
    "ps": ("ps", "workerpool2"),
    "evaluator": ("evaluator", "workerpool3"),
}
_WORDS = {"worker": "worker", "ps": "parameter server", "evaluator": "evaluator"}


class Machine(NamedTuple):
    """What replicas have to share.

    Attributes:
        cores: Processor cores that this process may use.
        memory: Memory in bytes.
        gpus: Graphics processors, as CUDA_VISIBLE_DEVICES names them.
    """

    cores: int
    memory: int
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """One replica's place in a cluster: its role in TF_CONFIG's words, and its number among those of the role."""

    role: str
    index: int

    @property
    def name(self) -> str:
        """The name under which the service lists the replica, for instance "master-replica-0"."""
        return f"{_ROLES[self.role][0]}-replica-{self.index}"


@dataclass(frozen=True)
class Cluster:
    """The replicas of one job.

    Attributes:
        counts: Role in TF_CONFIG's words -> how many, the first replica's role first.
        note: One sentence: what the tier meant, and what is started here.
        threads: How many threads a replica should compute with, or None where it has the machine to itself.
        gpus: The graphics processors that are shared out, one to a replica.
    """

    counts: Mapping[str, int]
    note: str
    threads: int | None = None
    gpus: tuple[str, ...] = ()

    @property
    def tasks(self) -> list[Task]:
        """The replicas, the first one first."""
        return [Task(role, index) for role, count in self.counts.items() for index in range(count)]


def this_machine() -> Machine:
    """Return what this machine has for a job; GPUs where NVIDIA's driver shows them and CUDA_VISIBLE_DEVICES allows."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # there is none
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))  # a container's own limit
    driver = Path("/proc/driver/nvidia/gpus")
    count = len(list(driver.iterdir())) if driver.is_dir() else 0
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count))))
    return Machine(cores(), memory, tuple(filter(None, allowed.split(","))) if count else ())


def cluster_of(spec: JobSpec, machine: Machine) -> Cluster:
    """Return the replicas that a job's scale tier becomes on a machine.

    A tier's own workers become as many as there are cores (or GPUs) beside the first replica's; its parameter servers
    are left out. With CUSTOM what was asked for is started, up to two replicas a core and a gigabyte for each; where
    that is too little, the roles are served in turn.

    Args:
        spec: Tier and machines.
        machine: What there is.
    """
    tier = SCALE_TIERS[spec.scale_tier]
    if spec.scale_tier == "CUSTOM":
        asked = {"worker": spec.workers.count, "ps": spec.parameter_servers.count, "evaluator": spec.evaluators.count}
        room = max(1, min(_REPLICAS_PER_CORE * machine.cores, machine.memory // _REPLICA_BYTES)) - 1
        meaning = "a master" + "".join(f", {_many(count, _WORDS[role])}" for role, count in asked.items() if count)
    else:
        asked = {"worker": tier.workers}
        room = max(1, min(len(machine.gpus) or machine.cores, machine.memory // _REPLICA_BYTES)) - 1
        meaning = tier.meaning
    counts = {spec.primary: 1} | _in_turn(asked, room)
    total = sum(counts.values())
    note = f"{spec.scale_tier} meant {meaning}; {_here(counts, machine)}."
    left = [
        _many(count - counts.get(role, 0), _WORDS[role]) for role, count in asked.items() if count > counts.get(role, 0)
    ]
    if left and spec.scale_tier == "CUSTOM":
        note += f" There is no room here for {' and '.join(left)}."
    if tier.parameter_servers:
        note += " Parameter servers are left out: a trainer that needs them asks for them with the tier CUSTOM."
    if tier.accelerator and not (tier.accelerator == "GPU" and machine.gpus):
        note += f" There is no {tier.accelerator} here, so it computes on the processor."
    threads = max(1, machine.cores // total) if total > 1 else None
    gpus = machine.gpus if total > 1 else ()  # a replica on its own sees all of them
    return Cluster(counts, note, threads, gpus)


def free_addresses(counts: Mapping[str, int], start_port: int | None = None) -> dict[str, list[str]]:
    """Return an address of this machine for each replica, by role; the ports are free at this moment.

    Args:
        counts: Role -> how many.
        start_port: The first of consecutive ports; any free ones where None.

    Raises:
        OSError: A port from `start_port` on is taken; `filename` names it.
    """
    host = "127.0.0.1" if start_port is None else "localhost"
    addresses: dict[str, list[str]] = {}
    with ExitStack() as held:  # all at once, lest two replicas get the same one
        port = start_port or 0
        for role, count in counts.items():
            for _ in range(count):
                found = _free_port(held, port)
                addresses.setdefault(role, []).append(f"{host}:{found}")
                port = port and port + 1
    return addresses


def replica_environment(
    task: Task,
    addresses: Mapping[str, Sequence[str]],
    job: Mapping[str, Any],
    cluster: Mapping[str, Any],
    trial: int | None = None,
) -> dict[str, str]:
    """Return the variables by which one replica knows its place.

    TF_CONFIG is as the service made it: a job of one replica has an empty cluster and an empty task, and an evaluator
    stands in no cluster. CLUSTER_SPEC is as Vertex AI makes it, by worker pools.

    Args:
        task: The replica's place.
        addresses: Role -> addresses ("host:port") of all replicas.
        job: The Job resource's training input, with "job_name".
        cluster: "threads" and "gpus" of the `Cluster`.
        trial: The number of the trial that the job is in a study.
    """
    import json

    is_alone = sum(len(listed) for listed in addresses.values()) == 1
    number = {} if trial is None else {"trial": str(trial)}
    config = {
        "cluster": {} if is_alone else {role: listed for role, listed in addresses.items() if role != "evaluator"},
        "task": number | ({} if is_alone else {"type": task.role, "index": task.index}),
        "job": job,
        "environment": "cloud",
    }
    spec = config | {
        "cluster": {_ROLES[role][1]: listed for role, listed in addresses.items()},
        "task": {"type": _ROLES[task.role][1], "index": task.index, **number},
    }
    values = {"TF_CONFIG": json.dumps(config), "CLUSTER_SPEC": json.dumps(spec)}
    if cluster["threads"]:
        threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
        values |= {name: str(cluster["threads"]) for name in threads if name not in os.environ}
    if cluster["gpus"]:
        place = sum(len(listed) for role, listed in _before(addresses, task.role)) + task.index
        values["CUDA_VISIBLE_DEVICES"] = "".join(cluster["gpus"][place : place + 1])
    return values


def _before(addresses: Mapping[str, Sequence[str]], role: str) -> list[tuple[str, Sequence[str]]]:
    items = list(addresses.items())
    return items[: [name for name, _ in items].index(role)]


def _free_port(held: ExitStack, port: int) -> int:
    listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left by another job is free
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(port)) from error
    found: int = listener.getsockname()[1]
    return found


def _in_turn(asked: Mapping[str, int], room: int) -> dict[str, int]:
    """Share out some room: one for each role, then a second one for each, …; roles without any are left out."""
    counts = dict.fromkeys(asked, 0)
    while room and (open_roles := [role for role, count in asked.items() if counts[role] < count]):
        for role in open_roles[:room]:
            counts[role] += 1
        room -= min(room, len(open_roles))
    return {role: count for role, count in counts.items() if count}


def _here(counts: Mapping[str, int], machine: Machine) -> str:
    if sum(counts.values()) == 1:
        return "here it is one process"
    parts = ["a master", *(_many(count, _WORDS[role]) for role, count in counts.items() if role in _WORDS)]
    place = f"{len(machine.gpus)} GPUs" if len(machine.gpus) > 1 else _many(machine.cores, "core")
    return f"here {', '.join(parts[:-1])} and {parts[-1]} share {place}"


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
