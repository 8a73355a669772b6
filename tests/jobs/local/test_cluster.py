"""What a scale tier becomes on machines of other sizes, and what each replica is told."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mlhelpers import jobs
from mlhelpers.jobs import JobSpec, Pool
from mlhelpers.jobs.local.cluster import (
    Machine,
    Task,
    cluster_of,
    free_addresses,
    replica_environment,
    this_machine,
)

_GIB = 1 << 30


def _counts(tier: str, cores: int, memory: int = 64, **fields: object) -> dict[str, int]:
    return dict(cluster_of(JobSpec("a", "b", scale_tier=tier, **fields), Machine(cores, memory * _GIB)).counts)  # type: ignore[arg-type]


# the table of the documentation
@pytest.mark.parametrize(
    ("tier", "workers_on_1_2_4_8_cores"),
    [
        ("BASIC", (0, 0, 0, 0)),
        ("STANDARD_1", (0, 1, 3, 4)),
        ("PREMIUM_1", (0, 1, 3, 7)),
        ("BASIC_GPU", (0, 0, 0, 0)),
        ("BASIC_TPU", (0, 0, 0, 0)),
    ],
)
def test_a_tier_becomes_as_many_workers_as_there_are_cores_beside_the_first(
    tier: str, workers_on_1_2_4_8_cores: tuple[int, ...]
) -> None:
    found = tuple(_counts(tier, cores).get("worker", 0) for cores in (1, 2, 4, 8))

    assert found == workers_on_1_2_4_8_cores


def test_a_large_machine_starts_no_more_than_the_tier_meant() -> None:
    assert _counts("PREMIUM_1", 64) == {"chief": 1, "worker": 19}


def test_little_memory_starts_fewer() -> None:
    assert _counts("PREMIUM_1", 8, memory=3) == {"chief": 1, "worker": 2}


def test_where_there_are_gpus_each_replica_gets_one() -> None:
    cluster = cluster_of(JobSpec("a", "b", scale_tier="PREMIUM_1"), Machine(16, 64 * _GIB, ("4", "7")))
    seen = [
        replica_environment(task, free_addresses(cluster.counts), {}, {"threads": None, "gpus": cluster.gpus})
        for task in cluster.tasks
    ]

    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in seen] == ["4", "7"]


def test_the_note_says_what_the_tier_meant_and_what_is_started() -> None:
    note = cluster_of(JobSpec("a", "b", scale_tier="standard-1"), Machine(2, 8 * _GIB)).note

    assert note == (
        "STANDARD_1 meant a master, 4 workers and 3 parameter servers; here a master and 1 worker share 2 cores. "
        "Parameter servers are left out: a trainer that needs them asks for them with the tier CUSTOM."
    )


def test_the_note_says_that_an_accelerator_is_missing() -> None:
    note = cluster_of(JobSpec("a", "b", scale_tier="BASIC_TPU"), Machine(2, 8 * _GIB, ("0",))).note

    assert note == (
        "BASIC_TPU meant one machine with a TPU; here it is one process. There is no TPU here, so it computes on the "
        "processor."
    )


def test_a_custom_cluster_is_started_as_asked_up_to_two_replicas_a_core() -> None:
    def asked(workers: int, servers: int, cores: int) -> dict[str, int]:
        pool = {"worker": Pool("m", workers), "ps": Pool("m", servers)}
        return _counts("CUSTOM", cores, master=Pool("m"), workers=pool["worker"], parameter_servers=pool["ps"])

    assert asked(2, 1, 2) == {"chief": 1, "worker": 2, "ps": 1}
    assert asked(9, 2, 2) == {"chief": 1, "worker": 2, "ps": 1}
    assert asked(9, 2, 1) == {"chief": 1, "worker": 1}


def test_what_there_is_no_room_for_is_named() -> None:
    spec = JobSpec(
        "a", "b", scale_tier="CUSTOM", master=Pool("m"), workers=Pool("m", 3), parameter_servers=Pool("m", 2)
    )

    assert cluster_of(spec, Machine(2, 64 * _GIB)).note == (
        "CUSTOM meant a master, 3 workers, 2 parameter servers; here a master, 2 workers and 1 parameter server share "
        "2 cores. There is no room here for 1 worker and 1 parameter server."
    )


def test_a_user_who_chose_gpus_keeps_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / str(number)).mkdir()
    path = Path
    monkeypatch.setattr(
        "mlhelpers.jobs.local.cluster.Path", lambda name: tmp_path if "nvidia" in str(name) else path(name)
    )

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    assert this_machine().gpus == ("6", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert this_machine().gpus == ()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert len(this_machine().gpus) == 8


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "chief"),
        ({"runtime_version": "2.11"}, "chief"),
        ({"runtime_version": "1.15"}, "master"),
        ({"runtime_version": "1.15", "use_chief": True}, "chief"),
        ({"use_chief": False}, "master"),
    ],
)
def test_the_first_replica_is_master_in_tensorflow_1_and_chief_in_2(fields: dict, name: str) -> None:
    assert next(iter(_counts("BASIC", 2, **fields))) == name


def test_addresses_are_of_this_machine_different_and_free() -> None:
    addresses = free_addresses({"chief": 1, "worker": 20})

    listed = [address for role in addresses.values() for address in role]
    assert len(set(listed)) == 21
    for address in listed:
        host, port = address.split(":")
        with socket.socket() as listener:
            listener.bind((host, int(port)))


def test_from_a_start_port_on_they_are_consecutive_and_a_taken_one_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        taken = listener.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            free_addresses({"chief": 1, "worker": 1}, taken - 1)

    assert caught.value.filename == str(taken)
    assert free_addresses({"chief": 1, "ps": 1, "worker": 1}, taken - 1) == {
        "chief": [f"localhost:{taken - 1}"],
        "ps": [f"localhost:{taken}"],
        "worker": [f"localhost:{taken + 1}"],
    }


def test_an_evaluator_stands_in_no_cluster_and_knows_the_others() -> None:
    addresses = {"chief": ["h:1"], "worker": ["h:2"], "evaluator": ["h:3"]}

    config = json.loads(
        replica_environment(Task("evaluator", 0), addresses, {}, {"threads": 1, "gpus": []})["TF_CONFIG"]
    )

    assert config["cluster"] == {"chief": ["h:1"], "worker": ["h:2"]}
    assert config["task"] == {"type": "evaluator", "index": 0}


def test_this_machine_is_what_psutil_sees() -> None:
    import psutil

    machine = this_machine()

    assert 1 <= machine.cores <= psutil.cpu_count()
    assert 0 < machine.memory <= psutil.virtual_memory().total


def test_every_replica_of_a_job_finds_the_same_cluster_and_its_own_place(submit: Callable[..., jobs.Job]) -> None:
    job = submit(
        "import os\nfor name in ('TF_CONFIG', 'CLUSTER_SPEC', 'OMP_NUM_THREADS', 'MLHELPERS_PROGRESS_FILE',"
        " 'CLOUD_ML_HP_METRIC_FILE'):\n    print(os.environ.get(name))",
        args=["--x", "1"],
        scale_tier="CUSTOM",
        master=Pool("m"),
        workers=Pool("m", 2),
        parameter_servers=Pool("m", 1),
    )
    job.wait(30)

    tasks = ["master-replica-0", "worker-replica-0", "worker-replica-1", "ps-replica-0"]
    assert job.tasks == [*tasks, "service"]
    told = {task: job.log(task=task).splitlines() for task in tasks}
    configs = {task: json.loads(lines[0]) for task, lines in told.items()}
    specs = {task: json.loads(lines[1]) for task, lines in told.items()}
    assert [config["task"] for config in configs.values()] == [
        {"type": "chief", "index": 0},
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
        {"type": "ps", "index": 0},
    ]
    assert {role: len(listed) for role, listed in configs[tasks[0]]["cluster"].items()} == {
        "chief": 1,
        "worker": 2,
        "ps": 1,
    }
    assert len({json.dumps(config["cluster"]) for config in configs.values()}) == 1
    assert {config["environment"] for config in configs.values()} == {"cloud"}
    assert {config["job"]["job_name"] for config in configs.values()} == {"first"}
    assert configs[tasks[0]]["job"]["args"] == ["--x", "1"]
    assert [spec["task"]["type"] for spec in specs.values()] == [
        "workerpool0",
        "workerpool1",
        "workerpool1",
        "workerpool2",
    ]
    assert specs[tasks[0]]["cluster"]["workerpool1"] == configs[tasks[0]]["cluster"]["worker"]
    for column in (3, 4):  # what they write themselves lies apart
        assert len({lines[column] for lines in told.values()}) == 4
    assert {lines[2] for lines in told.values()} == {"1"}


def test_the_table_of_notebook_05_is_what_is_started(repository: Path) -> None:
    notebook = (repository / "notebooks" / "05_train_locally.ipynb").read_text("utf-8")
    rows = dict(re.findall(r"\| `(STANDARD_1|PREMIUM_1|BASIC)` \| [^|]+ \|([^\"]+)\|\\n\"", notebook))

    assert set(rows) == {"BASIC", "STANDARD_1", "PREMIUM_1"}
    for tier, cells in rows.items():
        told = [int((re.search(r"(\d+) workers?", cell) or [0, 0])[1]) for cell in cells.split("|")]
        assert told == [_counts(tier, cores).get("worker", 0) for cores in (2, 4, 8)], tier


def test_a_trial_knows_its_number_in_both_variables_and_other_jobs_have_none() -> None:
    addresses = {"chief": ["127.0.0.1:1"]}

    found = replica_environment(Task("chief", 0), addresses, {}, {"threads": None, "gpus": []}, trial=7)
    plain = replica_environment(Task("chief", 0), addresses, {}, {"threads": None, "gpus": []})

    assert json.loads(found["TF_CONFIG"])["task"] == {"trial": "7"}
    assert json.loads(found["CLUSTER_SPEC"])["task"]["trial"] == "7"
    assert json.loads(plain["TF_CONFIG"])["task"] == {}
    assert "trial" not in json.loads(plain["CLUSTER_SPEC"])["task"]
