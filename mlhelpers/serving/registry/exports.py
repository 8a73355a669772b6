"""Find the model in a folder: an export itself, or a trainer's `export/<name>/` with one folder per timestamp.

May import `errors` and `storage`.
"""

from __future__ import annotations

import os
from pathlib import Path

from mlhelpers.errors import ModelError
from mlhelpers.serving.signature import FILE_NAME
from mlhelpers.storage import local_path

__all__ = ["MODEL_FILES", "find_export", "holds_model"]

MODEL_FILES = ("model.tflite", "saved_model.pb")


def find_export(origin: str | os.PathLike[str]) -> Path:
    """Return the folder that holds a model: the origin, or the newest timestamp below it.

    Args:
        origin: A folder, or gs://bucket/path.

    Returns:
        The folder with the model's files, absolute.

    Raises:
        ModelError: There is no such folder, or no model in it.
    """
    folder = local_path(origin).absolute()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ModelError(
            f"{os.fspath(origin)!r} {what}. Give the folder that a trainer exported: …/export/NAME/TIMESTAMP."
        )
    if holds_model(folder):
        return folder
    timestamps = [
        entry for entry in folder.iterdir() if entry.name.isascii() and entry.name.isdigit() and entry.is_dir()
    ]
    for newest in sorted(timestamps, key=lambda entry: int(entry.name), reverse=True)[:1]:
        if holds_model(newest):
            return newest
        folder = newest
    raise ModelError(f"There is no model in {folder}. {_advice(folder)}")


def holds_model(folder: Path) -> bool:
    """Tell whether the folder itself is an export: a model file with its signature beside it."""
    return (folder / FILE_NAME).is_file() and any((folder / name).is_file() for name in MODEL_FILES)


def _advice(folder: Path) -> str:
    found = [name for name in (FILE_NAME, *MODEL_FILES) if (folder / name).is_file()]
    wanted = f"A model is {' or '.join(MODEL_FILES)} with {FILE_NAME} beside it"
    if found:
        return f"{wanted}; only {', '.join(found)} is there. Export it again."
    below = sorted(path.parent for path in folder.glob("export/*/*/" + FILE_NAME))
    if below:
        return f"{wanted}. Did you mean {below[-1]}?"
    return f"{wanted}; a trainer writes them to OUTPUT_DIR/export/NAME/TIMESTAMP."
