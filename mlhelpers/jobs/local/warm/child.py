"""A forked process made what `python -m MODULE` would be, as far as a process can be told from inside."""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import NamedTuple, NoReturn

__all__ = ["Request", "base_path", "become"]

_SAFE_PATH = "-P"
_KEPT = (ModuleType, FunctionType, type)  # finalisers need them


class Request(NamedTuple):
    """What one trial asks for.

    Attributes:
        words: What followed Python in its command: [-P] -m MODULE ARGUMENTS.
        environment: Its environment.
        streams: File descriptors for 0, 1 and 2, then the working folder's.
    """

    words: Sequence[str]
    environment: dict[bytes, bytes]
    streams: Sequence[int]


def base_path() -> list[str]:
    """Return the sys.path of a Python like this one that has no PYTHONPATH.

    Another Python is asked: a folder that both PYTHONPATH and a .pth file name stands in this one's path only once.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ask = [sys.executable, "-P", "-c", "import json, sys; print(json.dumps(sys.path))"]
    done = subprocess.run(ask, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def become(request: Request, path: Sequence[str]) -> NoReturn:
    """Run a request's module as the program of this process, and end the process as Python itself does.

    Args:
        request: What to run; the streams and the working folder are in place already.
        path: What follows PYTHONPATH in sys.path.
    """
    known = frozenset(sys.modules)
    _take_on(request, path)
    module = request.words[request.words.index("-m") + 1]
    code, is_interrupted = 0, False
    try:
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]  # what Python's own -m calls
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException as error:
        code, is_interrupted = 1, isinstance(error, KeyboardInterrupt)
        _report(error)
    _finish(known)
    if is_interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)


def _take_on(request: Request, path: Sequence[str]) -> None:
    """Take on a request's environment, arguments and path, and drop what is left of the server."""
    os.environb.clear()
    os.environb.update(request.environment)
    is_safe = request.words[0] == _SAFE_PATH
    words = request.words[is_safe:]
    first = [] if is_safe or os.environ.get("PYTHONSAFEPATH") else [os.getcwd()]
    asked = [os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:] = [*first, *dict.fromkeys([*asked, *path])]
    importlib.invalidate_caches()
    sys.orig_argv[:] = [sys.executable, *request.words]
    sys.argv[:] = ["-m", *words[2:]]
    sys.modules["__main__"] = ModuleType("__main__")
    vars(sys.modules["__main__"]).update(__builtins__=sys.modules["builtins"], __annotations__={})
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()  # each child would draw the same numbers else; `random` sees to it by itself


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _report(error: BaseException) -> None:
    """Show an exception that nobody caught, without the frame of this file."""
    traceback = error.__traceback__ and error.__traceback__.tb_next
    try:
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
    except BaseException:
        sys.__excepthook__(type(error), error, traceback)


def _finish(known: Collection[str]) -> None:
    """Do what the interpreter does at its end, but for what was there before the fork.

    Taking down thousands of modules would write to, and so copy, most of the memory that is shared: 0.2 s and 170 MB
    with TensorFlow. Here only what the trial has made is finalised: its modules' values, then whatever else has a
    finaliser, as an open file or a writer of events that a module known before holds on to.

    Args:
        known: The names of the modules that were imported before the fork.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for those that are not daemons
    atexit._run_exitfuncs()
    _flush()
    for name, module in reversed(list(sys.modules.items())):
        if (name == "__main__" or name not in known) and isinstance(module, ModuleType):
            mine = vars(module)
            for variable in [name for name in mine if not name.startswith("__")]:
                if not isinstance(mine[variable], _KEPT):
                    mine[variable] = None
    gc.collect()
    for left in gc.get_objects():  # those from before the fork are frozen, and not among them
        if finalise := getattr(type(left), "__del__", None):
            with suppress(BaseException):
                finalise(left)
    _flush()
    ctypes.CDLL(None).fflush(None)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # replaced by the trial, closed, or its disk is full
            stream.flush()
