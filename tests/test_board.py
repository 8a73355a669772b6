"""TensorBoard in the process of a notebook: real event files, real HTTP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers import board
from mlhelpers.errors import DataError

_RUN = """
import sys, time
from pathlib import Path

import requests

from mlhelpers import board
from mlhelpers.frameworks import hidden

folder = Path(sys.argv[1])
with hidden(["tensorflow"]):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / "train"))
    for step in range(3):
        values = [Summary.Value(tag="loss", simple_value=1 / (step + 1))]
        writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=values)))
    writer.close()
shown = board.show(folder)
assert shown.address.startswith("http://127.0.0.1:"), shown
assert shown.address in shown._repr_html_()
again = board.show(str(folder) + "/", height=300)
assert (again.address, again.height) == (shown.address, 300), again
assert "tensorflow" not in sys.modules
deadline = time.monotonic() + 20
while not (points := requests.get(f"{shown.address}data/plugin/scalars/scalars?run=train&tag=loss")).ok:
    assert time.monotonic() < deadline, points.text
    time.sleep(0.2)
print([(step, round(value, 3)) for _, step, value in points.json()])
"""


def test_it_answers_with_the_curves_of_a_run_and_ends_with_its_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path)], capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[(0, 1.0), (1, 0.5), (2, 0.333)]"
    assert "GET /" not in done.stderr


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is no folder, so there are no curves to show"):
        board.show(tmp_path / "nowhere")


_READ = """
import sys, time
from mlhelpers import board
from mlhelpers.frameworks import hidden

folder = sys.argv[1]
with hidden(["tensorflow"]):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.plugins.text.summary_v2 import text_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(folder)
    for step in (2, 1, 2):
        for summary in (
            scalar_pb("loss", step / 4),  # TensorFlow 2's way
            Summary(value=[Summary.Value(tag="old", simple_value=step / 8)]),  # TensorFlow 1's, and PyTorch's
            text_pb("note", "no number"),
        ):
            writer.add_event(Event(step=step, wall_time=time.time(), summary=summary))
    writer.close()
print(board.read_scalars(folder))
assert "tensorflow" not in sys.modules
"""


def test_scalars_are_read_however_they_were_written_and_without_tensorflow(tmp_path: Path) -> None:
    with (tmp_path / "events.out.tfevents.9999999999.half").open("wb") as file:
        file.write(b"\x18\x00\x00\x00\x00\x00\x00\x00half")  # being written, or lost with its writer
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path)], capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "{'old': ([1, 2], [0.125, 0.25]), 'loss': ([1, 2], [0.25, 0.5])}"
