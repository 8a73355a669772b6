"""The whole table of births, from BigQuery straight into a bucket: no row passes through your machine.

BigQuery filters, splits, writes each birth twice and exports CSV shards by itself, in one EXPORT DATA statement per
part. Before anything runs, a dry run tells how many bytes the statements read and what that costs.

The shards are named `train.csv-000000000000-of-bigquery`, `train.csv-000000000001-of-bigquery` and so on: BigQuery
numbers them with twelve digits and does not know their count beforehand. The patterns hold all the same: `of` is all
of them, `00000-of-` is the first.

BigQuery has no SHA-224, so the key is the first 56 hexadecimal digits of the SHA-256 sum: as long as the other
sources' keys, another value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mlhelpers.datasets.babyweight.split import Month
from mlhelpers.errors import DataError, MissingExtraError, UsageError
from mlhelpers.settings import current

if TYPE_CHECKING:
    from google.cloud import bigquery

__all__ = ["DOLLARS_PER_TEBIBYTE", "Export", "connect", "dollars", "plan", "run"]

TABLE = "bigquery-public-data.samples.natality"

# on-demand analysis in the United States, where the table lies; the first tebibyte of a month is free
# (cloud.google.com/bigquery/pricing, the price since July 2023)
DOLLARS_PER_TEBIBYTE = 6.25

_SQL = """\
EXPORT DATA OPTIONS (uri = '{uri}', format = 'CSV', header = false, overwrite = false) AS
WITH
  births AS (
    SELECT weight_pounds, is_male, mother_age, plurality, gestation_weeks
    FROM `{table}`
    WHERE year > 2000 AND month > 0
      AND weight_pounds > 0 AND mother_age > 0 AND plurality BETWEEN 1 AND 5 AND gestation_weeks > 0
      AND is_male IS NOT NULL
      AND ABS(MOD(FARM_FINGERPRINT(CONCAT(CAST(year AS STRING), CAST(month AS STRING))), 4)) {share}{months}
  ),
  as_recorded AS (
    SELECT weight_pounds, IF(is_male, 'True', 'False') AS is_male, mother_age,
      ['Single(1)', 'Twins(2)', 'Triplets(3)', 'Quadruplets(4)', 'Quintuplets(5)'][ORDINAL(plurality)] AS plurality,
      CAST(gestation_weeks AS FLOAT64) AS gestation_weeks
    FROM births
  ),
  without_ultrasound AS (
    SELECT weight_pounds, 'Unknown' AS is_male, mother_age,
      IF(plurality = 1, 'Single(1)', 'Multiple(2+)') AS plurality,
      CAST(gestation_weeks AS FLOAT64) AS gestation_weeks
    FROM births
  ),
  both_rows AS (SELECT * FROM as_recorded UNION ALL SELECT * FROM without_ultrasound)
SELECT *, SUBSTR(TO_HEX(SHA256(CONCAT(CAST(weight_pounds AS STRING), ',', is_male, ',', CAST(mother_age AS STRING), ',',
  plurality, ',', CAST(gestation_weeks AS STRING)))), 1, 56) AS key
