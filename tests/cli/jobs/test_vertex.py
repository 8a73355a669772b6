"""`mlhelpers jobs … --backend vertex`: the plan, the bill and the one question, and every verb on a job there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from vertex import Vertex
from vertex_jobs import MakeSpec, in_an_image

from mlhelpers import jobs
from mlhelpers.cli.jobs.bill import agree
from mlhelpers.cloud import ledger
from mlhelpers.errors import UsageError
from mlhelpers.jobs import Bill
from mlhelpers.jobs.vertex.engine import VertexBackend

__all__ = ["in_an_image"]

Run = Callable[..., Any]
_SUBMIT = ("submit", "training", "third", "--backend", "vertex", "--module-name", "mlhelpers.trainers.mnist")


def _own(name: str, folder: Path) -> tuple[str, ...]:
    """Return the words that submit a job whose image has its module, by a config file."""
    path = folder / "job.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "trainingInput": {
                    "scaleTier": "CUSTOM",
                    "masterType": "n1-standard-4",
                    "masterConfig": {"imageUri": "mine"},
                    "pythonModule": "this",
                }
            }
        )
    )
    return ("submit", "training", name, "--backend", "vertex", "--config", str(path))


def test_a_dry_run_prints_the_request_and_what_to_know_of_it(run: Run) -> None:
    answer = run(*_SUBMIT, "--dry-run", "--scale-tier", "basic-gpu", "--spot", "--", "--train_steps", "3")

    assert answer.code == 0, answer.err
    request = yaml.safe_load(answer.out)
    assert request["displayName"] == "third"
    assert request["jobSpec"]["scheduling"] == {"strategy": "SPOT"}
    assert "A K80 is no longer to be had" in answer.err
    assert "goes with its machine" in answer.err


def test_without_a_project_a_submission_says_which_words_are_missing(run: Run) -> None:
    answer = run(*_SUBMIT, "--yes")

    assert answer.code == 2
    assert "export GOOGLE_CLOUD_PROJECT=my-project" in answer.err


def test_a_submission_shows_what_will_run_and_what_can_be_done(run: Run, vertex: Vertex, tmp_path: Path) -> None:
    answer = run(*_own("shown", tmp_path), "--expected-time", "3600s")

    assert answer.code == 0, answer.err
    assert "POOL    MACHINE        COUNT  ACCELERATORS  PER_HOUR" in answer.err
    assert "costs nothing" in answer.err
    assert "mlhelpers jobs stream-logs shown --backend vertex" in answer.err
    assert "console.cloud.google.com" in answer.err
    assert "mlhelpers cleanup" in answer.err
    assert yaml.safe_load(answer.out) == {"jobId": "shown", "state": "QUEUED"}
    jobs.attach("shown").wait(60, progress=False)


def test_without_a_terminal_and_without_yes_nothing_is_started(
    run: Run, vertex: Vertex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill = Bill(({"pool": "master"},), ("It costs.",))  # the emulator's own is free
    monkeypatch.setattr(VertexBackend, "bill", lambda *_: bill)
    answer = run(*_own("never", tmp_path))

    assert answer.code == 2
    assert "there is no terminal to ask on: nothing was started. Say --yes" in answer.err
    assert ledger.entries() == []
    assert "never" not in [row["jobId"] for row in jobs.list_jobs()]


def test_yes_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    agree(Bill(({"pool": "master"},), ("It costs.",)), ["And this."], yes=True)

    told = capsys.readouterr().err
    assert "POOL" in told
    assert told.endswith("It costs.\nAnd this.\n")


@pytest.mark.parametrize(("said", "raises"), [("y\n", False), ("n\n", True), ("\n", True)])
def test_a_person_is_asked_once(monkeypatch: pytest.MonkeyPatch, said: str, raises: bool) -> None:
    import io

    import click

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(said))
    if raises:
        with pytest.raises(click.Abort):
            agree(Bill(({"pool": "master"},)), [], yes=False)
    else:
        agree(Bill(({"pool": "master"},)), [], yes=False)


def test_what_costs_nothing_is_not_asked_about() -> None:
    agree(None, [], yes=False)
    agree(Bill(({"pool": "master"},), is_free=True), [], yes=False)
    with pytest.raises(UsageError, match="nothing was started"):
        agree(Bill(({"pool": "master"},)), [], yes=False)


def test_every_verb_takes_the_backend(
    run: Run, vertex: Vertex, in_an_image: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.submit(in_an_image("verbs", "print('told')"), "vertex")
    job.wait(60, progress=False)
    there = ("verbs", "--backend", "vertex")

    assert "told" in run("stream-logs", *there, "--task-name", "master-replica-0").out
    assert run("cancel", *there).code == 0
    described = run("describe", *there, "--format", "json")
    assert json.loads(described.out)["vertexOutput"]["handle"] == job.handle
    assert "Its page:  https://console.cloud.google.com/" in described.err
    assert "verbs" in run("list", "--backend", "vertex").out
    assert "Job Overview" in run("describe", *there, "--summarize").out
    refused = run("update", *there, "--update-labels", "a=b")
    assert (refused.code, "lets nobody change" in refused.err) == (1, True)
    assert run("describe", job.handle).code == 0
    assert run("describe", "first", "--backend", "vertexx").code == 2
    assert run("describe", "local://first", "--backend", "vertex").code == 2


def test_hints_name_the_backend_that_a_shell_would_not_take_by_itself(
    vertex: Vertex, in_an_image: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.submit(in_an_image("hinted"))

    assert job.hints()["cancel"] == "mlhelpers jobs cancel hinted --backend vertex"
    monkeypatch.setenv("MLHELPERS_BACKEND", "vertex")
    assert job.hints()["cancel"] == "mlhelpers jobs cancel hinted"
    assert "vertex://test-project/us-central1/" in repr(job)
    job.wait(60, progress=False)
