"""Files alike wherever they are: `gs://bucket/path` is a folder of the local store, or Cloud Storage itself.

| file | what |
|---|---|
| `paths.py` | addresses as paths; files that are written whole or not at all |
| `stores.py` | what keeps buckets, one line a backend, and the one place that chooses |
| `local.py` | the local store: folders of this machine |
| `cloud/` | Cloud Storage, by Google's own client |
| `files.py`, `transfers.py`, `opening.py` | over both: find, list and delete; copy; open |

`backend="local"` or `"vertex"` chooses; without it the setting does. Google has no say over a plain path.

May import `cloud`, `errors` and `settings`. Every trainer's supervisor imports it, so it needs the standard library
alone until Cloud Storage is asked.
"""

from __future__ import annotations

from mlhelpers.storage.files import delete, exists, list_entries, make_bucket, plan_delete
from mlhelpers.storage.opening import open_file
from mlhelpers.storage.paths import CloudPath, bucket_path, local_path, write_aside
from mlhelpers.storage.stores import Entry
from mlhelpers.storage.transfers import Transfer, copy, plan_copy

__all__ = ["CloudPath", "Entry", "Transfer", "bucket_path", "copy", "delete", "exists", "list_entries", "local_path"]
__all__ += ["make_bucket", "open_file", "plan_copy", "plan_delete", "write_aside"]
