"""Training over three hosts: network namespaces of one machine, each with an address of its own and no other road."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers import datasets

# a bridge in a namespace of its own, and three hosts on it. /run is private, so that `ip netns` leaves no name behind.
HOSTS = """
set -e
mount -t tmpfs private /run
ip link add name bridge0 type bridge
ip link set dev bridge0 up
for k in 1 2 3; do
  ip netns add host$k
  ip link add name wire$k type veth peer name eth0 netns host$k
  ip link set dev wire$k master bridge0 up
  ip -n host$k addr add 10.77.0.$k/24 dev eth0
  ip -n host$k link set dev eth0 up
  ip -n host$k link set dev lo up
done
"""


def in_namespaces(script: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [
        "unshare",
        "--map-root-user",
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        HOSTS + script,
    ]
    return subprocess.run(command, text=True, capture_output=True, check=False, **more)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def _namespaces() -> None:
    missing = [tool for tool in ("unshare", "ip") if not shutil.which(tool)]
    reason = f"no {' and no '.join(missing)} here" if missing else in_namespaces("true", timeout=30).stderr.strip()
    if reason:
        pytest.skip(
            f"NO THREE HOSTS: network namespaces cannot be made ({reason}); as root, or where users may, they can"
        )


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.usefixtures("_namespaces")
def test_three_hosts_train_together_by_tf_config_alone(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    datasets.prepare("babyweight", data)
    cluster = {"chief": ["10.77.0.1:2222"], "worker": ["10.77.0.2:2222", "10.77.0.3:2222"]}  # the same port on each
    tasks = [("chief", 0), ("worker", 0), ("worker", 1)]
    for k, (role, index) in enumerate(tasks, 1):
        config = {"cluster": cluster, "task": {"type": role, "index": index}}
        (tmp_path / f"config{k}").write_text(json.dumps(config))
    flags = f"--data_dir={data} --output_dir={run} --train_examples=15 --batch_size=500"
    script = f"""
for k in 1 2 3; do
  TF_CONFIG=$(cat {tmp_path}/config$k) ip netns exec host$k \\
    {sys.executable} -m mlhelpers.trainers.babyweight {flags} >{tmp_path}/log$k 2>&1 &
  pids="$pids $!"
done
for pid in $pids; do code=0; wait $pid || code=$?; echo $code; done
"""
    done = in_namespaces(script, timeout=600, env=os.environ)
    logs = [(tmp_path / f"log{k}").read_text() for k in (1, 2, 3)]

    assert done.stdout.split() == ["0", "0", "0"], "\n".join([done.stderr, *logs])
    assert "after 30 steps" in logs[0]
    assert [log.splitlines()[-1].split(": ")[0] for log in logs[1:]] == ["worker 2 of 3", "worker 3 of 3"]
    assert json.loads((run / "metrics.json").read_text())["steps"] == 30
