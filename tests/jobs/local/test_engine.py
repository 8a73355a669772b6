"""Jobs on this machine, with real processes: their life, their environment, their end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs, settings
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs import JobSpec, JobState

Submit = Callable[..., jobs.Job]
Until = Callable[..., None]

_ONCE = {"max_restarts": 0, "max_retries": 0}

_SHOWS_ITSELF = """
    import json, os, sys
    print(json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "file": __file__}))
"""
_GOES_ON = """
    import time
    print("started")
    time.sleep(60)
"""


def _shown(job: jobs.Job) -> dict:
    job.wait(30)
    return json.loads(job.log())


# --- plan ---


def test_a_plan_writes_nothing(write_trainer, home: Path) -> None:
    package = write_trainer("")

    jobs.plan(JobSpec("first", "trainer.task", package_path=package, job_dir="gs://bucket/out"))

    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_plan_shows_the_arguments_that_the_trainer_gets(write_trainer) -> None:
    spec = JobSpec(
        "first", "trainer.task", ["--x", "1"], package_path=write_trainer(_SHOWS_ITSELF), job_dir="gs://bucket/o"
    )

    plan = jobs.plan(spec)
    argv = _shown(jobs.submit(spec))["argv"]

    assert ["-m", "trainer.task", *argv] == plan.request["local"]["command"][-2 - len(argv) :]
    assert "jobId: first" in str(plan)


# --- success ---


def test_a_job_that_ends_well_has_succeeded(submit: Submit) -> None:
    assert JobState.SUCCEEDED is submit("print('done')").wait(30)


def test_submit_returns_before_the_trainer_ends(submit: Submit) -> None:
    begin = time.monotonic()

    job = submit(_GOES_ON)

    assert time.monotonic() - begin < 5
    assert not job.state.is_final
    job.cancel()


def test_the_resource_has_the_fields_of_the_service(submit: Submit) -> None:
    job = submit(
        "print('done')", args=["--x", "1"], labels={"team": "blue"}, region="europe-west1", job_dir="gs://bucket/o"
    )
    job.wait(30)

    resource = job.describe()

    assert (resource["jobId"], resource["state"], resource["labels"]) == ("first", "SUCCEEDED", {"team": "blue"})
    assert {
        "scaleTier": "BASIC",
        "pythonModule": "trainer.task",
        "args": ["--x", "1"],
        "region": "europe-west1",
        "jobDir": "gs://bucket/o",
    }.items() <= resource["trainingInput"].items()
    assert resource["localOutput"]["replicas"][0]["exitCode"] == 0


def test_times_are_rfc_3339_in_utc_and_in_order(submit: Submit) -> None:
    job = submit("print('done')")
    job.wait(30)

    resource = job.describe()
    times = [resource[key] for key in ("createTime", "startTime", "endTime")]

    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment) for moment in times)
    assert sorted(times) == times


def test_standard_error_and_output_stand_in_the_log_in_order(submit: Submit) -> None:
    job = submit("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('drei ü 数')")
    job.wait(30)

    assert job.log() == "one\ntwo\ndrei ü 数\n"


# --- what the trainer is given ---


def test_the_job_dir_comes_last_and_addresses_become_folders(submit: Submit, home: Path) -> None:
    job = submit(
        _SHOWS_ITSELF,
        args=["--in", "gs://bucket/a", "--files=gs://bucket/b,gs://other/c", "x"],
        job_dir="gs://bucket/out",
    )

    argv = _shown(job)["argv"]

    buckets = home / "buckets"
    expected = ["--in", f"{buckets}/bucket/a", f"--files={buckets}/bucket/b,{buckets}/other/c", "x"]
    assert [*expected, "--job-dir", f"{buckets}/bucket/out"] == argv
    assert (buckets / "bucket" / "out").is_dir()


def test_the_environment_is_copied_and_extended(submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "1")
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "7")

    env = _shown(submit(_SHOWS_ITSELF, env={"OF_THE_SPEC": "2"}))["env"]

    assert (env["FROM_OUTSIDE"], env["OF_THE_SPEC"], env["PYTHONUNBUFFERED"]) == ("1", "2", "1")
    assert os.environ["PATH"] == env["PATH"]
    assert "CLOUD_ML_TRIAL_ID" not in env


def test_the_environment_contract_of_a_single_replica_is_kept(submit: Submit, tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"

    env = _shown(submit(_SHOWS_ITSELF, args=["--x", "1"], job_dir=out))["env"]

    config = json.loads(env["TF_CONFIG"])
    assert (config["cluster"], config["task"], config["environment"]) == ({}, {}, "cloud")
    assert (config["job"]["job_name"], config["job"]["args"]) == ("first", ["--x", "1"])
    spec = json.loads(env["CLUSTER_SPEC"])
    assert (list(spec["cluster"]), spec["task"]) == (["workerpool0"], {"type": "workerpool0", "index": 0})
    assert config["job"] == json.loads(env["CLOUD_ML_JOB"])
    assert env["CLOUD_ML_JOB_ID"] == "first"
    assert f"{out}/model/" == env["AIP_MODEL_DIR"]
    assert f"{out}/checkpoints/" == env["AIP_CHECKPOINT_DIR"]
    assert f"{out}/logs/" == env["AIP_TENSORBOARD_LOG_DIR"]
    assert str(home) == env["MLHELPERS_HOME"]
    assert Path(env["CLOUD_ML_HP_METRIC_FILE"]).parent.is_dir()


def test_without_a_job_dir_no_folder_for_results_is_named(submit: Submit) -> None:
    env = _shown(submit(_SHOWS_ITSELF))["env"]

    assert not [name for name in env if name.startswith("AIP_")]


def test_an_installed_module_runs_in_the_folder_of_the_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.json").write_text("[1,\n2]")

    job = jobs.run(JobSpec("first", "json.tool", args=["--compact", "numbers.json"]))

    assert job.log() == "[1,2]\n"


def test_the_working_folder_of_the_submitter_stays(submit: Submit) -> None:
    before = os.getcwd()

    cwd = _shown(submit(_SHOWS_ITSELF))["cwd"]

    assert before == os.getcwd()
    assert cwd.endswith("/project")


def test_edits_after_the_submission_do_not_reach_the_job(submit: Submit, write_trainer, tmp_path: Path) -> None:
    write_trainer("WORD = 'as submitted'", module="late")
    job = submit(
        """
        import pathlib, time
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
        from trainer.late import WORD
        print(WORD)
        """
    )

    write_trainer("WORD = 'edited'", module="late")
    (tmp_path / "project" / "go").touch()
    job.wait(30)

    assert job.log() == "as submitted\n"


def test_a_pythonpath_of_the_spec_is_searched_after_the_package(submit: Submit, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "extra_module.py").write_text("WORD = 'found'")

    job = submit("from extra_module import WORD\nprint(WORD)", env={"PYTHONPATH": str(tmp_path / "more")})
    job.wait(30)

    assert job.log() == "found\n"


# --- failure ---


def test_wait_raises_at_once_with_the_exit_code_and_the_last_lines(submit: Submit) -> None:
    job = submit("import sys\nfor n in range(30): print('line', n)\nsys.exit(3)", **_ONCE)
    begin = time.monotonic()

    with pytest.raises(JobError) as caught:
        job.wait(60)

    assert time.monotonic() - begin < 10
    assert "The job 'first' failed. The trainer exited with code 3." in str(caught.value)
    assert [f"  line {n}" for n in range(10, 30)] == str(caught.value).splitlines()[-20:]
    assert job.describe()["localOutput"]["replicas"][0]["exitCode"] == 3


def test_run_raises_too(write_trainer) -> None:
    package = write_trainer("raise SystemExit(4)")

    with pytest.raises(JobError, match=r"exited with code 4.\nIt printed nothing."):
        jobs.run(JobSpec("first", "trainer.task", package_path=package, **_ONCE))


def test_a_trainer_that_is_killed_is_failed_with_the_signal_named(submit: Submit, until: Until) -> None:
    job = submit(_GOES_ON, **_ONCE)
    until(lambda: "started" in job.log())

    psutil.Process(job.describe()["localOutput"]["replicas"][0]["pid"]).kill()

    with pytest.raises(
        JobError, match=r"was ended by the signal SIGKILL.\nHint: SIGKILL from outside is mostly .* memory"
    ):
        job.wait(10)


def test_an_unknown_flag_brings_the_trainers_own_words(submit: Submit) -> None:
    job = submit(
        """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--train_steps")
        parser.parse_args()
        """,
        args=["--train_stepz=5"],
    )

    with pytest.raises(JobError) as caught:
        job.wait(30)

    assert "exited with code 2" in str(caught.value)
    assert "unrecognized arguments: --train_stepz=5" in str(caught.value)
    assert "Hint: The trainer does not take these arguments" in str(caught.value)


def test_a_name_is_used_once(submit: Submit) -> None:
    submit("print('done')").wait(30)

    with pytest.raises(JobError, match=r"The job name 'first' is taken: .* is SUCCEEDED. .* for instance 'first_2'"):
        submit("print('again')")

    assert jobs.attach("first").log() == "done\n"


def test_a_job_dir_that_cannot_be_made_is_refused_before_anything_starts(submit: Submit, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match=r"The job dir '.*/file/out' cannot be written: Not a directory"):
        submit("print('never')", job_dir=tmp_path / "file" / "out")

    assert jobs.list_jobs() == []


def test_a_home_that_cannot_hold_jobs_is_refused_with_the_way_out(submit: Submit, home: Path) -> None:
    home.mkdir()
    (home / "jobs").touch()

    with pytest.raises(Exception, match=r"Set MLHELPERS_HOME to a folder you may write to"):
        submit("print('never')")


# --- cancel ---


def test_cancel_ends_a_job(submit: Submit, until: Until) -> None:
    job = submit(_GOES_ON)
    until(lambda: "started" in job.log())

    job.cancel()

    assert JobState.CANCELLED is job.wait(10)


def test_cancel_right_after_submit_ends_the_job(submit: Submit) -> None:
    job = submit(_GOES_ON)

    job.cancel()

    assert JobState.CANCELLED is job.wait(10)


def test_cancel_twice_is_fine(submit: Submit) -> None:
    job = submit(_GOES_ON)

    job.cancel()
    job.cancel()

    assert JobState.CANCELLED is job.wait(10)
    job.cancel()
    assert JobState.CANCELLED is job.state


def test_a_finished_job_stays_finished_when_cancelled(submit: Submit) -> None:
    job = submit("print('done')")
    job.wait(30)
    before = job.describe()

    job.cancel()

    assert before == job.describe()


def test_cancel_reaches_grandchildren_in_sessions_of_their_own(submit: Submit, until: Until) -> None:
    job = submit(
        """
        import subprocess, sys, time
        inner = "import time; print('inner', flush=True); time.sleep(60)"
        outer = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}], start_new_session=True)"
        subprocess.run([sys.executable, "-c", outer])  # its own child is an orphan from here on
        subprocess.Popen([sys.executable, "-c", inner])
        time.sleep(60)
        """
    )
    until(lambda: job.log().count("inner") == 2)

    job.cancel()

    assert JobState.CANCELLED is job.wait(10)  # that none is left is seen by the fixture no_process_is_left


def test_cancel_reaches_a_grandchild_that_has_wiped_its_environment(submit: Submit, until: Until) -> None:
    job = submit(
        """
        import subprocess, sys, time
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True, env={})
        time.sleep(60)
        """
    )
    until(lambda: job.log())
    grandchild = psutil.Process(int(job.log()))

    job.cancel()
    job.wait(10)

    assert not grandchild.is_running()


def test_a_trainer_may_end_by_itself_when_cancelled(submit: Submit, until: Until) -> None:
    job = submit(
        """
        import signal, sys, time
        def end(number, frame):
            print("saved")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("started")
        time.sleep(60)
        """
    )
    until(lambda: "started" in job.log())

    job.cancel()

    assert JobState.CANCELLED is job.wait(10)
    assert job.log() == "started\nsaved\n"


def test_a_trainer_that_will_not_end_is_killed_when_the_grace_is_over(submit: Submit, until: Until) -> None:
    job = submit(
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("started")
        time.sleep(60)
        """,
        grace_s=0.3,
    )
    until(lambda: "started" in job.log())
    begin = time.monotonic()

    job.cancel()

    assert JobState.CANCELLING is job.state
    assert JobState.CANCELLED is job.wait(10)
    assert 0.25 < time.monotonic() - begin < 5


