"""A model.keras looked at before Keras opens it: whether it is one, and whether it would run code from elsewhere.

The file is a zip archive with config.json, the model's layers by the names of their classes, and the weights
(https://keras.io/guides/serialization_and_saving/). Keras imports the classes it names; here only Keras' own are let
through, because any other is a program that is not in the file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlhelpers.errors import ModelError

__all__ = ["check_archive"]

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_MAX_CONFIG_BYTES = 64_000_000
_HERE = ("keras", "builtins")  # Keras writes its own functions, such as activations, as built in
_ADVICE = (
    "Where the program that made it is at hand, load the model there and call model.export(FOLDER): "
    "the SavedModel that it writes is served without that code."
)


def check_archive(path: Path) -> None:
    """Check the archive and what its model is made of.

    Args:
        path: The .keras file.

    Raises:
        ModelError: The file is damaged or no Keras 3 file, or it holds code or needs code that is not Keras' own.
    """
    damaged = f"{path} cannot be loaded: {{}}. Save the model again with model.save('{path.name}')."
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [name for name in (_CONFIG, _WEIGHTS) if name not in archive.namelist()]
            if missing:
                raise ModelError(damaged.format(f"it holds no {missing[0]}"))
            if archive.getinfo(_CONFIG).file_size > _MAX_CONFIG_BYTES:
                raise ModelError(damaged.format(f"its {_CONFIG} is longer than {_MAX_CONFIG_BYTES / 1e6:g} MB"))
            faulty = archive.testzip()  # reads all of it against its checksums
            if faulty is not None:
                raise ModelError(damaged.format(f"{faulty} in it does not match its checksum"))
            config = json.loads(archive.read(_CONFIG))
    # a damaged archive can claim any compression, any offset and any encoding
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
        raise ModelError(damaged.format(f"it is no Keras 3 file, or is damaged ({error})")) from error
    except Exception as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(damaged.format(f"it is damaged ({error})")) from error
    if not isinstance(config, dict):
        raise ModelError(damaged.format(f"its {_CONFIG} is no JSON object"))
    _check_classes(path, {key: value for key, value in config.items() if key != "compile_config"})


def _check_classes(path: Path, config: object) -> None:
    for entry in _entries(config):
        name, module = str(entry["class_name"])[:100], entry.get("module")
        if name in ("Lambda", "__lambda__"):
            raise ModelError(
                f"{path} holds a Lambda layer, which is Python code of whoever made the file, and code from a file is "
                f"not run here. Build that step from Keras' own layers. {_ADVICE}"
            )
        registered = str(entry.get("registered_name") or "")
        known = str(module).split(".")[0] in _HERE if module is not None else ">" not in registered
        if not known:
            place = f"of the module {str(module)[:100]!r}" if module is not None else "registered by its maker"
            raise ModelError(f"{path} needs the class {name!r} {place}, which is code that is not in it. {_ADVICE}")


def _entries(config: object) -> Iterator[dict[str, Any]]:
    """Yield everything in the config that names a class, however deep."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
