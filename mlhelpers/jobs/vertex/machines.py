"""Which machines a job gets today: the old scale tiers, and machines of one's own choice, as `workerPoolSpecs`.

The tiers' composition is the one that the old price list adds up to. Of the machines themselves some are gone, and
what stands in for them is said in `Machine.note`:

- Custom training offers n1-highcpu from 16 cores on, so the 8 cores of STANDARD_1 are those of an n1-standard-8.
- The K80 has reached its end of support (AcceleratorType in the API's reference says so); a T4 stands in.
- A TPU v2 with 8 cores was four chips beside a machine of its own; four chips of v5e are one machine,
  ct5lp-hightpu-4t, whose `tpuTopology` is 2x2 (the tables of Cloud TPU v5e).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlhelpers.errors import UsageError, unknown_name
from mlhelpers.jobs.spec import JobSpec, Pool

__all__ = ["ACCELERATORS", "POOLS", "Machine", "machine_spec", "machines_of"]

# the worker pools by their place in workerPoolSpecs -> the first part of a replica's name, as in "ps-replica-0"
POOLS = ("master", "worker", "ps", "evaluator")

# AcceleratorType of google.cloud.aiplatform_v1 2.7, without the TPUs, which have machine types of their own
ACCELERATORS = (
    "NVIDIA_TESLA_K80",
    "NVIDIA_TESLA_P100",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_T4",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_L4",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
    "NVIDIA_GB200",
    "NVIDIA_RTX_PRO_6000",
)
# the old service's own names -> machine types, by the cores and memory that its table of them gave
_OLD_NAMES = {
    "standard": "n1-standard-4",
    "large_model": "n1-highmem-8",
    "complex_model_s": "n1-standard-8",
    "complex_model_m": "n1-highcpu-16",
    "complex_model_l": "n1-highcpu-32",
}
_OLD_GPUS = {
    **dict.fromkeys(("standard_gpu", "standard_p100", "standard_v100"), ("n1-standard-8", 1)),
    **dict.fromkeys(("complex_model_m_gpu", "complex_model_m_p100", "complex_model_m_v100"), ("n1-standard-16", 4)),
    **dict.fromkeys(("complex_model_l_gpu", "complex_model_l_v100"), ("n1-standard-32", 8)),
}
_OLD_TPUS = ("cloud_tpu",)
_K80_NOTE = "A K80 is no longer to be had: a T4 stands in for it."
_TPU_NOTE = "A TPU v2 with 8 cores, four chips, is today a machine with four chips of v5e."
_TOPOLOGIES = {"1t": "1x1", "4t": "2x2", "8t": "2x4"}


@dataclass(frozen=True)
class Machine:
    """The machines of one worker pool.

    Attributes:
        machine_type: For instance "n1-standard-4".
        count: How many.
        accelerator_type: One of `ACCELERATORS`, or empty.
        accelerator_count: How many of them each machine has.
        tpu_topology: How the chips of a TPU machine are arranged, "2x2"; empty for others.
        image_uri: A container image of the user's own, or empty.
        note: What stands in for what, as a sentence; empty where nothing does.
    """

    machine_type: str
    count: int = 1
    accelerator_type: str = ""
    accelerator_count: int = 0
    tpu_topology: str = ""
    image_uri: str = ""
    note: str = ""

    @property
    def is_tpu(self) -> bool:
        """Tell whether it is a TPU machine."""
        return bool(self.tpu_topology)


_CHIEF = Machine("n1-standard-4")
_TPU = Machine("ct5lp-hightpu-4t", tpu_topology="2x2", note=_TPU_NOTE)
_T4 = Machine("n1-standard-8", 1, "NVIDIA_TESLA_T4", 1, note=_K80_NOTE)
_S_NOTE = "n1-highcpu-8 is not offered for custom training: n1-standard-8 has as many cores, and more memory."
_TIERS: Mapping[str, tuple[Machine | None, ...]] = {
    "BASIC": (_CHIEF,),
    "STANDARD_1": (
        Machine("n1-standard-8", note=_S_NOTE),
        Machine("n1-standard-8", 4),
        Machine("n1-standard-4", 3),
    ),
    "PREMIUM_1": (Machine("n1-highcpu-16"), Machine("n1-highcpu-16", 19), Machine("n1-highmem-8", 11)),
    "BASIC_GPU": (_T4,),
    "BASIC_TPU": (_TPU,),
}


def machines_of(spec: JobSpec) -> list[Machine | None]:
    """Return the machines of each worker pool, by its place in `POOLS`; None for one that is left empty.

    Args:
        spec: What to run.

    Raises:
        UsageError: An accelerator is not known, is given without a count, or is asked for beside a TPU machine.
    """
    if spec.scale_tier != "CUSTOM":
        return list(_TIERS[spec.scale_tier])
    pools = (spec.master, spec.workers, spec.parameter_servers, spec.evaluators)
    found = [_machine(role, pool, spec.master) for role, pool in zip(POOLS, pools, strict=True)]
    while found[-1] is None:
        found.pop()
    return found


def machine_spec(machine: Machine) -> dict[str, Any]:
    """Return a pool's `machineSpec`, as JSON.

    Args:
        machine: The pool's machines.
    """
    values: dict[str, Any] = {"machineType": machine.machine_type}
    if machine.accelerator_type:
        values |= {"acceleratorType": machine.accelerator_type, "acceleratorCount": machine.accelerator_count}
    if machine.tpu_topology:
        values["tpuTopology"] = machine.tpu_topology
    return values


def _machine(role: str, pool: Pool, master: Pool) -> Machine | None:
    if role != "master" and not pool.count:
        return None
    count, given = max(pool.count, 1) if role != "master" else 1, pool.machine_type or master.machine_type
    image = pool.image_uri
    if not given:
        raise UsageError(
            f"The image {image} says nothing of the machine that runs it: give --{role}-machine-type n1-standard-4 too."
        )
    if given in _OLD_TPUS:
        return Machine(_TPU.machine_type, count, tpu_topology=_TPU.tpu_topology, image_uri=image, note=_TPU_NOTE)
    if given in _OLD_GPUS:
        kind, accelerators = _OLD_GPUS[given]
        named = {"p100": "NVIDIA_TESLA_P100", "v100": "NVIDIA_TESLA_V100"}.get(given.rpartition("_")[2])
        note = "" if named else _K80_NOTE
        return Machine(kind, count, named or "NVIDIA_TESLA_T4", accelerators, image_uri=image, note=note)
    kind = _OLD_NAMES.get(given, given)
    topology = _topology(kind)
    if not pool.accelerator_type:
        return Machine(kind, count, tpu_topology=topology, image_uri=image)
    if topology:
        raise UsageError(f"{kind} is a TPU machine, its chips are in it: leave the accelerator of the {role} out.")
    if pool.accelerator_type not in ACCELERATORS:
        raise unknown_name("accelerator", pool.accelerator_type, ACCELERATORS)
    if pool.accelerator_count < 1:
        raise UsageError(f"How many {pool.accelerator_type} shall each {role} have? Give a count of 1 or more.")
    return Machine(kind, count, pool.accelerator_type, pool.accelerator_count, "", image)


def _topology(machine_type: str) -> str:
    """Return how the chips of a TPU machine of one host are arranged, or nothing for another machine."""
    family, _, size = machine_type.rpartition("-")
    return _TOPOLOGIES.get(size, "") if family in ("ct5lp-hightpu", "ct6e-standard") else ""
