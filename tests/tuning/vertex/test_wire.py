"""A study over the wire: Google's client, the emulator behind it, real trials; the same `Study` as on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faults
import pytest
from faults import Fault
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format
from vertex import PROJECT, REGION, Vertex

from mlhelpers import jobs, settings, tuning
from mlhelpers.cli import main
from mlhelpers.cloud import client, ledger, place
from mlhelpers.errors import CloudError, JobError, UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.tuning.vertex.engine import TuningBackend, TuningJobs
from mlhelpers.tuning.vertex.request import tuning_job

# what runs in each trial: a program in an image of its own, without a package to install
_TRAINER = """
import sys, time
import hypertune
x = next(float(word.split("=")[1]) for word in sys.argv if word.startswith("--x="))
pause = next((float(word.split("=")[1]) for word in sys.argv if word.startswith("--pause=")), 0.0)
if x > 0.6: sys.exit("this x is too great")
reporter = hypertune.HyperTune()
for step in (1, 2, 3):
    time.sleep(pause)
    reporter.report_hyperparameter_tuning_metric("loss", (x - 0.25) ** 2 + 1 / step, step)
"""
_X = tuning.Choice([0.25, 0.5, 0.75])
_STUDY = tuning.StudySpec(
    JobSpec("study", "trainer.task"), {"x": _X}, metric="loss", trials=3, parallel=3, max_failed=2, algorithm="grid"
)


def _request(study: tuning.StudySpec = _STUDY, *words: str) -> dict[str, Any]:
    container = {"imageUri": "python:3", "command": ["python3", "-c", _TRAINER], "args": list(words)}
    pool = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1", "containerSpec": container}
    return tuning_job(study, {"workerPoolSpecs": [pool], "scheduling": {"disableRetries": True}}, {"team": "blue"})


def _named(name: str) -> tuning.StudySpec:
    return replace(_STUDY, job=_STUDY.job.named(name))


@pytest.fixture(scope="module")
def done(vertex_emulator: Vertex, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the handle of a study of three trials that is over, made once for this file."""
    with settings.using(
        backend="vertex",
        home=tmp_path_factory.mktemp("home"),
        project=PROJECT,
        region=REGION,
        vertex_endpoint=vertex_emulator.address,
    ):
        made = TuningJobs(place()).create(_request())
        study = tuning.attach(f"vertex://{PROJECT}/{REGION}/{made['name'].rpartition('/')[2]}")
        study.wait(60, progress=False)
        return study.handle


@pytest.fixture
def study(done: str, vertex: Vertex) -> tuning.Study:
    return tuning.attach(done)


def test_its_trials_come_best_first_and_failed_ones_last(study: tuning.Study) -> None:
    assert [(trial.parameters["x"], trial.state) for trial in study.results] == [
        (0.25, "SUCCEEDED"),
        (0.5, "SUCCEEDED"),
        (0.75, "INFEASIBLE"),
    ]
    assert study.trials.columns == ["trial", "objective", "step", "x", "state", "seconds", "error"]
    assert study.trials["objective"].to_list() == pytest.approx([1 / 3, 0.0625 + 1 / 3, None], nan_ok=True)
    assert study.results[0].curve == pytest.approx({1: 1.0, 2: 0.5, 3: 1 / 3})
    assert study.results[-1].error


def test_the_best_is_the_best_and_its_handle_takes_it_up_anywhere(study: tuning.Study) -> None:
    assert study.best.objective == pytest.approx(1 / 3)
    assert re.fullmatch(rf"vertex://{PROJECT}/{REGION}/\d+", study.handle)
    assert tuning.attach("study").handle == study.handle
    assert tuning.attach(study.handle).state is jobs.JobState.SUCCEEDED


def test_the_service_says_the_same_study_again(study: tuning.Study) -> None:
    assert replace(study.spec, job=_STUDY.job) == _STUDY
    assert study.spec.job.labels == {"team": "blue"}


def test_its_history_is_drawn(study: tuning.Study) -> None:
    assert study.plot().get_lines() or study.plot().collections
    assert study._repr_html_().count("<tr>") >= 4


