"""Find the model in a folder: an export itself, or a trainer's `export/<name>/` with one folder per timestamp.

What a model file is called is read from the table of the runtimes, which imports nothing heavy.
"""

from __future__ import annotations

import os
from pathlib import Path

from mlhelpers.errors import ModelError
from mlhelpers.serving.runtimes import describes_itself, model_files
from mlhelpers.serving.signature import FILE_NAME
from mlhelpers.storage import local_path

__all__ = ["MODEL_FILES", "find_export", "holds_model"]

MODEL_FILES = tuple(model_files())
# what people bring under other names, and what to do with it
_OTHER_NAMES = {
    ".tflite": "may be a model under another name: call it 'model.tflite'",
    ".keras": "may be a model under another name: call it 'model.keras'",
    ".h5": "is Keras' former format: load it with keras.saving.load_model and save it as 'model.keras'",
    ".pbtxt": "is a SavedModel as text: load it with tf.saved_model.load and save it again",
}


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
    """Tell whether the folder itself is an export: a model file, with signature.json where it does not say enough."""
    if (folder / FILE_NAME).is_file():
        return any((folder / name).is_file() for name in MODEL_FILES)
    return describes_itself(folder)


def _advice(folder: Path) -> str:
    found = [name for name in (FILE_NAME, *MODEL_FILES) if (folder / name).is_file()]
    wanted = f"A model is {' or '.join(MODEL_FILES)}, with {FILE_NAME} beside it where the file does not say enough"
    other = sorted(path.name for path in folder.iterdir() if path.suffix in _OTHER_NAMES and path.is_file())
    if other and not found:
        return f"{other[0]!r} there {_OTHER_NAMES[Path(other[0]).suffix]}."
    if found:
        return f"{wanted}; only {', '.join(found)} is there. Export it again."
    below = sorted(path.parent for path in folder.glob("export/*/*/" + FILE_NAME))
    if below:
        return f"{wanted}. Did you mean {below[-1]}?"
    return f"{wanted}; a trainer writes them to OUTPUT_DIR/export/NAME/TIMESTAMP."
