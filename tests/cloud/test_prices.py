"""Prices come from a dated file, read strictly."""

from __future__ import annotations

import inspect
import textwrap
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhelpers.cloud import prices as module
from mlhelpers.cloud.prices import Prices, prices, read_prices
from mlhelpers.errors import DataError, UsageError
from mlhelpers.settings import using

_GOOD = {"date": date(2026, 1, 2), "currency": "USD", "region": "us-central1", "machines": {"n1-standard-4": 0.2}}


def _written(tmp_path: Path, told: Any) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


def test_the_example_in_the_text_is_a_price_file(tmp_path: Path) -> None:
    text = inspect.getdoc(module) or ""
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    path = tmp_path / "prices.yaml"
    path.write_text(textwrap.dedent("\n".join(lines)).replace("2026-11-01", "2026-01-01"))

    found = read_prices(path)

    assert found.per_hour("us-central1", "n1-standard-8", "NVIDIA_TESLA_T4", 2) == pytest.approx(0.44 + 2 * 0.40)


def test_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"date": "2026-01-02", "currency": "USD", "region": "r-a1", "machines": {"m": 1}}')

    assert read_prices(path) == Prices(date(2026, 1, 2), "USD", "r-a1", {"m": 1.0}, {})


def test_no_file_is_no_price(tmp_path: Path) -> None:
    assert prices() is None
    with using(prices=str(_written(tmp_path, _GOOD))):
        found = prices()
    assert found is not None
    assert found.per_hour("us-central1", "n1-standard-4") == 0.2
    assert found.per_hour("europe-west4", "n1-standard-4") is None
    assert found.per_hour("us-central1", "n1-standard-8") is None
    assert found.per_hour("us-central1", "n1-standard-4", "NVIDIA_L4", 1) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machinse": {}}, "Did you mean 'machines'"),
        ({"currency": "dollars"}, "three letters"),
        ({"currency": None}, "three letters"),
        ({"region": ""}, "region is ''"),
        ({"date": "yesterday"}, "Write the day as"),
        ({"date": date(2999, 1, 1)}, "still to come"),
        ({"machines": {"m": "0.2"}}, "Write a price per hour as a number"),
        ({"machines": {"m": -1}}, "Write a price per hour as a number"),
        ({"machines": {"m": True}}, "Write a price per hour as a number"),
        ({"machines": {"m": float("nan")}}, "Write a price per hour as a number"),
        ({"machines": ["m"]}, "one line each"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=rf"prices\.yaml: .*{said}"):
        read_prices(_written(tmp_path, _GOOD | change))


@pytest.mark.parametrize("field", ["date", "currency", "region"])
def test_a_price_without_its_day_currency_or_region_is_none(tmp_path: Path, field: str) -> None:
    with pytest.raises(UsageError, match=f"{field} is missing"):
        read_prices(_written(tmp_path, {name: value for name, value in _GOOD.items() if name != field}))


def test_a_file_that_is_not_there_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_prices(tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("{")
    with pytest.raises(UsageError, match="neither YAML nor JSON"):
        read_prices(bad)
    with pytest.raises(UsageError, match="a mapping of date"):
        read_prices(_written(tmp_path, [1]))
