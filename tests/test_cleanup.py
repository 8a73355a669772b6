"""What was made in the cloud is deleted, billable first, on a server that speaks Vertex AI's wire; and what is left."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import faults
import pytest
import yaml
from faults import Fault
from vertex import PROJECT, REGION, Vertex

from mlhelpers import cleanup, settings, storage
from mlhelpers.cli import main
from mlhelpers.cloud import client, ledger, place
from mlhelpers.cloud.ledger import Entry
from mlhelpers.errors import DataError

Make = Callable[..., Entry]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["cleanup", *words])
    return int(stopped.value.code or 0)


def _job(seconds: float, title: str, labels: dict[str, str]) -> dict[str, Any]:
    container = {"image_uri": "python:3", "command": ["python3", "-c", f"import time; time.sleep({seconds})"]}
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}
    return {"display_name": title, "labels": labels, "job_spec": {"worker_pool_specs": [pool]}}


@pytest.fixture
def make(vertex: Vertex) -> Make:
    """Give a function that makes a custom job as this package does: noted, asked for, named."""

    def made(title: str = "first", seconds: float = 0.0, noted: bool = True, **labels: str) -> Entry:
        where = place()
        entry = ledger.intend("custom_job", where.project, where.region, title, where.endpoint, labels)
        job = _job(seconds, title, {**labels, "mlhelpers_mark": entry.mark})
        answer = client("jobs", where).create_custom_job(parent=where.parent, custom_job=job)
        return ledger.made(entry, answer.name) if noted else entry

    return made


def _is_there(entry: Entry) -> bool:
    where = place()
    return entry.name in [job.name for job in client("jobs", where).list_custom_jobs(parent=where.parent)]


def test_on_a_store_that_never_saw_the_cloud_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out == "Nothing was made in the cloud from here.\n"
    assert cleanup.reminder() == "Nothing that was made in the cloud from here is left that costs money."


def test_all_of_a_project_needs_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--all") == 2
    assert "Vertex AI needs a project, and none is set" in capfd.readouterr().err


def test_nobody_to_ask_and_no_yes_is_refused(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    entry = make()

    assert run() == 2
    assert "Nobody can be asked here: look with --dry-run first, then say --yes." in capsys.readouterr().err
    assert ledger.entries() == [entry]
    assert _is_there(entry)


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_it_asks_once_and_lists_before(
    make: Make, answer: str, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make("one"), make("two")
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)

    assert run() == code
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()[:3]] == [
        ["KIND", "TITLE"],
        ["custom_job", "one"],
        ["custom_job", "two"],
    ]
    assert said.err.count("Delete these 2? [y/N]") == 1
    assert len(ledger.entries()) == (0 if answer == "y\n" else 2)


def test_a_job_that_runs_is_cancelled_and_then_deleted(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    entry = make("sleeper", seconds=600)

    assert run("--yes") == 0
    assert "deleted  custom job sleeper\n" in capsys.readouterr().out
    assert ledger.entries() == []
    assert not _is_there(entry)


def test_what_is_gone_already_counts_as_gone(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    entry = make()
    _wait_for(entry)
    client("jobs", place()).delete_custom_job(name=entry.name).result()

    assert run("--yes") == 0
    assert "gone     custom job first: It was deleted before.\n" in capsys.readouterr().out
    assert ledger.entries() == []


def test_a_creation_that_nobody_saw_end_is_found_by_its_mark(make: Make) -> None:
    make("unseen", noted=False)
    (entry,) = ledger.entries()
    assert entry.name == ""

    outcome = cleanup.delete(entry)

    assert outcome.state == "deleted"
    assert outcome.entry.name.startswith(f"projects/{PROJECT}/locations/{REGION}/customJobs/")
    assert not _is_there(outcome.entry)
    assert ledger.entries() == []


def test_a_creation_that_never_came_is_forgotten_when_it_is_old(vertex: Vertex, home: Path) -> None:
    ledger.intend("custom_job", PROJECT, REGION, "lost", vertex.address)
    young = cleanup.delete(ledger.entries()[0])
    _make_older(home, hours=1)
    old = cleanup.delete(ledger.entries()[0])

    assert (young.state, young.reason[-31:]) == ("left", "Run this again in some minutes.")
    assert (old.state, old.reason) == ("gone", "It never came to be.")
    assert ledger.entries() == []


def test_dry_run_deletes_nothing_and_needs_no_network(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.intend("bucket", PROJECT, REGION, "gs://staging")
    ledger.intend("endpoint", PROJECT, REGION, "digits")
    ledger.intend("model", PROJECT, REGION, "digits")

    assert run("--dry-run", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["kind"], row["billed"]) for row in rows] == [("endpoint", "yes"), ("model", "no"), ("bucket", "yes")]
    assert len(ledger.entries()) == 3


def test_only_what_is_old_and_labelled_so_is_taken(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.intend("model", PROJECT, REGION, "old blue", labels={"team": "blue", "stage": "trial"})
    ledger.intend("model", PROJECT, REGION, "old red", labels={"team": "red"})
    _make_older(home, hours=24 * 8)
    ledger.intend("model", PROJECT, REGION, "young blue", labels={"team": "blue"})

    def titles(*words: str) -> list[str]:
        assert run("--dry-run", "--format", "yaml", *words) == 0
        return [row["title"] for row in yaml.safe_load(capsys.readouterr().out)]

    assert titles("--older-than", "7d") == ["old blue", "old red"]
    assert titles("--label", "team=blue") == ["old blue", "young blue"]
    assert titles("--older-than", "12h", "--label", "team=blue", "--label", "stage=trial") == ["old blue"]
    assert titles("--older-than", "9d") == []


@pytest.mark.parametrize("age", ["7", "d", "7 days", "-1d", "7y", "1.5h", "٣d"])
def test_an_age_that_is_none_is_refused(age: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"--older-than={age}") == 2
    assert f"--older-than {age!r} is no age" in capsys.readouterr().err


def test_all_finds_what_was_made_from_elsewhere_and_nothing_that_is_not_ours(make: Make, home: Path) -> None:
    ours = make("ours", team="green")
    where = place()
    foreign = client("jobs", where).create_custom_job(parent=where.parent, custom_job=_job(0, "foreign", {"team": "x"}))
    for path in (home / "ledger").iterdir():  # as if another machine had made it
        path.unlink()

    found = [entry for entry in cleanup.find(everything=True) if entry.name in (ours.name, foreign.name)]

    assert [(entry.title, entry.mark, entry.labels) for entry in found] == [("ours", ours.mark, {"team": "green"})]
    assert cleanup.find() == []
    _wait_for(ours)
    assert cleanup.delete(found[0]).state == "deleted"
    assert not _is_there(ours)


def test_what_stands_on_the_ledger_is_not_found_a_second_time(make: Make) -> None:
    known, unseen = make("known"), make("unseen", noted=False)

    marks = [entry.mark for entry in cleanup.find(everything=True)]

    assert marks.count(known.mark) == marks.count(unseen.mark) == 1


@pytest.fixture
def wire(vertex: Vertex) -> Iterator[faults.Proxy]:
    """Put a proxy that can do harm between this test and the emulator."""
    with faults.proxy(vertex.address) as proxy, settings.using(vertex_endpoint=proxy.address):
        yield proxy


def test_what_may_not_be_deleted_is_left_with_the_reason_and_exit_one(
    wire: faults.Proxy, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, gone = make("kept"), make("gone")
    for entry in (kept, gone):
        _wait_for(entry)
    body = faults.google_error(403, "Permission 'aiplatform.customJobs.delete' denied on resource.")
    wire.add(Fault("DELETE", kept.name, status=403, body=body, times=99))

    assert run("--yes", "--format", "json") == 1
    said = capsys.readouterr()
    outcome = {row["title"]: row for row in json.loads(said.out)}
    assert outcome["gone"]["outcome"] == "deleted"
    assert outcome["kept"]["outcome"] == "left"
    assert "aiplatform.customJobs.delete is missing" in outcome["kept"]["reason"]
    assert "1 of 2 is left" in said.err
    assert ledger.entries() == [kept]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429},
        {"cut": "before"},
        {"cut": "after"},
        {"cut": "answering"},
    ],
    ids=str,
)
def test_a_bad_network_leaves_nothing_behind(wire: faults.Proxy, make: Make, fault: dict[str, Any]) -> None:
    entry = make()
    _wait_for(entry)
    wire.add(Fault("DELETE", r"/customJobs/", **fault))

    outcome = cleanup.delete(entry)

    assert outcome.state in ("deleted", "gone")  # where the answer was lost, it is gone when it is asked again
    assert not _is_there(entry)
    assert ledger.entries() == []


def test_ended_half_way_it_goes_on_where_it_was(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [make(f"number {number}") for number in range(3)]
    original, asked = cleanup.delete, []

    def interrupted(entry: Entry) -> cleanup.Outcome:
        asked.append(entry)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return original(entry)

    monkeypatch.setattr(cleanup, "delete", interrupted)
    assert run("--yes") == 1
    assert [entry.title for entry in ledger.entries()] == ["number 1", "number 2"]

    assert run("--yes") == 0
    assert ledger.entries() == []
    assert not any(_is_there(entry) for entry in entries)


def test_an_emulator_that_has_ended_holds_nothing_that_costs(capsys: pytest.CaptureFixture[str]) -> None:
    ledger.made(ledger.intend("endpoint", PROJECT, REGION, "digits", "http://127.0.0.1:9"), "projects/p/endpoints/1")

    assert run("--yes") == 0
    assert "The emulator at http://127.0.0.1:9 has ended; what it held cost nothing." in capsys.readouterr().out
    assert ledger.entries() == []


def test_a_thing_is_deleted_where_it_was_made_whatever_the_settings_say(make: Make) -> None:
    entry = make()
    _wait_for(entry)

    with settings.using(project="other-project", region="europe-west4", vertex_endpoint=None):
        assert cleanup.delete(entry).state == "deleted"
    assert not _is_there(entry)


def test_an_endpoint_with_two_models_is_undeployed_and_deleted_before_them(
    vertex: Vertex, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = _storage().bucket("staging")
    for path in filter(Path.is_file, (repository / "data" / "models" / "mnist").rglob("*")):
        bucket.blob(f"digits/{path.name}").upload_from_filename(path)
    models, endpoints, where = client("models", place()), client("endpoints", place()), place()
    noted = [ledger.intend(kind, PROJECT, REGION, "digits", where.endpoint) for kind in ("model", "endpoint")]
    marks = [{"mlhelpers_mark": entry.mark} for entry in noted]
    asked: dict[str, Any] = {"display_name": "digits", "artifact_uri": "gs://staging/digits", "labels": marks[0]}
    model = models.upload_model(parent=where.parent, model=asked).result().model
    asked = {"display_name": "digits", "labels": marks[1]}
    endpoint = endpoints.create_endpoint(parent=where.parent, endpoint=asked).result().name
    machine = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}
    splits: list[dict[str, int]] = [{"0": 100}, {"0": 25, "1": 75}]
    for number, split in enumerate(splits, 1):
        deployed = {"model": model, "dedicated_resources": machine, "id": str(number)}
        endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split=split).result()

    assert run("--all", "--yes") == 0  # of both it is not known how they came out; their marks tell

    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("digits")]
    assert lines[-2:] == ["deleted  endpoint digits", "deleted  model digits"]
    assert endpoint not in [one.name for one in endpoints.list_endpoints(parent=where.parent)]
    assert model not in [one.name for one in models.list_models(parent=where.parent)]
    assert ledger.entries() == []


def test_an_uploaded_object_is_deleted_and_a_bucket_only_when_it_is_empty(vertex: Vertex) -> None:
    storage.make_bucket("gs://made-by-us", backend="vertex")
    address = "gs://made-by-us/packages/trainer.tar.gz"
    _storage().bucket("made-by-us").blob("packages/trainer.tar.gz").upload_from_string(b"code")
    ledger.intend("object", PROJECT, REGION, address, vertex.address)  # killed before it knew how that went
    (made,) = [entry for entry in ledger.entries() if entry.kind == "bucket"]

    full = cleanup.delete(made)
    assert (full.state, full.reason.partition(".")[0]) == ("left", "It is not empty")
    assert storage.exists(address, backend="vertex")

    assert [one.kind for one in cleanup.find()] == ["object", "bucket"]
    assert [cleanup.delete(one).state for one in cleanup.find()] == ["deleted", "deleted"]
    assert not _storage().bucket("made-by-us").exists()
    assert (cleanup.delete(made).state, ledger.entries()) == ("gone", [])


def test_a_bucket_that_somebody_else_has_made_stays(vertex: Vertex, monkeypatch: pytest.MonkeyPatch) -> None:
    _storage().create_bucket("somebody-elses")
    entry = ledger.intend("bucket", PROJECT, REGION, "somebody-elses", vertex.address)

    def labelled(body: bytes) -> bytes:  # as Cloud Storage itself answers, whose labels the server here does not keep
        return json.dumps({**json.loads(body), "labels": {"mlhelpers_mark": "another"}}).encode()

    with faults.proxy(vertex.address) as proxy:
        proxy.add(Fault("GET", r"/b/somebody-elses\?", times=9, damage=labelled))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.address)
        outcome = cleanup.delete(entry)

    assert (outcome.state, outcome.reason[:30]) == ("left", "It does not carry the mark of ")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", vertex.address)
    assert _storage().bucket("somebody-elses").exists()


def test_a_real_bucket_is_not_looked_for_in_an_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    made = ledger.made(ledger.intend("bucket", PROJECT, REGION, "real"), "gs://real")

    outcome = cleanup.delete(made)

    assert (outcome.state, ledger.entries()) == ("left", [made])
    assert "STORAGE_EMULATOR_HOST=http://127.0.0.1:9 leads elsewhere" in outcome.reason


def test_the_reminder_counts_what_costs_and_names_the_command(vertex: Vertex) -> None:
    ledger.intend("model", PROJECT, REGION, "free")
    assert "Nothing" in cleanup.reminder()

    ledger.intend("endpoint", PROJECT, REGION, "digits")
    assert cleanup.reminder() == (
        "1 thing made in the cloud from here, still billed: endpoint digits. Delete with:  mlhelpers cleanup"
    )
    for number in range(6):
        ledger.intend("custom_job", PROJECT, REGION, f"job_{number}")
    assert cleanup.reminder().startswith("7 things made in the cloud from here, still billed: endpoint digits, ")
    assert "and 2 more. Delete with:  mlhelpers cleanup" in cleanup.reminder()


def test_of_an_emulator_it_says_that_it_costs_nothing(vertex: Vertex) -> None:
    ledger.intend("endpoint", PROJECT, REGION, "digits", vertex.address)

    assert "in an emulator, which costs nothing: endpoint digits" in cleanup.reminder()


def test_a_damaged_ledger_is_told_and_not_passed_over(home: Path) -> None:
    ledger.intend("model", PROJECT, REGION, "whole")
    (home / "ledger" / "ffff.json").write_text("{")

    with pytest.raises(DataError, match=r"ffff\.json"):
        cleanup.find()


def _storage() -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage as clouds

    return clouds.Client(project=PROJECT, credentials=AnonymousCredentials())


def _make_older(home: Path, hours: float) -> None:
    for path in (home / "ledger").glob("*.json"):
        values = json.loads(path.read_text())
        then = datetime.fromisoformat(values["time"]) - timedelta(hours=hours)
        path.write_text(json.dumps(values | {"time": then.isoformat().replace("+00:00", "Z")}))


def _wait_for(entry: Entry) -> None:
    asked = client("jobs", place())
    deadline = time.monotonic() + 30
    while asked.get_custom_job(name=entry.name).end_time is None:
        assert time.monotonic() < deadline, "the job did not end"
        time.sleep(0.05)
