"""What the local engine runs for one replica of a job: the command of its container, or the module of its packages.

Started as `python -m mlhelpers.emulator.replica ARGUMENTS…`, where the arguments are those that a study adds. The
replica gets a virtual environment of its own, in which what is installed here counts as installed, so that `pip
install` in a command changes nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from mlhelpers.settings import current

__all__ = ["POOLS_VARIABLE", "main"]

POOLS_VARIABLE = "MLHELPERS_EMULATED_JOB"  # {"pools": workerPoolSpecs, "base": outputUriPrefix}
_MOUNT = re.compile(r"(?<![\w/.-])/gcs/(?=[a-z0-9])")


def main(arguments: list[str]) -> None:
    """Replace this process by the replica's own program.

    Args:
        arguments: What a study adds to the spec's own.
    """
    job = json.loads(os.environ.pop(POOLS_VARIABLE))
    task = json.loads(os.environ.get("CLUSTER_SPEC", "{}")).get("task", {})
    pool = job["pools"][int(str(task.get("type", "workerpool0"))[-1])]
    spec = pool.get("containerSpec") or pool["pythonPackageSpec"]
    os.environ.update(_folders(job["base"]))
    os.environ.update({entry["name"]: _mounted(entry.get("value", "")) for entry in spec.get("env", [])})
    if "containerSpec" in pool:
        if arguments == ["--help"]:  # a study asks a trainer for its flags; a command in a container has none to tell
            return
        image = spec.get("imageUri")
        print(f"The image {image} is not used: the emulator runs the command with this machine's Python.", flush=True)
        command = [*spec["command"], *spec.get("args", []), *arguments]
    else:
        command = ["python", "-m", spec["pythonModule"], *spec.get("args", []), *arguments]
    command = [_mounted(word) for word in command]
    _enter(Path(os.environ["MLHELPERS_PROGRESS_FILE"]))
    program = shutil.which(command[0])
    if program is None:
        sys.exit(f"The command {command[0]!r} is not on this machine, where the emulator runs what the image would.")
    os.execv(program, [program, *command[1:]])  # noqa: S606  what the job says is what runs


def _folders(base: str) -> dict[str, str]:
    """Return the folders for results, gs:// as the service gives them; of a trial, below its number."""
    if not base:
        return {}
    base = f"{base.rstrip('/')}/"
    if trial := os.environ.get("CLOUD_ML_TRIAL_ID"):
        base += f"{trial}/"
    names = {"AIP_MODEL_DIR": "model", "AIP_CHECKPOINT_DIR": "checkpoints", "AIP_TENSORBOARD_LOG_DIR": "logs"}
    return {name: f"{base}{folder}/" for name, folder in names.items()}


def _enter(progress_file: Path) -> None:
    """Make the replica's virtual environment, beside its other files, and put it first.

    It sees what is installed for this Python; what a command installs, with --user or without, goes into it.
    """
    place = progress_file.parent.parent / "python" / progress_file.stem
    venv.EnvBuilder(system_site_packages=True, clear=True, symlinks=True).create(place)
    binaries, python = place / "bin", place / "bin" / "python"
    own, user = (Path(sysconfig.get_path("purelib", "venv", {"base": str(one)})) for one in (place, place / "user"))
    outer = [str(user), *dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))]
    (own / "_outer.pth").write_text("\n".join(f"import site; site.addsitedir({one!r})" for one in outer), "utf-8")
    for name in ("pip", "pip3"):
        (binaries / name).write_text(f'#!/bin/sh\nexec "{python}" -m pip "$@"\n', "utf-8")
        (binaries / name).chmod(0o755)
    os.chdir(place)  # a folder of nobody's, as in a container: modules come from the packages alone
    os.environ["PATH"] = os.pathsep.join([str(binaries), os.environ.get("PATH", os.defpath)])
    os.environ.update(VIRTUAL_ENV=str(place), PYTHONUSERBASE=str(place / "user"), PIP_NO_INDEX="1")
    os.environ.update(PIP_NO_BUILD_ISOLATION="0", PIP_DISABLE_PIP_VERSION_CHECK="1")  # 0: without isolation


def _mounted(word: str) -> str:
    """Return a word of a command with the addresses below /gcs, the service's mount of buckets, as folders here."""
    return _MOUNT.sub(f"{current().home / 'buckets'}/", word)


if __name__ == "__main__":
    main(sys.argv[1:])
