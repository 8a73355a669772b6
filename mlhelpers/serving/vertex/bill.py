"""What machines that serve will cost, as a table to read before they are started."""

from __future__ import annotations

from mlhelpers.cloud.prices import prices
from mlhelpers.jobs.base import Bill

__all__ = ["serving_bill"]


def serving_bill(what: str, region: str, machine: str, least: int, most: int, until: str) -> Bill:
    """Return the bill of one kind of machine, from the price file of the settings; a price not in it is unknown.

    Args:
        what: What runs on it.
        region: Where.
        machine: The machine type.
        least: How many at least.
        most: How many at most.
        until: Until when it costs, to complete "It costs that …".

    Raises:
        DataError: The price file cannot be read.
        UsageError: Something in it is not as it should be.
    """
    known = prices()
    each = None if known is None else known.per_hour(region, machine)
    row = {
        "what": what,
        "machine": machine,
        "machines": str(least) if least == most else f"{least} to {most}",
        "per_hour": "unknown",
    }
    if known is None or each is None:
        why = (
            "name a file of prices with MLHELPERS_PRICES"
            if known is None
            else f"the price file of {known.day} has none for {machine} in {region}"
        )
        return Bill((row,), (f"What it costs is not known here: {why}. It costs that {until}.",))
    span = f"{each * least:.2f}" if least == most else f"{each * least:.2f} to {each * most:.2f}"
    row["per_hour"] = f"{known.currency} {span}"
    return Bill((row,), (f"Prices of {known.day}. It costs that {until}.",))