FROM both_rows"""


@dataclass(frozen=True)
class Export:
    """One statement: which part it writes, where to, and its SQL."""

    part: str
    uri: str
    sql: str


def plan(output_dir: str, held_out: Sequence[Month] = ()) -> list[Export]:
    """Make the statements that write the parts; nothing is sent.

    Args:
        output_dir: gs://bucket/folder, in a bucket of the multi-region US, where the table lies.
        held_out: Months that go to a part of their own, "validation", in place of "train".

    Returns:
        An export for "train", one for "eval", and one for "validation" where months are held out.

    Raises:
        UsageError: `output_dir` is no gs:// address, or holds a quotation mark.
    """
    if not output_dir.startswith("gs://") or "'" in output_dir or "\\" in output_dir:
        raise UsageError(
            f"BigQuery writes into a bucket, and {output_dir!r} is no gs:// address of one. "
            "For instance: --output-dir gs://YOUR_BUCKET/babyweight/preproc"
        )
    among = ", ".join(str(year * 100 + month) for year, month in held_out)
    test = "\n      AND year * 100 + month {}IN ({})"
    parts = {"train": ("< 3", test.format("NOT ", among) if among else ""), "eval": ("= 3", "")}
    if among:
        parts["validation"] = ("< 3", test.format("", among))
    exports = []
    for part, (share, months) in parts.items():
        uri = f"{output_dir.rstrip('/')}/{part}.csv-*-of-bigquery"
        exports.append(Export(part, uri, _SQL.format(uri=uri, table=TABLE, share=share, months=months)))
    return exports


def dollars(n_bytes: int) -> float:
    """Return what reading so many bytes costs at the on-demand price, without the free tebibyte of each month.

    Example:
        >>> dollars(2**40)
        6.25
    """
    return n_bytes / 2**40 * DOLLARS_PER_TEBIBYTE


def connect() -> bigquery.Client:
    """Return BigQuery's client for the project that is set, with the credentials that gcloud left.

    Raises:
        MissingExtraError: google-cloud-bigquery is not installed.
        UsageError: No project is set, or there are no credentials.
    """
    try:
        from google.cloud import bigquery
    except ImportError as error:
        raise MissingExtraError("google-cloud-bigquery", "bigquery") from error
    project = current().project
    if not project:
        raise UsageError(
            "BigQuery runs queries in a project of yours, and none is set. Set GOOGLE_CLOUD_PROJECT to its id. "
            "Without an account use --source shipped (synthetic births) or --source public (a sample of real ones)."
        )
    try:
        return bigquery.Client(project=project)
    except Exception as error:  # google.auth's own errors, whose package is not imported here
        raise UsageError(
            f"BigQuery cannot be used: {error}. Log in with: gcloud auth application-default login"
        ) from error


def run(exports: Sequence[Export], confirm: bool, client: bigquery.Client | None = None) -> None:
    """Show by a dry run what the exports cost, ask, and run them. Prints as it goes; **costs money** when confirmed.

    Args:
        exports: As `plan` made them.
        confirm: Do not ask.
        client: BigQuery's client; `connect()` where None.

    Raises:
        UsageError: It was not confirmed, and nothing was run.
        DataError: BigQuery refused a statement.
    """
    from google.cloud import bigquery

    client = client or connect()
    dry = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    total = 0
    for export in exports:
        n_bytes = _asked(export, partial(client.query, export.sql, job_config=dry)).total_bytes_processed or 0
        print(f"{export.part}: reads {n_bytes / 1e9:,.2f} GB, writes {export.uri}")
        total += n_bytes
    cost = f"{total / 1e9:,.2f} GB, {dollars(total):,.2f} US dollars at {DOLLARS_PER_TEBIBYTE} a tebibyte"
    print(f"together: {cost}; the first tebibyte of each month is free. The bucket's storage is billed apart.")
    if not confirm and not _agreed():
        raise UsageError(f"Nothing was run. It would read {cost}. To run it: --confirm, or confirm=True in Python.")
    for export in exports:
        job = _asked(export, partial(client.query, export.sql))
        _asked(export, job.result)
        print(f"{export.part}: written, job {job.job_id}")


def _agreed() -> bool:
    """Ask where somebody can answer; elsewhere the answer is no."""
    if not sys.stdin or not sys.stdin.isatty():
        return False
    return input("Run it? [y/N] ").strip().lower() in ("y", "yes")


def _asked(export: Export, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # google.api_core's errors, whose package is not imported here
        raise DataError(
            f"BigQuery refused the export of {export.part!r} to {export.uri}: {' '.join(str(error).split())}. "
            "The bucket must exist, lie in the multi-region US, be one you may write to, and hold no such files."
        ) from error
