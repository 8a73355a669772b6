"""Prices per hour, from a dated file of the user's own: none is built in, for none that is would stay true.

The setting `prices` (MLHELPERS_PRICES) names the file, YAML or JSON. Copy the figures from Google's price list, or have
them made from the Cloud Billing Catalog API:

    date: 2026-11-01          # when they were looked up
    currency: USD
    region: us-central1       # where they hold; a job elsewhere has no price then
    machines:                 # per hour and machine, the service's own charge included
      n1-standard-4: 0.22
      n1-standard-8: 0.44
    accelerators:             # per hour and accelerator
      NVIDIA_TESLA_T4: 0.40

(The figures above only show the form.) What is not in the file is said to be unknown, and is never guessed. A price for
spot machines is a file of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, UsageError, unknown_name
from mlhelpers.settings import current

__all__ = ["TIERS_2019", "Prices", "prices", "read_prices"]

# US dollars per hour in the Americas from 2019 on, by the old service's price list ($0.49 per training unit)
TIERS_2019: Mapping[str, float] = {
    "BASIC": 0.19,
    "STANDARD_1": 1.988,
    "PREMIUM_1": 16.5536,
    "BASIC_GPU": 0.83,
    "BASIC_TPU": 4.69,
}
_FIELDS = ("date", "currency", "region", "machines", "accelerators")


@dataclass(frozen=True)
class Prices:
    """What machines cost per hour, in one region, on one day.

    Attributes:
        day: When the prices were looked up.
        currency: Three letters, for instance "USD".
        region: Where they hold.
        machines: Machine type -> price per hour.
        accelerators: Accelerator type -> price per hour, each.
    """

    day: date
    currency: str
    region: str
    machines: Mapping[str, float] = field(default_factory=dict)
    accelerators: Mapping[str, float] = field(default_factory=dict)

    def per_hour(
        self, region: str, machine_type: str, accelerator_type: str = "", accelerator_count: int = 0
    ) -> float | None:
        """Return what one machine costs per hour with its accelerators; None where that is not known.

        Args:
            region: Where it runs.
            machine_type: For instance "n1-standard-4".
            accelerator_type: For instance "NVIDIA_TESLA_T4"; empty for none.
            accelerator_count: How many of them.
        """
        price = self.machines.get(machine_type)
        if region != self.region or price is None:
            return None
        if not accelerator_type:
            return price
        each = self.accelerators.get(accelerator_type)
        return None if each is None else price + each * accelerator_count


def prices() -> Prices | None:
    """Return the prices that the settings name, or None where they name none.

    Raises:
        DataError: The file cannot be read.
        UsageError: Something in it is not as it should be.
    """
    path = current().prices
    return None if path is None else read_prices(Path(path).expanduser())


def read_prices(path: Path) -> Prices:
    """Read a file of prices, as the module's text describes it.

    Args:
        path: The file, YAML or JSON.

    Raises:
        DataError: It cannot be read.
        UsageError: Something in it is not as it should be; the message names it.
    """
    import yaml

    try:
        told = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise DataError(f"The prices in {path} cannot be read: {reason}. Mend MLHELPERS_PRICES.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"The prices in {path} are neither YAML nor JSON: {' '.join(str(error).split())}") from error
    try:
        return _prices(told)
    except UsageError as error:
        raise UsageError(f"The prices in {path}: {error}") from None


def _prices(told: Any) -> Prices:
    if not isinstance(told, Mapping):
        raise UsageError(f"a mapping of {', '.join(_FIELDS)} is wanted, and here is {str(told)[:60]!r}.")
    for name in told:
        if name not in _FIELDS:
            raise unknown_name("field of a price file", name, _FIELDS)
    for name in _FIELDS[:3]:
        if name not in told:
            raise UsageError(f"{name} is missing. A price without its {name} says nothing.")
    currency, region = told["currency"], told["region"]
    if not isinstance(currency, str) or not re.fullmatch(r"[A-Z]{3}", currency):
        raise UsageError(f"currency is {currency!r}. Write three letters, as USD.")
    if not isinstance(region, str) or not region:
        raise UsageError(f"region is {region!r}. Write one as us-central1.")
    return Prices(_day(told["date"]), currency, region, *(_table(told, name) for name in _FIELDS[3:]))


def _day(told: Any) -> date:
    try:
        day = told if type(told) is date else date.fromisoformat(told)
    except (TypeError, ValueError):
        raise UsageError(f"date is {told!r}. Write the day as 2026-11-01.") from None
    if day > date.today():
        raise UsageError(f"date is {day}, a day that is still to come. Write the day on which you looked them up.")
    return day


def _table(told: Mapping[str, Any], name: str) -> dict[str, float]:
    table = told.get(name) or {}
    if not isinstance(table, Mapping):
        raise UsageError(f"{name} is {table!r}. Write one line each, TYPE: PRICE.")
    found: dict[str, float] = {}
    for kind, price in table.items():
        is_number = isinstance(price, int | float) and not isinstance(price, bool)
        if not isinstance(kind, str) or not is_number or not math.isfinite(price) or price < 0:
            raise UsageError(f"{name} has {kind}: {price!r}. Write a price per hour as a number, for instance 0.22.")
        found[kind] = float(price)
    return found
