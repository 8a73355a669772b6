"""Births as they were recorded: one format for every source, and the steps from a birth to the trainer's rows.

The format: `year`, `month`, `weight_pounds`, `is_male`, `mother_age`, `plurality`, `gestation_weeks`, as the public
table of births names them. The steps: `clean` (the tutorial's filter), `as_recorded` (numbers become the words that the
model takes) and `without_ultrasound` (what would be known before an ultrasound picture was made).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.babyweight.files import COLUMNS, VOCABULARY, import_polars
from mlhelpers.datasets.babyweight.split import MONTHS, month_of_key
from mlhelpers.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "RAW_COLUMNS",
    "as_recorded",
    "clean",
    "from_sample",
    "lines",
    "part_columns",
    "read_births",
    "without_ultrasound",
]

RAW_COLUMNS = ("year", "month", "weight_pounds", "is_male", "mother_age", "plurality", "gestation_weeks")

_BATCH_ROWS = 250_000
_YEARS = (MONTHS[0][0], 2099)


def read_births(path: Path) -> Iterator[pl.DataFrame]:
    """Read births from CSV in pieces, so that memory stays flat over any number of them.

    Args:
        path: A CSV file (a gzipped one is unpacked in memory) whose header names at least `RAW_COLUMNS`, in any order;
            `is_male` is true or false; empty fields are allowed and left out by `clean`.

    Yields:
        Tables of up to some hundred thousand births with `RAW_COLUMNS`.

    Raises:
        DataError: The file cannot be read, a column is missing, or a value is not of its kind.
    """
    polars = import_polars()
    numbers: dict[str, Any] = dict.fromkeys(RAW_COLUMNS, polars.Float64) | {"is_male": polars.String}
    try:
        with path.open("rb"):
            table = polars.scan_csv(path, schema_overrides=numbers, infer_schema=False, low_memory=True)
        missing = [name for name in RAW_COLUMNS if name not in table.collect_schema().names()]
        if missing:
            raise DataError(
                f"{path} has no column {missing[0]!r}. Its header must name {','.join(RAW_COLUMNS)}; "
                f"it names {','.join(table.collect_schema().names()[:10])}."
            )
        spoken = polars.col("is_male").str.to_lowercase()
        unknown = spoken.is_not_null() & ~spoken.is_in(["true", "false"])
        table = table.select(RAW_COLUMNS).with_columns(spoken.eq("true").alias("is_male"), unknown.alias("_unknown"))
        for batch in table.collect_batches(chunk_size=_BATCH_ROWS, engine="streaming"):
            if batch["_unknown"].any():
                raise DataError(f"{path} holds an is_male that is neither true nor false (empty is allowed).")
            yield batch.drop("_unknown")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except polars.exceptions.PolarsError as error:
        text = str(error).splitlines()[0]
        raise DataError(f"{path} is no CSV file of births with numbers in {','.join(RAW_COLUMNS)}: {text}") from error


def from_sample(files: list[Path]) -> pl.DataFrame:
    """Turn the public sample of real births back into births: every one stands there twice.

    Its rows are the trainer's; those with `is_male` Unknown are the second, "without ultrasound", and left out. The
    key is the absolute fingerprint of the month.

    Raises:
        DataError: A file is malformed, or a key is no month's.
    """
    polars = import_polars()
    schema = dict.fromkeys(COLUMNS, polars.String) | {
        "weight_pounds": polars.Float64,
        "mother_age": polars.Float64,
        "gestation_weeks": polars.Float64,
        "key": polars.UInt64,
    }
    try:
        rows = polars.concat([polars.read_csv(path, has_header=False, schema=schema) for path in files])
    except polars.exceptions.PolarsError as error:
        raise DataError(f"{files[0].parent} holds no sample of births: {str(error).splitlines()[0]}") from error
    rows = rows.filter(polars.col("is_male") != "Unknown")
    months = [month_of_key(key) for key in rows["key"].to_list()]
    number = {word: place for place, word in enumerate(VOCABULARY["plurality"], start=1)}
    table: pl.DataFrame = rows.select(
        polars.Series("year", [year for year, _ in months], polars.Float64),
        polars.Series("month", [month for _, month in months], polars.Float64),
        "weight_pounds",
        polars.col("is_male").eq("True"),
        "mother_age",
        polars.col("plurality").replace_strict(number, return_dtype=polars.Float64),
        "gestation_weeks",
    )
    return table


def clean(births: pl.DataFrame) -> pl.DataFrame:
    """Keep the births that the tutorial keeps: after 2000, and weight, age, plurality, weeks, month known and above 0.

    Year, month, age and plurality become whole numbers; weight and weeks stay as they are.

    Births whose sex is not recorded, or of more than five, have no word in the vocabulary and are left out too.
    """
    polars = import_polars()
    known = [polars.col(name) > 0 for name in ("weight_pounds", "mother_age", "gestation_weeks")]
    kept = births.filter(
        polars.col("year").is_between(*_YEARS),
        polars.col("month").is_between(1, 12),
        polars.col("plurality").is_between(1, 5),
        polars.col("is_male").is_not_null(),
        polars.all_horizontal(known),
    )
    whole: dict[Any, Any] = {
        "year": polars.Int16,
        "month": polars.Int8,
        "mother_age": polars.Int16,
        "plurality": polars.Int8,
    }
    return kept.cast(whole)


def as_recorded(births: pl.DataFrame) -> pl.DataFrame:
    """Turn births into the trainer's columns, as recorded: sex and number of children in words."""
    polars = import_polars()
    words = dict(enumerate(VOCABULARY["plurality"][:5], start=1))
    return births.with_columns(
        polars.when("is_male").then(polars.lit("True")).otherwise(polars.lit("False")).alias("is_male"),
        polars.col("plurality").replace_strict(words, return_dtype=polars.String),
    )


def without_ultrasound(recorded: pl.DataFrame) -> pl.DataFrame:
    """Return the same births as one knows them without an ultrasound picture: sex unknown, one child or several.

    The tutorial writes every birth twice, as recorded and like this, so that one model answers in both cases. It must
    come after the split: else the two rows of a birth can land on both sides.
    """
    polars = import_polars()
    single, several = VOCABULARY["plurality"][0], VOCABULARY["plurality"][-1]
    one = polars.col("plurality") == single
    return recorded.with_columns(
        polars.lit("Unknown").alias("is_male"),
        polars.when(one).then(polars.lit(single)).otherwise(polars.lit(several)).alias("plurality"),
    )


def lines(rows: pl.DataFrame) -> pl.Series:
    """Return the five values of each row, joined by commas, as they stand in the trainer's files (without the key)."""
    polars = import_polars()
    return rows.select(polars.concat_str(*COLUMNS[:-1], separator=",").alias("line"))["line"]


def part_columns(rows: pl.DataFrame, keys: list[str]) -> Mapping[str, NDArray[Any]]:
    """Return rows as the columns of a `Split`."""
    columns: dict[str, NDArray[Any]] = {
        name: rows[name].to_numpy().astype(np.float32) for name in ("weight_pounds", "mother_age", "gestation_weeks")
    }
    columns |= {name: rows[name].to_numpy().astype(np.str_) for name in ("is_male", "plurality")}
    columns |= {"key": np.array(keys, np.str_)}
    columns |= {name: rows[name].to_numpy().astype(np.int64) for name in ("year", "month")}
    return {name: columns[name] for name in (*COLUMNS, "year", "month")}
