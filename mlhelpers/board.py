"""TensorBoard inside a notebook, and the numbers that it draws.

It runs in the notebook's own process, on loopback, and ends with it: no process is left behind, and no program has to
be on the PATH. May import `errors`, `frameworks` and `storage`.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, MissingExtraError
from mlhelpers.frameworks import hidden
from mlhelpers.storage import local_path

__all__ = ["Board", "read_scalars", "show"]

_MOST_POINTS = 2000  # of one curve; of more, as many are taken by chance, and the last one always
_RUNNING: dict[Path, str] = {}  # folder -> address: a board lives as long as this process, so it is shown again

# A page at 127.0.0.1 that frames one at localhost is a stranger to it, and the browser refuses it its storage: so the
# frame takes the page's own name for this machine.
_FRAME = """\
<iframe id="{name}" width="100%" height="{height}" style="border: 0"></iframe>
<script>
(() => {{
  const address = new URL("{address}");
  if (["localhost", "127.0.0.1"].includes(window.location.hostname)) address.hostname = window.location.hostname;
  document.getElementById("{name}").src = address;
}})();
</script>
<p>TensorBoard at <a href="{address}">{address}</a></p>
"""


@dataclass(frozen=True)
class Board:
    """A running TensorBoard; in a notebook it shows itself.

    Attributes:
        address: Where it answers, on this machine only.
        height: Of the frame it is shown in, in pixels.
    """

    address: str
    height: int

    def _repr_html_(self) -> str:
        """Return a frame; nothing where Colab draws the frame itself."""
        if "google.colab" in sys.modules:
            from google.colab import output

            output.serve_kernel_port_as_iframe(int(self.address.rstrip("/").rpartition(":")[2]), height=self.height)
            return ""
        return _FRAME.format(address=self.address, height=self.height, name=f"board-{secrets.token_hex(4)}")


def show(folder: str | os.PathLike[str], height: int = 560) -> Board:
    """Start TensorBoard over a folder of runs, or show the one that this process has over it.

    Args:
        folder: Holds event files, at any depth; a path or gs://.
        height: Of the frame, in pixels.

    Raises:
        DataError: There is no such folder.
        MissingExtraError: TensorBoard is not installed.
    """
    path = local_path(folder).resolve()
    if not path.is_dir():
        raise DataError(f"{path} is no folder, so there are no curves to show. Train first: notebook 05.")
    if path in _RUNNING:
        return Board(_RUNNING[path], height)
    try:
        with hidden(["tensorflow"]):  # it reads scalars without, and starts ten seconds sooner
            from tensorboard import default, program

            board = program.TensorBoard(plugins=default.get_plugins())
            words = ["--logdir", str(path), "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
            board.configure(argv=["tensorboard", *words])
            logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line per request would fill the notebook
            _RUNNING[path] = board.launch()
    except ImportError as error:
        raise MissingExtraError("TensorBoard", "train") from error
    return Board(_RUNNING[path], height)


def read_scalars(folder: str | os.PathLike[str]) -> dict[str, tuple[list[int], list[float]]]:
    """Read the scalars from the event files of one folder, not of those below it.

    Any program's: TensorFlow 1 and 2, Keras, PyTorch. A run that went on from a checkpoint may tell a step twice; what
    it told last counts. A file that is being written is read as far as it goes.

    Args:
        folder: Holds event files; a path or gs://.

    Returns:
        Tag -> steps, ascending, and the values at them; at most 2,000 of each.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    try:
        with hidden(["tensorflow"]):  # for all of the reading: it looks for it late
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
            from tensorboard.util import tensor_util

            read = EventAccumulator(
                str(local_path(folder)), size_guidance={"scalars": _MOST_POINTS, "tensors": _MOST_POINTS}
            ).Reload()
            tags = read.Tags()
            found = {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in tags["scalars"]}
            for tag in tags["tensors"]:  # how TensorFlow 2 writes a scalar, and other things too
                if read.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                    events = read.Tensors(tag)
                    found[tag] = [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in events]
    except ImportError as error:
        raise MissingExtraError("TensorBoard", "train") from error
    return {tag: _by_step(points) for tag, points in found.items()}


def _by_step(points: list[tuple[int, Any]]) -> tuple[list[int], list[float]]:
    """Return steps in order and their values, each step's last."""
    last = dict(points)
    return sorted(last), [float(last[step]) for step in sorted(last)]
