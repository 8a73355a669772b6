"""TensorFlow, imported quietly and without what it looks for in vain; LiteRT, opened without a word.

TensorFlow and Keras import jax and scikit-learn wherever these are installed, only to know whether they are there; that
takes four of the fourteen seconds. Here both are hidden until the import is over.

A process that has TensorFlow and Keras imported and has run no operation has one thread, so a fork of it is safe, and
runs its first operation at once; one operation before the fork leaves threads behind, and the fork then hangs without a
word. `jobs.local.warm` keeps such a process for the trials of a study. It runs nobody's code, counts its threads before
each fork, and is started with the trials' own KERAS_BACKEND and TF_CPP_MIN_LOG_LEVEL, which are read at the import.
Single jobs are started cold: there is no telling what the next one will set.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mlhelpers.errors import MissingExtraError

__all__ = ["hidden", "import_tensorflow", "without_litert_notices"]

_LOOKED_FOR = ("jax", "sklearn")
_quiet_lock = threading.Lock()


def import_tensorflow() -> Any:
    """Import TensorFlow, and Keras on it unless KERAS_BACKEND says otherwise.

    Raises:
        MissingExtraError: It is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up remarks would bury the program's own lines
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    needed = {os.environ["KERAS_BACKEND"]}
    try:
        with hidden(name for name in _LOOKED_FOR if name not in needed):
            import keras  # noqa: F401  # TensorFlow would import it later, unhidden
            import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError("TensorFlow", "train") from error
    return tf


@contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Have packages seem not installed inside the block; those that are imported already stay.

    Args:
        names: Names of packages.
    """
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is how an import is told to fail
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def without_litert_notices() -> Iterator[None]:
    """Keep LiteRT's "INFO: Created … delegate" off the terminal and out of notebooks; anything else is passed on."""
    with _quiet_lock, tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        saved = os.dup(2)
        try:
            os.dup2(kept.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept:
                if not line.startswith(b"INFO: "):
                    os.write(2, line)
