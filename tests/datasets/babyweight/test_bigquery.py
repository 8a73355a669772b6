"""Google's own client against a server of this test: what is asked is checked, what is answered was made up here.

The answers have the shape of the jobs resource in BigQuery's REST reference; nothing in them was recorded from Google.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlhelpers import datasets, settings
from mlhelpers.datasets.babyweight import bigquery as room
from mlhelpers.errors import DataError, UsageError

GIGABYTES = {"train": 40, "eval": 4}  # what the made-up dry run says: not what the true table takes


class _Server(ThreadingHTTPServer):
    asked: list[dict[str, Any]]
    refuses: str


class _Answers(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append({"path": self.path.split("?")[0], **body})
        sql = body["configuration"]["query"]["query"]
        part = re.search(r"/(\w+)\.csv-", sql)[1]  # type: ignore[index]
        dry = body["configuration"].get("dryRun", False)
        if self.server.refuses == part and not dry:
            return self._send(403, {"error": {"code": 403, "message": "no write access", "errors": []}})
        n_bytes = str(GIGABYTES[part] * 10**9)
        job = body | {"id": "made-up", "status": {"state": "DONE"}}
        job["statistics"] = {"totalBytesProcessed": n_bytes, "query": {"totalBytesProcessed": n_bytes}}
        job.setdefault("jobReference", {"projectId": "workshop", "jobId": f"dry-{part}", "location": "US"})
        self._send(200, job)

    def do_GET(self) -> None:
        self.server.asked.append({"path": self.path.split("?")[0]})
        reference = {"projectId": "workshop", "jobId": self.path.split("?")[0].rsplit("/", 1)[1], "location": "US"}
        self._send(200, {"jobReference": reference, "jobComplete": True, "totalRows": "0", "schema": {"fields": []}})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """Serve BigQuery's REST surface on loopback, and have our code connect Google's client to it."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    server = _Server(("127.0.0.1", 0), _Answers)
    server.asked, server.refuses = [], ""
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    options = {"api_endpoint": f"http://127.0.0.1:{server.server_port}"}
    client = bigquery.Client("workshop", AnonymousCredentials(), client_options=options)
    monkeypatch.setattr(room, "connect", lambda: client)
    yield server
    server.shutdown()
    server.server_close()


def _export(**options: Any) -> list[Path]:
    return datasets.prepare("babyweight", "gs://workshop-ml/babyweight/preproc", source="bigquery", **options)


def test_two_dry_runs_then_two_exports_reach_bigquery(google: _Server) -> None:
    assert _export(confirm=True) == []

    jobs = [asked for asked in google.asked if "configuration" in asked]
    assert {asked["path"] for asked in jobs} == {"/bigquery/v2/projects/workshop/jobs"}
    assert [job["configuration"].get("dryRun", False) for job in jobs] == [True, True, False, False]
    dry_1, dry_2, real_1, real_2 = (job["configuration"]["query"]["query"] for job in jobs)
    assert (dry_1, dry_2) == (real_1, real_2)
    assert jobs[0]["configuration"]["query"]["useQueryCache"] is False
    assert jobs[0]["configuration"]["query"]["useLegacySql"] is False


def test_the_cost_comes_from_the_answer(google: _Server, capsys: pytest.CaptureFixture[str]) -> None:
    _export(confirm=True)

    printed = capsys.readouterr().out
    assert "train: reads 40.00 GB, writes gs://workshop-ml/babyweight/preproc/train.csv-*-of-bigquery" in printed
    # 44e9 bytes / 2^40 * 6.25 dollars
    assert "together: 44.00 GB, 0.25 US dollars at 6.25 a tebibyte" in printed


def test_without_confirmation_nothing_but_the_dry_runs_is_sent(google: _Server) -> None:
    with pytest.raises(UsageError, match=r"Nothing was run. It would read 44.00 GB, 0.25 US dollars .* --confirm"):
        _export()

    assert all(asked["configuration"]["dryRun"] for asked in google.asked)


@pytest.mark.parametrize(("answer", "n_jobs"), [("y", 4), ("", 2), ("no", 2)])
def test_at_a_terminal_it_asks(google: _Server, monkeypatch: pytest.MonkeyPatch, answer: str, n_jobs: int) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: answer)

    if n_jobs == 2:
        with pytest.raises(UsageError, match="Nothing was run"):
            _export()
    else:
        _export()

    assert n_jobs == sum("configuration" in asked for asked in google.asked)


def test_a_refusal_names_the_part_and_what_the_bucket_must_be(google: _Server) -> None:
    google.refuses = "eval"

    with pytest.raises(DataError, match=r"refused the export of 'eval' to gs://.*no write access.*multi-region US"):
        _export(confirm=True)


def test_the_statements_hold_the_tutorials_filter_split_and_both_rows() -> None:
    train, evaluation = room.plan("gs://workshop-ml/preproc/")

    assert train.sql.startswith("EXPORT DATA OPTIONS (uri = 'gs://workshop-ml/preproc/train.csv-*-of-bigquery', format")
    hashed = "ABS(MOD(FARM_FINGERPRINT(CONCAT(CAST(year AS STRING), CAST(month AS STRING))), 4))"
    assert f"{hashed} < 3" in train.sql
    assert f"{hashed} = 3" in evaluation.sql
    for word in ("year > 2000", "weight_pounds > 0", "mother_age > 0", "gestation_weeks > 0", "month > 0"):
        assert word in train.sql
    assert "UNION ALL" in train.sql
    assert "'Unknown' AS is_male" in train.sql
    assert "IF(plurality = 1, 'Single(1)', 'Multiple(2+)')" in train.sql
    assert "`bigquery-public-data.samples.natality`" in train.sql


def test_held_out_months_go_to_a_part_of_their_own() -> None:
    parts = {export.part: export.sql for export in room.plan("gs://workshop-ml/p", [(2001, 2), (2003, 11)])}

    assert list(parts) == ["train", "eval", "validation"]
    assert "AND year * 100 + month NOT IN (200102, 200311)" in parts["train"]
    assert "AND year * 100 + month IN (200102, 200311)" in parts["validation"]
    assert "200102" not in parts["eval"]


def test_names_that_bigquery_gives_match_the_patterns_for_all_and_for_the_first(tmp_path: Path) -> None:
    from mlhelpers.datasets.babyweight import find_shards

    for number in range(3):
        uri = room.plan("gs://workshop-ml/p")[0].uri
        (tmp_path / uri.rsplit("/", 1)[1].replace("*", f"{number:012d}")).touch()

    assert len(find_shards(tmp_path, "train")) == 3
    assert [path.name for path in find_shards(tmp_path, "train", "00000-of-")] == ["train.csv-000000000000-of-bigquery"]


@pytest.mark.parametrize("address", ["data/runs/babyweight", "gs:/no", "gs://a'b/c"])
def test_an_address_that_is_no_bucket_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"no gs:// address of one. For instance: --output-dir gs://YOUR_BUCKET"):
        room.plan(address)


def test_a_number_of_shards_is_refused_since_bigquery_chooses_it() -> None:
    with pytest.raises(UsageError, match="shards is 8, but BigQuery chooses the number of files itself"):
        _export(shards=8)


def test_without_a_project_the_ways_round_it_are_named() -> None:
    with pytest.raises(UsageError, match=r"Set GOOGLE_CLOUD_PROJECT .*--source shipped .*--source public"):
        room.connect()


def test_without_credentials_the_login_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    with settings.using(project="workshop"), pytest.raises(UsageError, match="gcloud auth application-default login"):
        room.connect()