def test_among_the_jobs_it_is_listed_described_and_found(
    study: tuning.Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "study" in [row["jobId"] for row in jobs.list_jobs()]
    assert jobs.attach("study").handle == jobs.attach(study.handle).handle == study.handle

    with pytest.raises(SystemExit) as stopped:
        main(["jobs", "describe", "study", "--summarize"])
    said = capsys.readouterr().out
    assert not stopped.value.code
    table = said.partition("Training Output Trials")[2]
    assert [line.split("|")[4].strip() for line in table.splitlines() if "x=" in line] == ["x=0.25", "x=0.5", "x=0.75"]
    assert "loss" in said
    assert "GRID_SEARCH" in said


def test_a_custom_job_is_no_study(vertex: Vertex) -> None:
    trial = _request()["trialJobSpec"]
    asked = {"display_name": "plain", "job_spec": json_format.ParseDict(trial, types.CustomJobSpec.pb()())}
    made = client("jobs", place()).create_custom_job(parent=place().parent, custom_job=types.CustomJob(**asked))

    with pytest.raises(JobError, match="There is no job 'plain'"):
        tuning.attach("plain")
    with pytest.raises(JobError):
        tuning.attach(f"vertex://{PROJECT}/{REGION}/{made.name.rpartition('/')[2]}")


def test_a_tuning_job_that_others_have_made_is_a_study_too(vertex: Vertex) -> None:
    foreign = _request(_named("other")) | {"displayName": "Grüße, an alle"}
    made = TuningJobs(place()).create(foreign)
    number = made["name"].rpartition("/")[2]

    study = tuning.attach(f"vertex://{PROJECT}/{REGION}/{number}")

    assert study.spec.job.name == f"study_{number}"
    assert study.spec.space == _STUDY.space
    study.cancel()


def test_cancelled_it_keeps_what_has_ended_and_says_what_has_not(vertex: Vertex) -> None:
    TuningJobs(place()).create(_request(_named("slow"), "--pause=30"))
    study = tuning.attach("slow")

    study.cancel()

    assert study.wait(60, progress=False) is jobs.JobState.CANCELLED
    assert {trial.state for trial in study.results} <= {"UNFINISHED", "SUCCEEDED", "INFEASIBLE"}


def test_it_cannot_be_gone_on_with_and_says_what_to_do(study: tuning.Study) -> None:
    with pytest.raises(UsageError, match=r"no resumePreviousJobId.*narrower space around the best trial of 'study'"):
        study.resume()


@pytest.fixture
def wire(vertex: Vertex) -> Iterator[faults.Proxy]:
    """Put a proxy that can do harm between this test and the emulator."""
    with faults.proxy(vertex.address) as proxy, settings.using(vertex_endpoint=proxy.address):
        yield proxy


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut": "after"}, {"cut": "answering"}], ids=str)
def test_whatever_is_lost_there_is_one_study(wire: faults.Proxy, fault: dict[str, Any]) -> None:
    name = f"once_{len(ledger.entries())}_{re.sub('[^a-z0-9]', '', str(fault))}"
    wire.add(Fault("POST", r"/hyperparameterTuningJobs\b", **fault))

    made = TuningJobs(place()).create(_request(_named(name), "--pause=30"))

    found = [job for job in TuningJobs(place()).list() if job["displayName"] == name]
    assert [job["name"] for job in found] == [made["name"]]
    (entry,) = ledger.entries()
    assert (entry.kind, entry.title, entry.name) == ("tuning_job", name, made["name"])
    tuning.attach(name).cancel()


def test_a_refusal_leaves_nothing_on_the_ledger(wire: faults.Proxy) -> None:
    body = faults.google_error(403, "Permission 'aiplatform.hyperparameterTuningJobs.create' denied on resource.")
    wire.add(Fault("POST", r"/hyperparameterTuningJobs\b", status=403, body=body))

    with pytest.raises(CloudError, match=r"aiplatform.hyperparameterTuningJobs.create is missing.*roles/aiplatform"):
        TuningJobs(place()).create(_request(_named("forbidden")))
    assert ledger.entries() == []


def test_a_connection_lost_while_waiting_is_no_end(wire: faults.Proxy) -> None:
    TuningJobs(place()).create(_request(replace(_named("patient"), space={"x": tuning.Choice([0.5])})))
    wire.add(Fault("GET", r"/hyperparameterTuningJobs/", nth=3, cut="before", times=2))

    assert tuning.attach("patient").wait(60, progress=False) is jobs.JobState.SUCCEEDED


# a package and its start program, pip included, as they are sent: the whole way
_PACKAGED = """
import argparse, hypertune
parser = argparse.ArgumentParser(epilog="reports to tuning: loss")
parser.add_argument("--x", type=float)
parser.add_argument("--note")
parser.add_argument("--job-dir")
flags = parser.parse_args()
hypertune.HyperTune().report_hyperparameter_tuning_metric("loss", flags.x + len(flags.note), 1)
print("results go to", flags.job_dir, flush=True)
"""


@pytest.fixture
def packaged(tmp_path: Path) -> JobSpec:
    folder = tmp_path / "trainer"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "task.py").write_text(_PACKAGED)
    arguments = {"note": "ab"}
    return JobSpec("packaged", "trainer.task", package_path=folder, job_dir="gs://staging/packaged", args=arguments)


