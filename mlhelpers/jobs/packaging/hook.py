"""Run a project's own build backend (PEP 517): the program of a child process, started by its path.

It imports nothing of mlhelpers, which need not be importable there. Its working folder is the project; what it makes
goes to a folder that it is given. Each hook has a process of its own, as the standard advises, forked from one that
has imported the backend already, because that import is the longest part.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

__all__ = ["NO_BACKEND", "main"]

NO_BACKEND = 97  # an exit code that nothing else here ends with


def main(task: dict[str, Any]) -> int:
    """Build a source distribution, if asked for, and from it a wheel.

    Args:
        task: "backend" (module, or module:attribute), "backend_path" (folders inside the project), "out" (an absolute
            folder), "sdist" (whether to make one first; the working folder is taken for an unpacked one otherwise).

    Returns:
        The exit code: 0 for done, `NO_BACKEND` where the backend or a module it needs is not installed, 1 for anything
        else that went wrong; the traceback is on stderr.
    """
    sys.path[:0] = [os.path.abspath(folder) for folder in task["backend_path"]]
    sys.argv[1:] = []  # an old setup.py may look at it
    module, _, attributes = task["backend"].partition(":")
    try:
        backend = importlib.import_module(module)
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return NO_BACKEND
    for name in filter(None, attributes.split(".")):
        backend = getattr(backend, name)
    out: str = task["out"]
    if task["sdist"]:
        if code := _in_process_of_its_own(lambda: backend.build_sdist(out)):
            return code
        (sdist,) = Path(out).glob("*.tar.gz")
        with tarfile.open(sdist) as tar:
            tar.extractall(Path(out, "unpacked"), filter="data")
        (unpacked,) = Path(out, "unpacked").iterdir()
        os.chdir(unpacked)
    return _in_process_of_its_own(lambda: backend.build_wheel(out))


def _in_process_of_its_own(hook: Any) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    hook()
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
