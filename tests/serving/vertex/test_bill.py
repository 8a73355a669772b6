"""What a deployment costs is told before: by the reader's own price file, or as unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhelpers import settings
from mlhelpers.serving import BatchSpec, batch
from mlhelpers.serving.vertex.bill import serving_bill
from mlhelpers.serving.vertex.registry import VertexRegistry


@pytest.fixture
def price_file(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text("date: 2026-11-01\ncurrency: USD\nregion: us-central1\nmachines: {n1-standard-2: 0.25}\n")
    return path


def test_a_price_that_is_not_known_is_said_to_be_unknown(price_file: Path) -> None:
    bill = serving_bill("MNIST/v1", "us-central1", "n1-standard-2", 1, 1, "until it is undeployed")
    with settings.using(prices=price_file):
        other = serving_bill("MNIST/v1", "us-central1", "n1-highcpu-4", 1, 1, "until it is undeployed")

    assert bill.rows[0]["per_hour"] == other.rows[0]["per_hour"] == "unknown"
    assert "MLHELPERS_PRICES" in bill.lines[0]
    assert "has none for n1-highcpu-4 in us-central1" in other.lines[0]


def test_a_known_price_is_times_the_machines(price_file: Path) -> None:
    with settings.using(prices=price_file):
        bill = serving_bill("MNIST/v1", "us-central1", "n1-standard-2", 2, 4, "until it is undeployed")

    assert (bill.rows[0]["machines"], bill.rows[0]["per_hour"]) == ("2 to 4", "USD 0.50 to 1.00")
    assert bill.lines == ("Prices of 2026-11-01. It costs that until it is undeployed.",)


def test_what_deploys_has_a_bill_and_what_only_uploads_has_none(tiny_export: Path) -> None:
    settings.use(project="test-project", bucket="staging")
    models = VertexRegistry()

    deployed = models.bill(models.plan_version("MNIST", "v1", tiny_export))

    assert deployed is not None
    assert "versions undeploy v1 --model MNIST" in deployed.lines[0]
    assert models.bill(models.plan_version("MNIST", "v1", tiny_export, deploy=False)) is None
    settings.use(vertex_endpoint="http://127.0.0.1:9")  # an emulator costs nothing
    assert models.bill(models.plan_version("MNIST", "v1", tiny_export)) is None


def test_a_batch_has_a_bill() -> None:
    settings.use(project="test-project", bucket="staging")
    place = batch.place("vertex")

    bill = place.bill(place.plan(BatchSpec("births", ["gs://staging/in"], "gs://staging/out", model="MNIST")))

    assert bill is not None
    assert bill.rows[0]["machines"] == "1 to 10"
