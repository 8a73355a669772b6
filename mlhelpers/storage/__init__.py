"""Files alike wherever they are: `gs://bucket/path` stands for a folder of the local store.

`paths` turns an address into a path and writes files whole; `files` finds, lists and deletes, `transfers` copies.

May import `errors` and `settings`. Every trainer's supervisor imports it, so it needs the standard library alone.
"""

from __future__ import annotations

from mlhelpers.storage.files import Entry, delete, exists, list_entries, make_bucket, plan_delete
from mlhelpers.storage.paths import bucket_path, local_path, write_aside
from mlhelpers.storage.transfers import Transfer, copy, plan_copy

__all__ = ["Entry", "Transfer", "bucket_path", "copy", "delete", "exists", "list_entries", "local_path"]
__all__ += ["make_bucket", "plan_copy", "plan_delete", "write_aside"]
