"""Babyweight: predict a baby's weight in pounds from what is known before the birth.

One format of births, four places they come from: a shipped sample of 25,000 **synthetic** births (the default), a
sample of 16,513 real ones from a mirror or its public address, and BigQuery's public table of all births. From there
one road: clean, split by month, write each birth twice (with and without ultrasound), save in shards. Taught in
notebook 03.

Rooms: `births` (format and steps), `split`, `files` (shards), `synthetic` (the generator), `bigquery`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from mlhelpers.datasets.babyweight import bigquery, births, files, split
from mlhelpers.datasets.babyweight.births import RAW_COLUMNS, without_ultrasound
from mlhelpers.datasets.babyweight.files import COLUMNS, FEATURES, VOCABULARY, find_shards, read_csv
from mlhelpers.datasets.babyweight.split import MONTHS, fingerprint, is_eval_month
from mlhelpers.datasets.base import DataFile, Split, fetch
from mlhelpers.errors import DataError, UsageError, unknown_name
from mlhelpers.settings import current
from mlhelpers.storage import local_path

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "COLUMNS",
    "FEATURES",
    "FILES",
    "MONTHS",
    "RAW_COLUMNS",
    "SOURCES",
    "SUMMARY",
    "VOCABULARY",
    "find_shards",
    "fingerprint",
    "is_eval_month",
    "load",
    "load_births",
    "prepare",
    "read_csv",
    "request",
    "without_ultrasound",
]

_log = logging.getLogger(__name__)

SUMMARY = "25,000 synthetic births (shipped), a sample of 16,513 real ones, or BigQuery's whole table"

SOURCES = ("shipped", "mirror", "public", "bigquery")

_PUBLIC = "https://github.com/GoogleCloudPlatform/training-data-analyst/raw/a3083130c24b/"
_PUBLIC += "courses/machine_learning/deepdive/06_structured/"
FILES = {
    "births": DataFile(
        "births-synthetic.csv.gz",
        "4c66763637316d2d9652b92a47da006d5094e83120a190d8c34503f36d306b23",
        167_668,
    ),
    "sample_train": DataFile(
        "train.csv",
        "9f5adb3e12fb9ca1a274d8fb17c4f21c5a2e9092054a8dd14198685891fa29e9",
        1_567_887,
        _PUBLIC + "train.csv",
        is_shipped=False,
    ),
    "sample_eval": DataFile(
        "eval.csv",
        "1b05d81ddd5346d2a69512621e99a3ea77321d2923209494326edd4912ad50f3",
        384_938,
        _PUBLIC + "eval.csv",
        is_shipped=False,
    ),
}

_WHAT = {
    "weight_pounds": "weight of the baby at birth, pounds, 0.5 to 18",
    "is_male": "sex as far as it is known: True, False, or Unknown without an ultrasound picture",
    "mother_age": "age of the mother, years, 12 to 50",
    "plurality": "how many children: Single(1) to Quintuplets(5), or Multiple(2+) without an ultrasound picture",
    "gestation_weeks": "length of the pregnancy, completed weeks, 17 to 47",
    "key": "SHA-224 sum of the five values before, hexadecimal",
    "year": "year of birth, 2001 to 2008; no feature, it decides the part",
    "month": "month of birth, 1 to 12; no feature, it decides the part",
}
_SHARDS = 4

# the instances of the original tutorial: two of its training notebook, two more of the one that deploys
_TUTORIAL = [
    {"key": "b1", "is_male": "True", "mother_age": 26.0, "plurality": "Single(1)", "gestation_weeks": 39.0},
    {"key": "g1", "is_male": "False", "mother_age": 26.0, "plurality": "Single(1)", "gestation_weeks": 39.0},
    {"key": "b2", "is_male": "True", "mother_age": 26.0, "plurality": "Triplets(3)", "gestation_weeks": 39.0},
    {"key": "u1", "is_male": "Unknown", "mother_age": 29.0, "plurality": "Multiple(2+)", "gestation_weeks": 38.0},
]


def load_births(source: str | None = None) -> tuple[pl.DataFrame, str]:
    """Load births as they were recorded, cleaned, one row each.

    Args:
        source: "shipped" (synthetic), "mirror" or "public" (real). If None: the mirror where one is set and has the
            sample, else what is shipped.

    Returns:
        A polars table with the columns `year`, `month`, `weight_pounds`, `is_male` (bool), `mother_age`, `plurality`
        (1 to 5) and `gestation_weeks`, and the source it came from.

    Raises:
        UsageError: An unknown source; "mirror" without a mirror set; "bigquery", which is too large to load.
        DataError: A file is missing, truncated or altered.
        MissingExtraError: polars or pyfarmhash is not installed.
    """
    batches, where = _batches(source)
    return files.import_polars().concat(births.clean(batch) for batch in batches), where


def load(source: str | None = None, *, validation_months: int = 15, doubled: bool = True, seed: int = 0) -> Split:
    """Load the rows that a model sees, split by month: what the trainer reads from files, in memory.

    The test part holds the evaluation months, the validation part some of the training months. Rows are doubled after
    the split, so that no birth stands in two parts.

    Args:
        source: As in `load_births`.
        validation_months: How many of the 77 training months are held out for choices, 0 to 76.
        doubled: Give each birth twice: as recorded, and without ultrasound.
        seed: Which months are held out.

    Returns:
        Columns `weight_pounds`, `mother_age`, `gestation_weeks` (n,) float32; `is_male`, `plurality`, `key` (n,) text;
        `year`, `month` (n,) int64.

    Raises:
        UsageError: As in `load_births`, or `validation_months` is out of range.
        DataError: As in `load_births`.
        MissingExtraError: polars or pyfarmhash is not installed.
    """
    polars = files.import_polars()
    held_out = split.held_out_months(MONTHS, validation_months, seed)
    table, where = load_births(source)
    parts = {}
    for part, some in _by_part(table, held_out).items():
        recorded = births.as_recorded(some)
        rows = polars.concat([recorded, without_ultrasound(recorded)]) if doubled else recorded
        keys = [files.row_key(line) for line in births.lines(rows).to_list()]
        parts[part] = births.part_columns(rows, keys)
    kind = "synthetic births" if where == "shipped" else "real births"
    how = f"{kind} split by the FARM_FINGERPRINT of their month: {len(held_out)} training months held out with seed "
    how += f"{seed} for validation, the 19 evaluation months are the test part"
    return Split(
        name="babyweight",
        train=parts["train"],
        validation=parts["validation"],
        test=parts["eval"],
        target="weight_pounds",
        columns=_WHAT,
        class_names=(),
        how=how,
        source=where,
    )


def prepare(
    output_dir: str | Path,
    source: str | None = None,
    *,
    shards: int = _SHARDS,
    validation_months: int = 0,
    births_file: Path | None = None,
    seed: int = 0,
    confirm: bool = False,
) -> list[Path]:
    """Write the trainer's shards: train.csv-00000-of-00004 and so on, and the same for eval.

    Rows are weight_pounds,is_male,mother_age,plurality,gestation_weeks,key without header; each birth stands there
    twice. Memory stays flat over any number of births. Shards that an earlier run left under other numbers are removed.

    Args:
        output_dir: Folder or gs:// address; made if it is missing. For "bigquery" a real gs:// address.
        source: "shipped" (synthetic), "mirror" or "public" (real sample), or "bigquery" (everything; costs money).
        shards: Files per part, 1 to 1,000; BigQuery chooses its own number.
        validation_months: How many training months go to validation.csv-… in place of train, 0 to 76.
        births_file: A CSV file of births of your own in place of a source, of any size; its header names year, month,
            weight_pounds, is_male (true or false), mother_age, plurality (1 to 5), gestation_weeks.
        seed: Which months are held out, and which row goes to which shard.
        confirm: Run BigQuery's export without asking.

    Returns:
        The files; none for "bigquery", whose files lie in the bucket.

    Raises:
        UsageError: An option is out of range or does not go with the source; the export was not confirmed.
        DataError: A file is missing, altered or malformed, the folder cannot be written, BigQuery refused.
        MissingExtraError: polars, pyfarmhash or google-cloud-bigquery is not installed.
    """
    held_out = split.held_out_months(MONTHS, validation_months, seed)
    if births_file is not None and source is not None:
        raise UsageError(f"Both births_file {str(births_file)!r} and source {source!r} were given: choose one.")
    if source == "bigquery":
        if shards != _SHARDS:
            raise UsageError(f"shards is {shards!r}, but BigQuery chooses the number of files itself: leave it out.")
        bigquery.run(bigquery.plan(os.fspath(output_dir), held_out), confirm)
        return []
    batches = births.read_births(births_file) if births_file is not None else _batches(source)[0]
    parts = ["train", "eval"] + (["validation"] if held_out else [])
    folder = local_path(output_dir)
    paths: list[Path] = []
    n_read = n_kept = 0
    with ExitStack() as stack, tqdm(desc="births", unit=" births", unit_scale=True, disable=None, leave=False) as bar:
        write = {}
        for part in parts:
            written, write[part] = stack.enter_context(files.shard_writer(folder, part, shards, seed))
            paths += written
        for batch in batches:
            kept = births.clean(batch)
            for part, some in _by_part(kept, held_out).items():
                if len(some):
                    recorded = births.as_recorded(some)
                    write[part](births.lines(recorded))
                    write[part](births.lines(without_ultrasound(recorded)))
            n_read, n_kept = n_read + len(batch), n_kept + len(kept)
            bar.update(len(batch))
    if n_kept < n_read:
        _log.warning("%s of %s births were left out: a value is missing or not above 0.", n_read - n_kept, n_read)
    for path in files.remove_stale_shards(folder, paths):
        _log.warning("Removed %s, which an earlier run left.", path)
    return paths


def request(n: int = 2, source: str | None = None) -> list[dict[str, Any]]:
    """Make instances for the model: the tutorial's b1 and g1, from the third on its b2 and u1, then evaluation births.

    Args:
        n: How many, 1 to 4 and the number of births to evaluate on.
        source: Where the births from the fifth instance on come from, as in `load_births`.

    Returns:
        `is_male`, `mother_age` (years), `plurality`, `gestation_weeks` and `key`; the key comes back with the answer.

    Raises:
        UsageError: `n` is out of range, or as in `load_births`.
        DataError: As in `load_births`.
    """
    if source is not None and source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    if 1 <= n <= len(_TUTORIAL):
        return [dict(instance) for instance in _TUTORIAL[:n]]
    rows = load(source, doubled=False).test
    size = len(_TUTORIAL) + len(rows["key"])
    if not 1 <= n <= size:
        raise UsageError(f"{n!r} instances were asked for; allowed is 1 to {size:,}: the tutorial's 4, then births.")
    names = ("key", *FEATURES)
    some = zip(*(rows[name][: n - len(_TUTORIAL)].tolist() for name in names), strict=True)
    return [dict(instance) for instance in _TUTORIAL] + [dict(zip(names, row, strict=True)) for row in some]


def _batches(source: str | None) -> tuple[Iterator[pl.DataFrame], str]:
    """Return pieces of the births of a source, and the source that they really come from."""
    if source is not None and source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    if source == "bigquery":
        raise UsageError(
            "The source 'bigquery' holds over 30 million births and is not loaded: prepare(..., source='bigquery') has "
            "BigQuery write them to a bucket. To look at births use 'shipped', 'mirror' or 'public'."
        )
    if source is None and current().mirror:
        try:
            return _sample("mirror"), "mirror"
        except DataError as error:
            if "is not the file it should be" in str(error):
                raise
            _log.warning("The mirror does not give the sample of real births; the shipped synthetic ones are used.")
    if source in ("mirror", "public"):
        return _sample(source), source
    path, _ = fetch("babyweight", FILES["births"], "shipped")
    return births.read_births(path), "shipped"


def _sample(source: str) -> Iterator[pl.DataFrame]:
    paths = [fetch("babyweight", FILES[name], source)[0] for name in ("sample_train", "sample_eval")]
    return iter([births.from_sample(paths)])


def _by_part(table: pl.DataFrame, held_out: list[tuple[int, int]]) -> dict[str, pl.DataFrame]:
    """Split births by their month; "validation" holds the months that are held out."""
    polars = files.import_polars()
    number = (polars.col("year").cast(polars.Int32) * 100 + polars.col("month")).alias("number")
    months = table.select(number.unique())["number"].to_list()
    chosen = {year * 100 + month for year, month in held_out}
    evaluated = [number for number in months if is_eval_month(*divmod(number, 100))]
    is_eval, is_held_out = number.is_in(evaluated), number.is_in(list(chosen))
    return {
        "train": table.filter(~is_eval & ~is_held_out),
        "eval": table.filter(is_eval),
        "validation": table.filter(is_held_out),
    }
