"""TensorBoard events, written without TensorFlow: other frameworks have curves, too, and need not load it.

An event file is a TFRecord file of `Event` messages (tensorboard/compat/proto/event.proto); the first one holds the
format's version.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlhelpers.tfrecords import frame

__all__ = ["EventWriter", "has_tensorboard"]

_VERSION = "brain.Event:2"
_numbers = itertools.count()


def has_tensorboard() -> bool:
    """Tell whether the package is installed that knows the messages, and shows them."""
    return importlib.util.find_spec("tensorboard") is not None


class EventWriter:
    """Appends scalars to a new event file in a folder; each call is on disk when it returns.

    Args:
        folder: Made if it is missing; TensorBoard shows it as one run.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        self._event: Any = Event
        self._scalar: Any = scalar_pb
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._stream = (folder / name).open("wb", buffering=0)
        self._write(Event(wall_time=time.time(), file_version=_VERSION))

    def scalars(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write metrics by name, as measured at a step."""
        for name, value in metrics.items():
            self._write(self._event(wall_time=time.time(), step=step, summary=self._scalar(name, value)))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, event: Any) -> None:
        self._stream.write(frame(event.SerializeToString()))
