"""Requests shared out over the versions of a model, in whole percent.

The versions take turns, as evenly as their shares allow, in a row of 100 that repeats: any 100 requests one after
another are split exactly. The row is that of smooth weighted round-robin (nginx, ngx_http_upstream_round_robin).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle

from mlhelpers.errors import UsageError

__all__ = ["PERCENT", "check_traffic", "rotation"]

PERCENT = 100


def check_traffic(traffic: Mapping[str, int]) -> None:
    """Refuse shares that are no whole percents of 100.

    Args:
        traffic: Version -> its share in percent, 0 to 100.

    Raises:
        UsageError: A share is no whole number from 0 to 100, or they do not sum to 100.
    """
    for version, share in traffic.items():
        if isinstance(share, bool) or not isinstance(share, int) or not 0 <= share <= PERCENT:
            raise UsageError(f"The share of {version!r} is {share!r}; it takes a whole percentage, 0 to 100.")
    if sum(traffic.values()) != PERCENT:
        shares = ", ".join(f"{version}={share}" for version, share in traffic.items())
        raise UsageError(f"The shares {shares or '(none)'} sum to {sum(traffic.values())}; they have to sum to 100.")


def rotation(traffic: Mapping[str, int]) -> Iterator[str]:
    """Return an endless row of versions, each as often as its share says.

    Args:
        traffic: Version -> its share in whole percent; they sum to 100.

    Returns:
        An iterator whose `next` is atomic, so that threads may share it. Any 100 in a row are split exactly.

    Raises:
        UsageError: As `check_traffic`.
    """
    check_traffic(traffic)
    row, credit = [], dict.fromkeys(traffic, 0)
    for _ in range(PERCENT):
        for version, share in traffic.items():
            credit[version] += share
        chosen = max(credit, key=lambda version: credit[version])
        credit[chosen] -= PERCENT
        row.append(chosen)
    return cycle(row)