def test_children_that_a_trainer_leaves_behind_end_with_the_job(submit: Submit) -> None:
    job = submit("import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)")

    assert JobState.SUCCEEDED is job.wait(10)


# --- take up again ---


def test_a_job_outlives_its_submitter_and_is_taken_up_by_another_process(
    write_trainer, home: Path, child_environment: dict[str, str]
) -> None:
    package = write_trainer("import time\nprint('started')\ntime.sleep(1)\nprint('ended')")
    code = (
        "from mlhelpers import jobs\n"
        f"print(jobs.submit(jobs.JobSpec('first', 'trainer.task', package_path={str(package)!r})).handle)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=child_environment, check=True
    )
    job = jobs.attach(done.stdout.strip())

    assert job.handle == "local://first"
    assert JobState.SUCCEEDED is job.wait(30)
    assert job.log() == "started\nended\n"


def test_a_job_is_taken_up_by_its_name_alone(submit: Submit) -> None:
    submit("print('done')").wait(30)

    assert jobs.attach("first").log() == "done\n"


def test_a_job_that_does_not_exist_is_refused_with_the_nearest(submit: Submit) -> None:
    submit("print('done')").wait(30)

    with pytest.raises(JobError, match=r"There is no job 'frist'. Did you mean 'first'.* mlhelpers jobs list"):
        jobs.attach("frist")


