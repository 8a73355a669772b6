"""Google Cloud, as the rooms above need it: where, who asks, with which client, and what its refusals mean.

| file | what |
|---|---|
| `place.py` | `Place`: project, region, bucket and endpoint, from the settings |
| `access.py` | whose credentials are used, and what to do where there are none |
| `clients.py` | Google's own clients for a place, over REST |
| `refusals.py` | Google's errors as ours, with the cure; what is tried again, and what never twice |
| `prices.py` | what a machine costs per hour, from a file of the user's own |
| `ledger.py` | what was made in the cloud, on this disk, so that nothing is forgotten |

An endpoint on loopback (`mlhelpers emulator`) is asked without credentials; the requests are the same.

May import `errors` and `settings`. Google's packages are imported inside functions alone.
"""

from __future__ import annotations

from mlhelpers.cloud.clients import client
from mlhelpers.cloud.place import Place, place
from mlhelpers.cloud.refusals import asking, create_once

__all__ = ["Place", "asking", "client", "create_once", "place"]
