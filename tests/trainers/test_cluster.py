"""What TF_CONFIG says, and what it is refused for; no process is started here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.trainers.cluster import Cluster, Rows, read_cluster

TWO = {"chief": ["a:1"], "worker": ["b:2"]}


def read(cluster: Any, task: Any) -> Cluster:
    return read_cluster({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})})


@pytest.mark.parametrize(
    "text", ["", " ", "{}", '{"cluster": {}, "task": {}}', '{"cluster": {}, "task": {"trial": ""}}']
)
def test_without_a_cluster_a_process_is_on_its_own(text: str) -> None:
    assert read_cluster({"TF_CONFIG": text}) == read_cluster({}) == Cluster()
    assert (Cluster().size, Cluster().is_chief, Cluster().label, Cluster().rows(7, "--n")) == (1, True, "", None)


@pytest.mark.parametrize(
    ("task", "trial"), [({"trial": "3"}, "3"), ({"trial": 12}, "12"), ({"trial": "tuned_2-a"}, "tuned_2-a")]
)
def test_a_trial_of_one_replica_has_no_cluster_but_its_number(task: Any, trial: str) -> None:
    assert read({}, task) == read_cluster({"TF_CONFIG": json.dumps({"task": task})}) == Cluster(trial=trial)


@pytest.mark.parametrize("role", ["chief", "worker", "ps"])
def test_every_replica_of_a_trial_knows_it(role: str) -> None:
    assert read(TWO | {"ps": ["p:1"]}, {"type": role, "index": 0, "trial": "7", "cloud": "x"}).trial == "7"


@pytest.mark.parametrize("tf_config", ["", "{}", '{"cluster": {}, "task": {}}'])
def test_a_trial_that_only_its_own_variable_names_is_known(tf_config: str) -> None:
    assert read_cluster({"TF_CONFIG": tf_config, "CLOUD_ML_TRIAL_ID": "4"}) == Cluster(trial="4")


def test_the_trial_in_tf_config_counts_for_more_than_the_variable() -> None:
    environ = {"TF_CONFIG": json.dumps({"task": {"trial": "3"}}), "CLOUD_ML_TRIAL_ID": "4"}

    assert read_cluster(environ).trial == "3"


def test_a_variable_that_cannot_name_a_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="CLOUD_ML_TRIAL_ID"):
        read_cluster({"CLOUD_ML_TRIAL_ID": "../other"})


@pytest.mark.parametrize("trial", ["../other", "a/b", "a b", 1.5, True, ["1"], -1.0])
def test_a_trial_that_cannot_name_a_folder_is_refused(trial: Any) -> None:
    with pytest.raises(UsageError, match=r"TF_CONFIG's task \(or CLOUD_ML_TRIAL_ID\) has the trial"):
        read({}, {"trial": trial})


@pytest.mark.parametrize("chief", ["chief", "master"])
def test_the_chief_comes_first_and_parameter_servers_do_not_count(chief: str) -> None:
    jobs = {"ps": ["p:1"], "worker": ["b:2", "c:3"], chief: ["a:1"]}

    assert read(jobs, {"type": chief, "index": 0}) == Cluster(("a:1", "b:2", "c:3"), 0, "chief")
    assert read(jobs, {"type": "worker", "index": 1}) == Cluster(("a:1", "b:2", "c:3"), 2, "worker")
    assert read(jobs, {"type": "worker", "index": 1}).label == "worker 3 of 3: "


def test_a_cluster_of_workers_has_worker_0_as_its_chief() -> None:
    first, second = (read({"worker": ["a:1", "b:2"]}, {"type": "worker", "index": k}) for k in (0, 1))

    assert (first.is_chief, first.rank, second.is_chief, second.rank) == (True, 0, False, 1)


def test_a_chief_with_parameter_servers_only_is_on_its_own() -> None:
    assert read({"master": ["127.0.0.1:0"], "ps": ["p:1"]}, {"type": "master", "index": 0}).size == 1


@pytest.mark.parametrize("size", [2, 3, 50, 51, 100])
@pytest.mark.parametrize("processes", [2, 3, 7])
def test_the_shares_of_a_batch_make_up_the_batch_and_differ_by_one_row(size: int, processes: int) -> None:
    clusters = [Cluster(tuple(f"h:{k + 1}" for k in range(processes)), k) for k in range(processes)]
    if size < processes:
        with pytest.raises(UsageError, match=f"--batch_size is {size}, but {processes} processes"):
            clusters[0].rows(size, "--batch_size")
        return
    shares = [cluster.rows(size, "--batch_size") or Rows(0, 0, 0) for cluster in clusters]

    assert [row for share in shares for row in range(size)[share.part]] == list(range(size))
    counts = [share.stop - share.start for share in shares]
    assert max(counts) - min(counts) <= 1
    assert sum(share.weight for share in shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("role", "shares", "words"),
    [
        ("ps", True, "leave parameter servers out"),
        ("evaluator", True, "the chief evaluates"),
        ("worker", False, "the chief trains alone"),
        ("worker", True, ""),
        ("chief", False, ""),
    ],
)
def test_a_replica_with_nothing_to_do_says_why(role: str, shares: bool, words: str) -> None:
    cluster = read(TWO | {"ps": ["p:1"]}, {"type": role, "index": 0})
    reason = cluster.reason_to_leave(shares)

    assert words in reason
    assert bool(words) == bool(reason)


@pytest.mark.parametrize(
    ("cluster", "task", "words"),
    [
        (["a:1"], {}, "cluster is \\['a:1'\\], no object"),
        ({"wroker": ["a:1"]}, {}, "Did you mean 'worker'"),
        ({"worker": "a:1"}, {}, 'a list of "host:port"'),
        (TWO, {}, "no task type in TF_CONFIG 'None'"),
        (TWO, 3, "task is 3"),
        (TWO, {"type": "cheif", "index": 0}, "Did you mean 'chief'"),
        (TWO, {"type": "worker", "index": 1}, "this is worker 1, but its cluster has 1"),
        (TWO, {"type": "ps", "index": 0}, "this is ps 0, but its cluster has 0"),
        (TWO, {"type": "worker", "index": "0"}, "index '0'; it is a whole number"),
        (TWO, {"type": "worker", "index": -1}, "index -1"),
        (TWO | {"master": ["c:3"]}, {"type": "chief", "index": 0}, "2 chiefs and masters, a:1, c:3"),
        (TWO | {"worker": ["b"]}, {"type": "chief", "index": 0}, "address 'b'"),
        (TWO | {"worker": ["b:0"]}, {"type": "chief", "index": 0}, "address 'b:0'"),
        (TWO | {"worker": ["b:70000"]}, {"type": "chief", "index": 0}, "address 'b:70000'"),
        (TWO | {"worker": ["a:1"]}, {"type": "chief", "index": 0}, "address a:1 twice"),
    ],
)
def test_a_wrong_cluster_is_refused_with_what_is_wrong(cluster: Any, task: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(cluster, task)


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_what_is_no_json_object_is_refused_with_the_form_it_has(text: str) -> None:
    with pytest.raises(UsageError, match="TF_CONFIG looks like"):
        read_cluster({"TF_CONFIG": text})
