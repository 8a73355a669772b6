"""Buckets of Cloud Storage: in one region, noted before they are asked for, never made twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, Proxy, google_error

from mlhelpers import settings, storage
from mlhelpers.cloud import Place, ledger, place
from mlhelpers.errors import CloudError, DataError, UsageError
from mlhelpers.storage import cloud

_MADE = r"/b\?"


def _bodies(wire: Proxy) -> list[dict[str, Any]]:
    """Return a list that fills with what is sent to make buckets."""
    seen: list[dict[str, Any]] = []
    wire.add(Fault("POST", _MADE, times=99, send=lambda body: seen.append(json.loads(body)) or body))
    return seen


def test_a_bucket_is_regional_with_uniform_access_and_closed_to_the_public(gcs_wire: Proxy) -> None:
    bodies = _bodies(gcs_wire)

    assert storage.make_bucket("gs://regional-one/") == storage.CloudPath("regional-one")

    (body,) = bodies
    access = body["iamConfiguration"]
    assert (body["name"], body["location"], body["storageClass"]) == ("regional-one", "us-central1", "STANDARD")
    assert access["uniformBucketLevelAccess"] == {"enabled": True}
    assert access["publicAccessPrevention"] == "enforced"
    (entry,) = ledger.entries()
    assert (entry.kind, entry.name, entry.region) == ("bucket", "gs://regional-one", "us-central1")
    assert body["labels"] == {"mlhelpers_mark": entry.mark}

    storage.delete(storage.plan_delete(["gs://regional-one"], recursive=True))
    assert ledger.entries() == []


def test_location_project_and_class_have_effect(gcs_wire: Proxy) -> None:
    bodies = _bodies(gcs_wire)

    storage.make_bucket("gs://elsewhere-one", "EUROPE-WEST4", "other-project", "nearline")

    assert (bodies[0]["location"], bodies[0]["storageClass"]) == ("europe-west4", "NEARLINE")
    assert "project=other-project" in gcs_wire.passed[-1].target
    assert cloud.bucket_facts("elsewhere-one", place()) == cloud.BucketFacts(
        "us-central1", "region", None
    )  # its only one


def test_what_google_says_of_access_is_read(gcs_wire: Proxy, cloud_bucket: str) -> None:
    # this server forgets it: what Google's says is put into its answer
    said = b'{"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": true}}, '
    gcs_wire.add(Fault("GET", "/b/", damage=lambda body: said + body.lstrip()[1:]))

    assert cloud.bucket_facts(cloud_bucket[5:], place()).uniform_access is True
    with pytest.raises(DataError, match="no bucket gs://no-such-thing"):
        cloud.bucket_facts("no-such-thing", place())


@pytest.mark.parametrize("location", ["us", "EU", "nam4", "us-central1-a"])
def test_a_multi_region_is_refused_with_the_reason(gcs_wire: Proxy, location: str) -> None:
    with pytest.raises(UsageError, match=r"jobs need a bucket in a single region.*--location us-central1"):
        storage.make_bucket("gs://too-wide", location)
    assert gcs_wire.asked == []
    assert ledger.entries() == []


def test_an_unknown_class_is_refused(gcs_wire: Proxy) -> None:
    with pytest.raises(UsageError, match=r"no storage class 'nearlin'. Did you mean 'nearline'"):
        storage.make_bucket("gs://some-bucket", storage_class="nearlin")
    assert gcs_wire.asked == []


def test_a_name_that_is_taken_is_told_and_not_on_the_ledger(gcs_wire: Proxy, cloud_bucket: str) -> None:
    before = ledger.entries()
    with pytest.raises(DataError, match=f"There is a bucket {cloud_bucket} already, yours or somebody else's"):
        storage.make_bucket(cloud_bucket)
    assert ledger.entries() == before


def test_a_bucket_whose_answer_was_lost_is_found_by_its_mark(gcs_wire: Proxy) -> None:
    # this server forgets labels: what Google's keeps is put into its answer
    def marked(body: bytes) -> bytes:
        return json.dumps(json.loads(body) | {"labels": {"mlhelpers_mark": ledger.entries()[0].mark}}).encode()

    gcs_wire.add(Fault("POST", _MADE, cut="after"), Fault("GET", "/b/lost-answer", damage=marked, times=9))

    storage.make_bucket("gs://lost-answer")

    assert gcs_wire.count("POST", _MADE) == 1
    assert [entry.name for entry in ledger.entries()] == ["gs://lost-answer"]


def test_a_refusal_leaves_nothing_on_the_ledger(gcs_wire: Proxy) -> None:
    said = "x@y does not have storage.buckets.create access. Permission 'storage.buckets.create' denied on resource"
    gcs_wire.add(Fault("POST", _MADE, status=403, body=google_error(403, said)))

    with pytest.raises(CloudError, match=r"permission storage\.buckets\.create is missing.*roles/storage\.admin"):
        storage.make_bucket("gs://not-allowed")
    assert ledger.entries() == []


def test_without_a_project_it_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="needs a project, and none is set"):
        storage.exists("gs://some-bucket", backend="vertex")


def test_without_credentials_it_says_the_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    settings.use("vertex", project="test-project")

    with pytest.raises(CloudError, match=r"No credentials for Google Cloud are there. Log in once:  gcloud auth"):
        storage.exists("gs://some-bucket/x")


def test_vertex_on_this_machine_never_sends_files_to_google(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Place("test-project", "us-central1", None, "http://127.0.0.1:1")

    with pytest.raises(UsageError, match="STORAGE_EMULATOR_HOST names no Cloud Storage beside it"):
        cloud.bucket_facts("some-bucket", here)
