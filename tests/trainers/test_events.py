from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers.trainers.events import EventWriter


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = EventWriter(tmp_path / "train")
    writer.scalars(1, {"loss": 0.5, "rmse": 2.0})
    writer.scalars(7, {"loss": 0.25})
    writer.close()

    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"loss", "rmse"}
    found = [(event.step, event.tensor_proto.float_val[0]) for event in events.Tensors("loss")]
    assert found == [(1, pytest.approx(0.5)), (7, pytest.approx(0.25))]


def test_tensorflow_reads_the_records_and_finds_the_version_first(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path)
    writer.scalars(3, {"loss": 0.5})
    writer.close()
    (path,) = tmp_path.iterdir()
    code = (
        "import sys, tensorflow as tf; "
        "events = list(tf.compat.v1.train.summary_iterator(sys.argv[1])); "
        "print(events[0].file_version, events[1].step, events[1].summary.value[0].metadata.plugin_data.plugin_name)"
    )

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["brain.Event:2", "3", "scalars"]


def test_two_writers_of_one_second_have_files_of_their_own(tmp_path: Path) -> None:
    for _ in range(2):
        EventWriter(tmp_path).close()

    assert len(list(tmp_path.iterdir())) == 2
