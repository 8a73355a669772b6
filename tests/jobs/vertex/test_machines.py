"""The machines of today that stand for the old tiers, and machines of one's own choice."""

from __future__ import annotations

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec, Pool
from mlhelpers.jobs.spec import SCALE_TIERS
from mlhelpers.jobs.vertex.machines import ACCELERATORS, machine_spec, machines_of


def _custom(**pools: Pool) -> JobSpec:
    return JobSpec("a", "trainer.task", scale_tier="CUSTOM", **pools)  # type: ignore[arg-type]


@pytest.mark.parametrize("tier", [tier for tier in SCALE_TIERS if tier != "CUSTOM"])
def test_a_tier_has_the_workers_and_parameter_servers_that_it_had(tier: str) -> None:
    machines = machines_of(JobSpec("a", "trainer.task", scale_tier=tier))

    counts = [machine.count for machine in machines if machine]
    expected = (SCALE_TIERS[tier].workers, SCALE_TIERS[tier].parameter_servers)
    assert counts == [1, *filter(None, expected)]


def test_the_tpu_tier_is_a_machine_with_four_chips_and_their_topology() -> None:
    (machine,) = machines_of(JobSpec("a", "trainer.task", scale_tier="BASIC_TPU"))

    assert machine is not None
    assert machine_spec(machine) == {"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}
    assert "v5e" in machine.note


def test_a_k80_is_replaced_and_that_is_said() -> None:
    (machine,) = machines_of(JobSpec("a", "trainer.task", scale_tier="BASIC_GPU"))

    assert machine is not None
    assert (machine.accelerator_type, machine.accelerator_count) == ("NVIDIA_TESLA_T4", 1)
    assert "K80" in machine.note


def test_pools_keep_their_places_where_one_between_them_is_empty() -> None:
    pool = Pool("n1-standard-4", 1)

    assert [bool(one) for one in machines_of(_custom(master=pool, evaluators=pool))] == [True, False, False, True]
    assert len(machines_of(_custom(master=pool))) == 1


@pytest.mark.parametrize(
    ("old", "today"),
    [("standard", "n1-standard-4"), ("complex_model_m", "n1-highcpu-16"), ("large_model", "n1-highmem-8")],
)
def test_the_old_names_of_machines_are_known(old: str, today: str) -> None:
    (machine,) = machines_of(_custom(master=Pool(old)))

    assert machine is not None
    assert machine.machine_type == today


def test_an_old_name_with_gpus_brings_them() -> None:
    (machine,) = machines_of(_custom(master=Pool("complex_model_m_p100")))

    assert machine is not None
    assert machine_spec(machine) == {
        "machineType": "n1-standard-16",
        "acceleratorType": "NVIDIA_TESLA_P100",
        "acceleratorCount": 4,
    }


@pytest.mark.parametrize(("size", "topology"), [("1t", "1x1"), ("4t", "2x2"), ("8t", "2x4")])
def test_a_tpu_machine_of_ones_own_gets_its_topology(size: str, topology: str) -> None:
    (machine,) = machines_of(_custom(master=Pool(f"ct6e-standard-{size}")))

    assert machine is not None
    assert machine.tpu_topology == topology


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (Pool("n1-standard-4", accelerator_type="NVIDIA_TESLA_T5", accelerator_count=1), "NVIDIA_TESLA_T4"),
        (Pool("n1-standard-4", accelerator_type="NVIDIA_L4"), "Give a count of 1 or more"),
        (Pool("ct5lp-hightpu-4t", accelerator_type="NVIDIA_L4", accelerator_count=1), "its chips are in it"),
        (Pool(image_uri="docker.io/mine"), "--master-machine-type"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_can(pool: Pool, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        machines_of(_custom(master=pool))


def test_the_accelerators_are_those_of_the_api() -> None:
    from google.cloud.aiplatform_v1 import AcceleratorType

    known = {one.name for one in AcceleratorType if one.name.startswith("NVIDIA")}
    assert set(ACCELERATORS) == known