@pytest.mark.slow
def test_a_package_of_ones_own_is_sent_installed_and_tuned(vertex: Vertex, packaged: JobSpec) -> None:
    study = tuning.tune(packaged, {"x": tuning.Float(0, 1)}, metric="loss", trials=2, parallel=2, algorithm="random")

    assert study.wait(180, progress=False) is jobs.JobState.SUCCEEDED
    assert [trial.objective for trial in study.results] == [
        pytest.approx(2 + float(t.parameters["x"])) for t in study.results
    ]
    assert replace(study.spec.job, packages=(), package_path=None).words == ("--note=ab",)
    # the package too, unless an earlier test has sent the same one
    assert {entry.kind for entry in ledger.entries()} - {"object"} == {"tuning_job"}
    folders = re.findall(r"results go to (\S+)", _logs_of_trials(vertex))
    assert sorted(folder.rpartition("/")[2] for folder in folders) == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {"y": tuning.Float(0, 1)}}, "There is no flag of trainer.task 'y'"),
        ({"metric": "lost"}, "There is no metric reported by trainer.task 'lost'. Did you mean 'loss'?"),
    ],
)
def test_what_the_trainer_lacks_is_found_before_anything_is_sent(
    vertex: Vertex, packaged: JobSpec, change: dict[str, Any], message: str
) -> None:
    study = tuning.StudySpec(packaged, {"x": tuning.Float(0, 1)}, metric="loss")

    with pytest.raises(UsageError, match=re.escape(message)):
        tuning.submit(replace(study, **change))
    assert ledger.entries() == []


def test_the_command_prints_the_whole_request_without_account_or_network(
    packaged: JobSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "hyperparam.yaml"
    config.write_text(
        "trainingInput:\n  hyperparameters:\n    goal: MINIMIZE\n    hyperparameterMetricTag: rmse\n    maxTrials: 20\n"
        "    maxParallelTrials: 5\n    enableTrialEarlyStopping: true\n    params:\n    - parameterName: batch_size\n"
        "      type: INTEGER\n      minValue: 8\n      maxValue: 512\n      scaleType: UNIT_LOG_SCALE\n"
    )
    words = ["--config", str(config), "--backend", "vertex", "--dry-run", "--format", "json"]
    words += ["--package-path", str(packaged.package_path), "--module-name", "trainer.task", "--job-dir", "gs://b/out"]

    with pytest.raises(SystemExit) as stopped:
        main(["jobs", "submit", "training", "babies", *words, "--", "--note", "a"])

    assert not stopped.value.code
    request = json.loads(capsys.readouterr().out)
    message = types.HyperparameterTuningJob.pb()()
    json_format.ParseDict(request, message, ignore_unknown_fields=False)
    made = types.HyperparameterTuningJob.wrap(message)
    assert (made.display_name, made.max_trial_count, made.parallel_trial_count) == ("babies", 20, 5)
    assert made.study_spec.parameters[0].integer_value_spec.max_value == 512
    (pool,) = made.trial_job_spec.worker_pool_specs
    assert pool.container_spec.image_uri.startswith("tensorflow/tensorflow:")
    assert list(pool.container_spec.args)[-4:] == ["--note", "a", "--job-dir", "gs://b/out"]


def test_the_command_shows_the_bill_and_starts_the_study(
    vertex: Vertex,
    packaged: JobSpec,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = tuning.StudySpec(packaged, {"x": tuning.Float(0, 1)}, metric="loss", trials=4, parallel=2)
    priced = TuningBackend.bill
    # the emulator's is free, and nobody is asked for what is free
    monkeypatch.setattr(TuningBackend, "bill", lambda *words: replace(priced(*words), is_free=False))
    config = tmp_path / "hyperparam.json"
    config.write_text(json.dumps({"trainingInput": {"hyperparameters": study.hyperparameters()}}))
    words = ["--config", str(config), "--package-path", str(packaged.package_path), "--module-name", "trainer.task"]

    with pytest.raises(SystemExit) as refused:
        main(["jobs", "submit", "training", "billed", *words, "--", "--note", "a"])
    assert refused.value.code == 2
    assert "nothing was started. Say --yes" in capsys.readouterr().err
    assert ledger.entries() == []
    with pytest.raises(SystemExit) as stopped:
        main(["jobs", "submit", "training", "billed", *words, "--yes", "--", "--note", "a"])

    assert not stopped.value.code
    said = capsys.readouterr().err
    assert "n1-standard-4" in said
    assert "That is for one trial of the study; there are 4, 2 at once." in said
    assert "Job [billed] submitted successfully" in said
    tuning.attach("billed").cancel()


def test_a_plan_without_a_bucket_is_read_and_not_submitted(packaged: JobSpec) -> None:
    study = tuning.StudySpec(replace(packaged, job_dir=None), {"x": tuning.Float(0, 1)}, metric="loss")
    plan = tuning.plan(study, "vertex")

    assert "gs://BUCKET/packages/" in str(plan)
    with settings.using(project=PROJECT), pytest.raises(UsageError, match="needs a bucket, and none is set"):
        tuning.submit(study, "vertex")


def _logs_of_trials(vertex: Vertex) -> str:
    return "\n".join(path.read_text("utf-8", errors="replace") for path in (vertex.home / "jobs").rglob("*.log"))
