"""Try a stranger's model.tflite in a process of its own: LiteRT ends the process on some damaged files.

    python -m mlhelpers.serving.runtimes.litert_trial FOLDER

opens the model of the folder, runs each of its signatures once, and prints one line of JSON: {"document": …}, the
signature.json derived from it, or {"error": "…"}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlhelpers.errors import MLHelpersError, ModelError

__all__ = ["try_model"]

_SECONDS = 60.0


def try_model(folder: Path, file: str) -> dict[str, Any]:
    """Derive the document of a signature.json, and see the model answer, in a process of its own.

    Args:
        folder: The export folder.
        file: The model file's name, for messages.

    Returns:
        The document.

    Raises:
        ModelError: The file is damaged, has no signature that can be served, or takes more than a minute to answer.
    """
    command = [sys.executable, "-P", "-m", "mlhelpers.serving.runtimes.litert_trial", str(folder.absolute())]
    # glibc then fills memory that is free or fresh, so that a read beyond the model fails here and not by chance later
    environment = os.environ | {"MALLOC_PERTURB_": "165"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{folder / file} cannot be loaded: it does not answer within {_SECONDS:.0f} s, as damaged files do. "
            "Export the model again."
        ) from None
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise ModelError(
            f"{folder / file} cannot be loaded: LiteRT itself fails on it ({how}), so it is damaged. "
            "Export the model again."
        ) from None
    if "error" in answer:
        raise ModelError(answer["error"])
    document: dict[str, Any] = answer["document"]
    return document


def _main(folder: Path) -> None:
    from mlhelpers.serving.runtimes.litert import describe, load
    from mlhelpers.serving.signature import parse_signature

    try:
        document = describe(folder)
        load(folder, parse_signature(document))
        answer: dict[str, Any] = {"document": document}
    except MLHelpersError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
