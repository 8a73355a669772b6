"""Whole studies on this machine, of a plain Python trainer whose result is known."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running_jobs import WriteTrainer

from mlhelpers import jobs, settings, tuning
from mlhelpers.errors import JobError, UsageError

Tune = Callable[..., tuning.Study]
Until = Callable[..., None]


def _loss(trial: Any) -> float:
    return (trial.parameters["x"] - 0.25) ** 2 + 0.1 * trial.parameters.get("layers", 1) + 1 / trial.step


def test_each_trials_objective_is_what_its_trainer_reported_last(tune: Tune) -> None:
    study = tune({"x": tuning.Float(0.0, 1.0), "layers": tuning.Int(1, 4)})

    assert study.wait(60, progress=False) is jobs.JobState.SUCCEEDED
    assert sorted(trial.number for trial in study.results) == [1, 2, 3, 4]
    assert [trial.state for trial in study.results] == ["SUCCEEDED"] * 4
    assert [trial.objective for trial in study.results] == pytest.approx([_loss(trial) for trial in study.results])
    assert all(trial.step == 4 and list(trial.curve) == [1, 2, 3, 4] for trial in study.results)
    objectives = [trial.objective for trial in study.results]
    assert objectives == sorted(objectives)  # type: ignore[type-var]
    assert study.best.objective == objectives[0]


def test_the_table_has_a_row_for_each_trial_best_first(tune: Tune) -> None:
    study = tune({"x": tuning.Float(0.0, 1.0), "act": tuning.Choice(["relu", "tanh"])})
    study.wait(60, progress=False)

    table = study.trials

    assert table.columns == ["trial", "objective", "step", "x", "act", "state", "seconds", "error"]
    assert table["objective"].is_sorted()
    assert set(table["act"]) <= {"relu", "tanh"}


def test_a_goal_of_maximize_has_the_greatest_value_first(tune: Tune) -> None:
    study = tune(goal="maximize")
    study.wait(60, progress=False)

    objectives = study.trials["objective"]
    assert objectives.is_sorted(descending=True)
    assert study.best.objective == objectives.max()


def test_a_trial_is_a_job_with_the_environment_of_the_service(tune: Tune, write_trainer: WriteTrainer) -> None:
    package = write_trainer(
        "import json, os, sys, hypertune\n"
        "hypertune.HyperTune().report_hyperparameter_tuning_metric('loss', 1.0, 1)\n"
        "if '--help' in sys.argv:\n    sys.exit('--x')\n"
        "names = [name for name in os.environ if name.startswith(('CLOUD_ML', 'AIP', 'TF_', 'OMP', 'CLUSTER'))]\n"
        "print(json.dumps([sys.argv[1:], {name: os.environ[name] for name in names}]))\n",
        "environ",
    )
    job = jobs.JobSpec("study", "trainer.environ", args=["--depth", "2"], package_path=package, job_dir=package / "out")
    study = tuning.tune(job, {"x": tuning.Int(5, 5)}, metric="loss", trials=2, parallel=2, algorithm="random")
    study.wait(60, progress=False)

    words, environ = json.loads(jobs.attach("study.2").log().splitlines()[-1])

    place = f"{package}/out/2"
    assert words == ["--depth", "2", "--x=5", "--job-dir", place]
    assert (environ["CLOUD_ML_TRIAL_ID"], environ["CLOUD_ML_HP_METRIC_TAG"]) == ("2", "loss")
    assert environ["CLOUD_ML_JOB_ID"] == "study"
    assert json.loads(environ["TF_CONFIG"])["task"] == {"trial": "2"}
    assert json.loads(environ["CLUSTER_SPEC"])["task"] == {"type": "workerpool0", "index": 0, "trial": "2"}
    assert environ["AIP_MODEL_DIR"] == f"{place}/model/"
    expected = str(max(1, settings.cores() // min(2, settings.current().max_jobs)))
    assert environ["TF_NUM_INTRAOP_THREADS"] == environ["OMP_NUM_THREADS"] == expected


def test_no_more_trials_run_at_once_than_there_are_places(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLHELPERS_MAX_JOBS", "2")
    study = tune(trials=6, parallel=5, args={"pause": 0.1})
    study.wait(60, progress=False)

    spans = [(trial.start_time, trial.end_time) for trial in study.results]
    most = max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
    assert most == 2
    assert "2 of the 5 asked for at once" in tuning.plan(study.spec).request["local"]["note"]


def test_trials_do_not_stand_in_the_list_of_jobs_and_speak_in_the_studys_log(tune: Tune) -> None:
    study = tune(trials=2)
    study.wait(60, progress=False)

    assert [row["jobId"] for row in jobs.list_jobs()] == ["study"]
    entries = list(study.job.follow())
    assert {entry.trial for entry in entries} == {"", "1", "2"}
    assert [entry.message for entry in entries if entry.trial == "2" and entry.task != "service"] == [
        f"step {step}" for step in (1, 2, 3, 4)
    ]


def test_a_description_has_the_trials_as_the_service_wrote_them(tune: Tune) -> None:
    study = tune(trials=2, args={"fail-above": 0.5}, space={"x": tuning.Choice([0.25, 0.75])}, algorithm="grid")
    study.wait(60, progress=False)

    output = study.job.describe()["trainingOutput"]

    good, bad = output.pop("trials")
    assert output == {
        "completedTrialCount": "2",
        "isHyperparameterTuningJob": True,
        "hyperparameterMetricTag": "loss",
    }
    assert (good["hyperparameters"], good["state"]) == ({"x": "0.25"}, "SUCCEEDED")
    assert good["finalMetric"] == {"objectiveValue": pytest.approx(0.35), "trainingStep": "4"}
    assert (bad["hyperparameters"], bad["state"]) == ({"x": "0.75"}, "FAILED")
    assert "finalMetric" not in bad
    assert "this x is too great" in bad["errorMessage"]


def test_a_failed_trial_is_kept_with_its_error_and_the_study_goes_on(tune: Tune) -> None:
    space = {"x": tuning.Choice([0.1, 0.2, 0.3, 0.9])}
    study = tune(space, algorithm="grid", args={"fail-above": 0.5})

    assert study.wait(60, progress=False) is jobs.JobState.SUCCEEDED
    last = study.results[-1]
    assert (last.state, last.parameters, last.objective) == ("INFEASIBLE", {"x": 0.9}, None)
    assert last.error.startswith("The trainer exited with code 1: this x is too great\n")
    assert study.best.parameters == {"x": 0.2} or study.best.parameters == {"x": 0.3}


def test_more_failures_than_allowed_end_the_study_with_their_count(tune: Tune) -> None:
    study = tune(trials=8, max_failed=1, args={"fail-above": -1.0})

    with pytest.raises(JobError, match=r"The study failed: 2 of \d trials failed \(maxFailedTrials is 1\)"):
        study.wait(60, progress=False)
    assert "this x is too great" in study.job.describe()["errorMessage"]


def test_a_study_in_which_nothing_works_gives_up_early(tune: Tune) -> None:
    study = tune(trials=20, args={"fail-above": -1.0})

    with pytest.raises(JobError, match="maxFailedTrials is 0, which leaves it to the study"):
        study.wait(60, progress=False)
    assert len(study.results) <= 5


def test_a_trainer_that_reports_nothing_is_found_out_before_the_first_trial(tune: Tune) -> None:
    study = tune(metric="accuracy")

    with pytest.raises(JobError, match=r"There is no metric reported by trainer\.task 'accuracy'"):
        study.wait(60, progress=False)
    assert study.results == []


def test_a_parameter_that_is_no_flag_is_refused_and_nothing_is_left(tune: Tune, home: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no flag of trainer\.task 'layer'\. Did you mean 'layers'\?"):
        tune({"layer": tuning.Int(1, 3)})

    assert jobs.list_jobs() == []
    assert [path.name for path in (home / "jobs").iterdir() if path.is_dir()] == []


def test_a_grid_tries_every_point_once_and_ends_before_the_trials_are_used_up(tune: Tune) -> None:
    space = {"layers": tuning.Int(1, 2), "x": tuning.Choice([0.0, 0.5]), "act": tuning.Choice(["relu", "tanh"])}
    study = tune(space, algorithm="grid", trials=50)
    study.wait(90, progress=False)

    points = [tuple(trial.parameters.values()) for trial in study.results]
    assert sorted(points) == [(n, x, act) for n in (1, 2) for x in (0.0, 0.5) for act in ("relu", "tanh")]


def test_a_parameter_under_a_condition_goes_to_the_trials_that_use_it_alone(tune: Tune) -> None:
    space = {"layers": tuning.Int(1, 4, when={"act": ["tanh"]}), "act": tuning.Choice(["relu", "tanh"])}
    study = tune(space, trials=6)
    study.wait(60, progress=False)

    for trial in study.results:
        assert ("layers" in trial.parameters) == (trial.parameters["act"] == "tanh")
        has_flag = "--layers" in " ".join(jobs.attach(trial.job).describe()["trainingInput"]["args"])
        assert has_flag == ("layers" in trial.parameters)
    assert {trial.parameters["act"] for trial in study.results} == {"relu", "tanh"}


def test_cancelling_a_study_ends_its_trials_too(tune: Tune, until: Until, no_process_is_left: Any) -> None:
    study = tune(args={"pause": 5.0})
    until(lambda: "trial 2 begins" in study.job.log(), 30)
    until(lambda: jobs.attach("study.2").state is jobs.JobState.RUNNING, 10)

    until(lambda: study.trials["seconds"].null_count() == 0, 5)

    study.cancel()

    assert study.wait(20, progress=False) is jobs.JobState.CANCELLED
    until(lambda: jobs.attach("study.1").state is jobs.JobState.CANCELLED, 5)
    until(lambda: no_process_is_left() == [], 5)
    study.cancel()
    assert study.state is jobs.JobState.CANCELLED
    assert {trial.state for trial in study.results} == {"UNFINISHED"}


def _pid(name: str) -> int:
    return int(jobs.attach(name).describe()["localOutput"]["replicas"][0]["pid"])


def test_a_killed_controller_comes_back_and_no_trial_is_lost_or_repeated(tune: Tune, until: Until) -> None:
    study = tune(trials=5, args={"pause": 0.2}, job={"max_restarts": 2})
    until(lambda: any(trial.is_over for trial in study.results), 30)

    os.kill(_pid("study"), signal.SIGKILL)

    assert study.wait(60, progress=False) is jobs.JobState.SUCCEEDED
    assert sorted(trial.number for trial in study.results) == [1, 2, 3, 4, 5]
    assert [trial.objective for trial in study.results] == pytest.approx([_loss(trial) for trial in study.results])
    assert "is taken up again" in study.job.log()
    assert len({trial.parameters["x"] for trial in study.results}) == 5


def test_a_study_whose_supervisor_was_killed_ends_and_is_gone_on_with(
    tune: Tune, until: Until, no_process_is_left: Any
) -> None:
    study = tune(trials=4, args={"pause": 0.3})
    until(lambda: any(trial.is_over for trial in study.results), 30)
    done = {trial.number: trial for trial in study.results if trial.is_over}

    os.kill(int(_supervisor("study")), signal.SIGKILL)

    until(lambda: study.state is jobs.JobState.FAILED, 5)
    until(lambda: no_process_is_left() == [], 10)
    again = study.resume("study_again")
    assert again.wait(60, progress=False) is jobs.JobState.SUCCEEDED
    after = {trial.number: trial for trial in again.results}
    assert sorted(after) == [1, 2, 3, 4]
    for number, trial in done.items():
        assert (after[number].objective, after[number].job) == (trial.objective, trial.job)
    assert all(trial.state == "SUCCEEDED" for trial in after.values())


def _supervisor(name: str) -> str:
    from mlhelpers.jobs.local.store import Store

    row = Store(settings.current().home / "jobs").job(name)
    assert row is not None
    return str(row["supervisor"]).split("/")[-2]


def test_a_finished_study_is_a_warm_start_for_more_trials(tune: Tune) -> None:
    study = tune(trials=2)
    study.wait(60, progress=False)

    more = study.resume("more", trials=4)
    more.wait(60, progress=False)

    assert {trial.number: trial.job for trial in more.results} == {1: "study.1", 2: "study.2", 3: "more.3", 4: "more.4"}
    assert len({trial.parameters["x"] for trial in more.results}) == 4


def test_a_study_does_not_go_on_from_one_that_searched_something_else(tune: Tune) -> None:
    tune(trials=1).wait(60, progress=False)

    other = tune({"x": tuning.Float(0.0, 2.0)}, name="other", resume="study")
    with pytest.raises(JobError, match="it searched x in another way"):
        other.wait(60, progress=False)


def test_the_best_trial_is_trained_again_with_other_arguments(tune: Tune) -> None:
    study = tune(trials=2, args=["--steps", "3", "--pause=0"])
    study.wait(60, progress=False)

    job = study.best.rerun("again", args={"steps": 7})
    job.wait(30, progress=False)

    args = job.describe()["trainingInput"]["args"]
    assert args == ["--pause=0", f"--x={study.best.parameters['x']}", "--steps=7"]
    assert job.log().splitlines()[-1] == "step 7"


def test_a_study_is_taken_up_by_its_name_and_a_plain_job_is_not(tune: Tune, trainer: Path) -> None:
    tune(trials=1).wait(60, progress=False)
    jobs.run(jobs.JobSpec("plain", "trainer.task", package_path=trainer))

    assert tuning.attach("local://study").best.number == 1
    with pytest.raises(JobError, match="'plain' is no study"):
        tuning.attach("plain")


def test_a_plan_shows_the_study_and_starts_nothing(trainer: Path, home: Path) -> None:
    job = jobs.JobSpec("study", "trainer.task", package_path=trainer, scale_tier="STANDARD_1")
    plan = tuning.plan(tuning.StudySpec(job, {"x": tuning.Float(0, 1)}, "loss", trials=3, parallel=2))

    assert plan.request["trainingInput"]["hyperparameters"]["maxTrials"] == 3
    assert plan.request["trainingInput"]["scaleTier"] == "STANDARD_1"
    assert "A study of 3 trials, each one process; whatever STANDARD_1 meant" in str(plan).replace("\n ", "")
    assert not (home / "jobs" / "study").exists()


def test_a_trainer_whose_help_says_what_it_reports_needs_no_short_run(tune: Tune, trainer: Path) -> None:
    task = trainer / "task.py"
    task.write_text(task.read_text().replace("ArgumentParser()", "ArgumentParser(epilog='reports to tuning: loss')"))

    with pytest.raises(UsageError, match=r"no metric reported by trainer\.task 'los'\. Did you mean 'loss'\?"):
        tune(metric="los")
    study = tune(trials=1)
    study.wait(60, progress=False)

    assert study.job.log().startswith("trial 1 begins")


def test_a_trial_without_hope_is_stopped_early_and_says_so(tune: Tune) -> None:
    # one at a time; this seed's order of the grid is 2, 7, 6, 27, 5, 35, 38: the last two are worse than all before
    space = {"layers": tuning.Int(1, 40), "x": tuning.Choice([0.25])}
    args = {"pause": 0.3, "steps": 6}
    study = tune(space, trials=7, parallel=1, early_stopping=True, algorithm="grid", seed=11, args=args)

    assert study.wait(120, progress=False) is jobs.JobState.SUCCEEDED
    stopped = [trial for trial in study.results if trial.state == "STOPPED_EARLY"]
    assert [trial.parameters["layers"] for trial in stopped] == [35, 38]
    for trial in stopped:
        assert 1 <= (trial.step or 0) < 6
        assert trial.objective == pytest.approx(_loss(trial))
        assert f"trial {trial.number} is stopped early" in study.job.log()
    told = {trial["trialId"]: trial for trial in study.job.describe()["trainingOutput"]["trials"]}
    assert all(told[str(trial.number)]["isTrialStoppedEarly"] for trial in stopped)
