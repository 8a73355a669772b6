"""What is looked at before money is spent."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from vertex import Vertex

from mlhelpers import jobs
from mlhelpers.cloud import ledger, place
from mlhelpers.cloud.place import Place
from mlhelpers.errors import MLHelpersError, UsageError
from mlhelpers.jobs import Bill, JobSpec
from mlhelpers.jobs.vertex.checks import bill_of, check_bucket
from mlhelpers.settings import using

_PRICES = {
    "date": "2026-01-02",
    "currency": "EUR",
    "region": "us-central1",
    "machines": {"n1-standard-8": 0.5, "n1-standard-4": 0.25},
    "accelerators": {"NVIDIA_TESLA_T4": 0.5},
}


def _bill(tmp_path: Path, prices: dict[str, Any] | None, expected_s: float | None = None, **fields: Any) -> Bill:
    plan = jobs.plan(JobSpec("first", "mlhelpers.trainers.mnist", **fields), "vertex")
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(prices or {}))
    with using(prices=str(path) if prices else None):
        return bill_of(plan, "us-central1", expected_s)


def test_a_bill_adds_up_machines_and_accelerators(tmp_path: Path) -> None:
    bill = _bill(tmp_path, _PRICES, 5400, scale_tier="BASIC_GPU", max_running_s=7200)

    (row,) = bill.rows
    assert row == {
        "pool": "master",
        "machine": "n1-standard-8",
        "count": "1",
        "accelerators": "1 NVIDIA_TESLA_T4",
        "per_hour": "1.00 EUR",
    }
    told = " ".join(bill.lines)
    assert "Together 1.00 EUR per hour, by the prices of 2026-01-02 for us-central1." in told
    assert "For the 1.5 h that it is expected to run: 1.50 EUR." in told
    assert "ended after 2 h at the latest, that is for 2.00 EUR" in told
    assert "In 2019 the tier BASIC_GPU cost 0.83 USD per hour" in told


def test_a_tier_of_many_machines_is_paid_for_each(tmp_path: Path) -> None:
    bill = _bill(tmp_path, _PRICES, scale_tier="STANDARD_1")

    assert [row["per_hour"] for row in bill.rows] == ["0.50 EUR", "2.00 EUR", "0.75 EUR"]
    assert bill.lines[0].startswith("Together 3.25 EUR per hour")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machines": {"n1-standard-4": 1}}, "no price for every machine"),
        ({"accelerators": {}}, "no price for every machine"),
        ({"region": "europe-west4"}, "is for europe-west4, and the job runs in us-central1"),
    ],
)
def test_a_price_that_is_not_there_is_unknown_and_never_guessed(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    bill = _bill(tmp_path, _PRICES | change, scale_tier="BASIC_GPU")

    assert bill.rows[0]["per_hour"] == "unknown"
    assert "Together" not in " ".join(bill.lines)
    assert said in " ".join(bill.lines)


def test_without_a_price_file_nothing_is_said_but_the_price_of_2019(tmp_path: Path) -> None:
    bill = _bill(tmp_path, None)

    assert bill.rows[0]["per_hour"] == "unknown"
    assert any("MLHELPERS_PRICES" in line for line in bill.lines)
    assert any("In 2019 the tier BASIC cost 0.19 USD" in line for line in bill.lines)


def test_a_job_without_a_bucket_is_refused_with_the_command_that_makes_one() -> None:
    with pytest.raises(UsageError, match=r"mlhelpers storage mb gs://my-bucket --location us-central1"):
        check_bucket("BUCKET", Place("my-project", "us-central1"))


def test_a_bucket_that_is_not_there_is_refused(vertex: Vertex) -> None:
    with pytest.raises(MLHelpersError, match="nowhere-to-be-seen"):
        check_bucket("nowhere-to-be-seen", place())


@pytest.mark.parametrize(
    ("location", "location_type", "said"),
    [
        ("us", "multi-region", r"is spread over us \(multi-region\)"),
        ("europe-west4", "region", "lies in europe-west4, and the job would run in us-central1.*--region europe-west4"),
    ],
)
def test_a_bucket_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, location: str, location_type: str, said: str
) -> None:
    from mlhelpers.storage import cloud

    # the server on loopback knows one location alone, so the answer is put in its place
    monkeypatch.setattr(cloud, "bucket_facts", lambda *_: cloud.BucketFacts(location, location_type, True))
    with pytest.raises(UsageError, match=said):
        check_bucket("mine", Place("my-project", "us-central1"))


@pytest.mark.slow
def test_a_package_is_sent_installed_and_run_and_sent_once(
    vertex: Vertex, write_trainer: Callable[..., Path], tmp_path: Path
) -> None:
    package = write_trainer("import trainer, sys\nprint('runs from', trainer.__file__)\nprint(sys.argv[1:])")
    spec = JobSpec("packed", "trainer.task", package_path=package, job_dir="gs://staging/out", args=["--x"])

    job = jobs.submit(spec)
    shutil.rmtree(package)  # what was sent is what runs

    job.wait(120, progress=False)
    said = [entry.message for entry in job.follow("master-replica-0")]
    assert "site-packages" in next(line for line in said if line.startswith("runs from"))
    assert said[-1] == "['--x', '--job-dir', 'gs://staging/out']"
    (address,) = job.describe()["trainingInput"]["packageUris"]
    sent = vertex.home / "buckets" / address.removeprefix("gs://")
    assert sent.name == "trainer-0.0.0.tar.gz"
    assert sent.is_file()
    assert sorted((one.kind, bool(one.name)) for one in ledger.entries()) == [("custom_job", True), ("object", True)]
    assert sent.parent.name in next(one.name for one in ledger.entries() if one.kind == "object")