@pytest.mark.parametrize("handle", ["://first", "local://"])
def test_a_malformed_handle_is_refused_with_the_form(handle: str) -> None:
    with pytest.raises(UsageError, match=r"is no job handle. A handle reads BACKEND://NAME"):
        jobs.attach(handle)


def test_a_backend_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"There is no backend 'moon'. Known: local, vertex."):
        jobs.attach("moon://project/region/1")


def test_the_backend_in_force_is_the_settings() -> None:
    with settings.using(backend="lokal"), pytest.raises(UsageError, match=r"no backend 'lokal'. Did you mean 'local'"):
        jobs.list_jobs()


def test_jobs_are_listed_newest_first_and_as_many_as_asked(submit: Submit) -> None:
    for name in ("a", "b", "c"):
        submit("print('done')", name=name)
    for name in ("a", "b", "c"):
        jobs.attach(name).wait(30)

    assert [row["jobId"] for row in jobs.list_jobs()] == ["c", "b", "a"]
    assert [(row["jobId"], row["state"]) for row in jobs.list_jobs(limit=1)] == [("c", "SUCCEEDED")]


def test_an_empty_store_lists_nothing() -> None:
    assert jobs.list_jobs() == []


def test_a_job_keeps_to_the_store_it_was_made_in(submit: Submit, tmp_path: Path) -> None:
    job = submit("print('done')")

    with settings.using(home=tmp_path / "elsewhere"):
        assert JobState.SUCCEEDED is job.wait(30)
        assert jobs.list_jobs() == []
