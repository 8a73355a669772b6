"""Buckets of Cloud Storage: made in one region for the jobs that run there, looked at, deleted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mlhelpers.cloud import Place, create_once, ledger
from mlhelpers.errors import CloudError, DataError, UsageError, unknown_name
from mlhelpers.storage.cloud.access import BUCKET_ROLE, asking, client, patience

__all__ = ["BucketFacts", "bucket_facts", "delete_bucket", "make_bucket"]

_REGION = re.compile(r"[a-z]+(?:-[a-z]+)+\d+")
# gsutil's word "regional" is today's "standard" in a region
_CLASSES = {"standard": "STANDARD", "regional": "STANDARD"}
_CLASSES |= {name.lower(): name for name in ("NEARLINE", "COLDLINE", "ARCHIVE")}


@dataclass(frozen=True)
class BucketFacts:
    """What jobs must know of a bucket; from the resource `Bucket` of Cloud Storage's JSON API.

    Attributes:
        location: Lower-case, for instance "us-central1", or "us" for a multi-region.
        location_type: "region", "dual-region" or "multi-region".
        uniform_access: Whether rights are the bucket's alone; None where the service does not say.
    """

    location: str
    location_type: str
    uniform_access: bool | None


def bucket_facts(bucket: str, place: Place) -> BucketFacts:
    """Return what jobs must know of a bucket. It is asked; nothing is changed.

    Args:
        bucket: Its bare name.
        place: Whose credentials ask.

    Raises:
        DataError: There is no such bucket.
        CloudError: Google Cloud refused.
    """
    with asking(f"look at the bucket gs://{bucket}", bucket, BUCKET_ROLE):
        found = client(place).get_bucket(bucket, retry=patience())
    properties = found._properties  # whether uniform access is said at all shows nowhere else
    uniform = properties.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {}).get("enabled")
    return BucketFacts(str(found.location).lower(), str(found.location_type or "region"), uniform)


def make_bucket(bucket: str, place: Place, location: str | None = None, storage_class: str | None = None) -> str:
    """Make a bucket in one region, with uniform access and public access prevented; the ledger has it from before.

    Args:
        bucket: Its bare name.
        place: Whose it is, and the jobs' region.
        location: Another region than the jobs'.
        storage_class: "standard" (the default), "nearline", "coldline" or "archive".

    Returns:
        Its region.

    Raises:
        UsageError: The location is no region, or there is no such class.
        DataError: The name is taken, by you or by somebody else: names are one for all of Google Cloud.
        CloudError: Google Cloud refused.
    """
    from google.api_core import exceptions

    region = (location or place.region).lower()
    if not _REGION.fullmatch(region):
        raise UsageError(
            f"The location {location!r} is refused: jobs need a bucket in a single region, their own, and not in a "
            f"multi-region or a pair of regions. Write the jobs' region:  --location {place.region}"
        )
    kind = (storage_class or "standard").lower()
    if kind not in _CLASSES:
        raise unknown_name("storage class", storage_class, _CLASSES)
    asked = client(place)
    entry = ledger.intend("bucket", place.project, region, bucket, place.endpoint)
    made = asked.bucket(bucket)
    made.storage_class = _CLASSES[kind]
    made.labels = {"mlhelpers_mark": entry.mark}
    made.iam_configuration.uniform_bucket_level_access_enabled = True
    made.iam_configuration.public_access_prevention = "enforced"

    def find() -> Any:
        found = asked.lookup_bucket(bucket, retry=patience())
        return found if found is not None and found.labels.get("mlhelpers_mark") == entry.mark else None

    try:
        with asking(f"make the bucket gs://{bucket}", bucket, BUCKET_ROLE):
            create_once(lambda: asked.create_bucket(made, location=region, retry=None), find)
    except CloudError as error:
        if isinstance(error.__cause__, exceptions.Conflict):
            ledger.forget(entry)
            raise DataError(
                f"There is a bucket gs://{bucket} already, yours or somebody else's: names are one for all of Google "
                "Cloud. Use it if it is yours, or take another name, for instance with your project's before it."
            ) from None
        if isinstance(error.__cause__, exceptions.ClientError):  # a refusal, so there is nothing
            ledger.forget(entry)
        raise
    ledger.made(entry, f"gs://{bucket}")
    return region


def delete_bucket(bucket: str, place: Place) -> None:
    """Delete an empty bucket, and take it off the ledger; one that is gone already is no error.

    Raises:
        CloudError: Google Cloud refused, for instance as something is in it.
    """
    asked = client(place)
    with asking(f"delete the bucket gs://{bucket}", bucket, BUCKET_ROLE):
        if asked.lookup_bucket(bucket, retry=patience()) is not None:
            asked.bucket(bucket).delete(retry=patience())
    for entry in ledger.entries():
        if (entry.kind, entry.name) == ("bucket", f"gs://{bucket}"):
            ledger.forget(entry)
