"""Babyweight: predict a baby's weight from what is known before the birth."""

from __future__ import annotations

from mlhelpers.datasets.babyweight.files import COLUMNS, FEATURES, VOCABULARY, find_shards, read_csv

__all__ = ["COLUMNS", "FEATURES", "VOCABULARY", "find_shards", "read_csv"]
