"""What a job has reported: real event files and metric files, written by real trainers in their own processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs.curves import log_folder, read_curves

Submit = Callable[..., jobs.Job]

# a trainer that knows nothing of mlhelpers: --output_dir OUT, PyTorch's and Keras' way of writing
_TRAINER = """
import sys, time
for name in ("tensorflow", "jax"):
    sys.modules[name] = None
from pathlib import Path
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

out = Path(next(word.partition("=")[2] for word in sys.argv if "_dir=" in word))
for part, first in (("train", 2.0), ("eval", 3.0)):
    for attempt, steps in enumerate([(10, 20, 30), (20, 30, 40)]):
        writer = EventFileWriter(str(out / part), filename_suffix=f".{attempt}")
        for step in steps:
            value = Summary.Value(tag="loss", simple_value=first / step + attempt)
            writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=[value])))
        writer.close()
"""
_METRIC_FILE = """
import json, os
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file:
    for step, value in ((200, "0.75"), (100, "0.5")):
        report = {"timestamp": 1.0, "trial": "0", "accuracy": value, "global_step": str(step), "checkpoint_path": ""}
        print(json.dumps(report), file=file)
    file.write('{"timestamp": 2.0, "tri')
"""


@pytest.fixture
def reported(submit: Submit, tmp_path: Path) -> jobs.Job:
    job = submit(_TRAINER, args=["--output_dir=runs/first"])  # relative to the project, as at the command line
    job.wait(60, progress=False)
    return job


def test_events_become_curves_of_training_and_validation(reported: jobs.Job, tmp_path: Path) -> None:
    curves = read_curves(reported.describe())

    assert list(curves) == ["loss"]
    steps, values = curves["loss"]["training"]
    assert steps == [10, 20, 30, 40]
    assert values == pytest.approx([0.2, 1.1, 1 + 2 / 30, 1.05])  # what was told last of a step counts
    assert curves["loss"]["validation"][0] == [10, 20, 30, 40]
    assert log_folder(reported.describe()) == tmp_path / "project" / "runs" / "first"


def test_the_axes_show_the_lines(reported: jobs.Job) -> None:
    (ax,) = reported.plot("loss")

    assert [line.get_label() for line in ax.lines] == ["training", "validation"]
    assert ax.get_title(loc="left") == "first: loss"
    assert reported.plot(ax=ax) == [ax]


def test_an_unknown_metric_is_refused_with_the_nearest(reported: jobs.Job) -> None:
    with pytest.raises(UsageError, match="loss"):
        reported.plot("los")


def test_events_that_were_there_before_the_job_are_another_jobs(
    reported: jobs.Job, submit: Submit, tmp_path: Path
) -> None:
    job = submit("print('nothing')", "second", args=["--data_dir=runs"])
    job.wait(30, progress=False)

    with pytest.raises(JobError, match=r"'second' \(SUCCEEDED\) has reported no metrics yet.*runs"):
        job.plot()


def test_a_bucket_named_beside_a_folder_in_it_is_not_searched(submit: Submit, tmp_path: Path) -> None:
    (tmp_path / "project" / "bucket" / "mine").mkdir(parents=True)
    code = _TRAINER.replace('"_dir="', '"--bucket="')  # as another job would write into the bucket meanwhile
    job = submit(code, args=["--bucket=bucket", "--output_dir", "bucket/mine"])
    job.wait(60, progress=False)

    with pytest.raises(JobError, match="no metrics yet"):
        read_curves(job.describe())


def test_the_metric_file_stands_in_where_there_are_no_events(submit: Submit) -> None:
    job = submit(_METRIC_FILE)
    job.wait(30, progress=False)

    assert read_curves(job.describe()) == {"accuracy": {"master-replica-0": ([100, 200], [0.5, 0.75])}}


def test_a_curve_goes_on_where_a_trainer_was_started_again(submit: Submit) -> None:
    job = submit(
        """
        import os, pathlib, sys
        import hypertune
        began = pathlib.Path("began")
        again = began.exists()
        began.touch()
        report = hypertune.HyperTune().report_hyperparameter_tuning_metric
        for step in (30, 40) if again else (10, 20, 30):
            report("accuracy", step / 100 + again, step)
        sys.exit(0 if again else 7)
        """
    )
    job.wait(30)

    assert read_curves(job.describe()) == {"accuracy": {"master-replica-0": ([10, 20, 30, 40], [0.1, 0.2, 1.3, 1.4])}}


def test_before_anything_is_reported_the_error_says_where_was_looked(submit: Submit, tmp_path: Path) -> None:
    job = submit("print('nothing')", job_dir=tmp_path / "out")
    job.wait(30, progress=False)

    with pytest.raises(JobError, match=r"no TensorBoard events in its folders \(.*out\), and no metric file"):
        job.plot()
    assert log_folder(job.describe()) == tmp_path / "out"  # TensorBoard also shows what comes later


def test_without_any_folder_tensorboard_is_refused(submit: Submit) -> None:
    job = submit("print('nothing')")
    job.wait(30, progress=False)

    with pytest.raises(JobError, match="it was given no folder that exists"):
        job.tensorboard()


def test_tensorboard_opens_on_the_jobs_folder(reported: jobs.Job) -> None:
    board = reported.tensorboard(height=400)

    assert board.address.startswith("http://127.0.0.1:")
    assert board.height == 400


def test_a_trial_has_the_curves_of_its_own_folder_where_all_trials_name_the_same(
    reported: jobs.Job, tmp_path: Path
) -> None:
    runs = tmp_path / "project" / "runs" / "first"
    (runs / "2").mkdir()
    (runs / "train").rename(runs / "2" / "train")  # what is left belongs to another trial

    curves = read_curves(reported.describe() | {"jobId": "study.2"})

    assert list(curves["loss"]) == ["training"]
