"""Cloud Storage as a keeper of buckets, by Google's own client.

| file | what |
|---|---|
| `access.py` | the client, how long it is patient, and what its refusals mean |
| `buckets.py` | `bucket_facts`; a bucket made in one region, and deleted |
| `listing.py` | `CloudStore`: what is there, by address and wildcards; deletion |
| `objects.py` | `upload`, `download`, `transfer`: one file, checked by its CRC-32C on both ends |

Not run against Google's own service, for want of an account: the client is Google's, the server in the tests is
fake-gcs-server on loopback, with faults put in between.
"""

from __future__ import annotations

from mlhelpers.cloud import place
from mlhelpers.storage.cloud.buckets import BucketFacts, bucket_facts
from mlhelpers.storage.cloud.listing import CloudStore
from mlhelpers.storage.cloud.objects import download, look, transfer, upload

__all__ = ["BucketFacts", "CloudStore", "bucket_facts", "download", "look", "store", "transfer", "upload"]


def store() -> CloudStore:
    """Return Cloud Storage as the settings in force name it.

    Raises:
        UsageError: No project is set.
    """
    return CloudStore(place())
