"""signature.json: what is read, and what is refused with which words."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving.signature import parse_signature, read_signature


def test_everything_in_the_file_is_read(tiny_export: Path, signature_document: dict[str, Any]) -> None:
    signature = read_signature(tiny_export)

    assert signature.default == "serving_default"
    assert list(signature.signatures) == ["serving_default", "pixels"]
    assert signature.class_names == tuple("0123456789")
    assert signature.document == signature_document
    pixels = signature.signatures["pixels"].inputs["pixels"]
    assert (pixels.dtype, pixels.shape, pixels.minimum, pixels.maximum) == ("uint8", (None, 28, 28), 0, 255)
    assert (pixels.instance_shape, pixels.instance_size) == ((28, 28), 784)


def test_a_tensor_describes_itself_in_words(tiny_export: Path) -> None:
    signature = read_signature(tiny_export)

    assert str(signature.signatures["serving_default"]) == "'serving_default' takes 'inputs': float32 [784] from 0 to 1"
    assert str(signature.signatures["pixels"].outputs["classes"]) == "'classes': one int64"


@pytest.mark.parametrize(
    ("name", "keys", "chosen"),
    [
        (None, None, "serving_default"),
        (None, {"inputs"}, "serving_default"),
        (None, {"pixels"}, "pixels"),
        (None, {"pixels", "key"}, "pixels"),
        (None, {"something"}, "serving_default"),
        ("pixels", {"inputs"}, "pixels"),
    ],
)
def test_name_before_keys_before_default(
    tiny_export: Path, name: str | None, keys: set[str] | None, chosen: str
) -> None:
    signature = read_signature(tiny_export).choose(name, None if keys is None else frozenset(keys))

    assert signature.name == chosen


def test_the_signature_with_exactly_these_keys_is_taken() -> None:
    tensor = {"dtype": "float32", "shape": [None]}
    entries = {
        name: {"inputs": dict.fromkeys(keys, tensor), "outputs": {"y": tensor}}
        for name, keys in (("both", ["a", "b"]), ("one", ["a"]))
    }
    signature = parse_signature({"format": 1, "default_signature": "both", "signatures": entries})

    assert signature.choose(None, frozenset({"a"})).name == "one"


def test_an_unknown_signature_is_refused_with_the_nearest(tiny_export: Path) -> None:
    with pytest.raises(PredictionError, match=r"There is no signature 'pixel'\. Did you mean 'pixels'\?"):
        read_signature(tiny_export).choose("pixel", None)


def _broken(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    broken = copy.deepcopy(document)
    *parents, last = path.split(".")
    place = broken
    for parent in parents:
        place = place[parent]
    place[last] = value
    return broken


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", 2, "format is 2; this version of mlhelpers reads format 1"),
        ("signatures", {}, "signatures is empty"),
        ("signatures", [1], "signatures is list; it should be a JSON object"),
        ("default_signature", "other", "default_signature is 'other', which is none of 'serving_default', 'pixels'"),
        ("class_names", "0123", "class_names is '0123'; it should be a list"),
        ("signatures.pixels.inputs", {}, "signatures.pixels.inputs is empty"),
        ("signatures.pixels.inputs.pixels.dtype", "uint9", "inputs.pixels.dtype is 'uint9'; allowed: bool, float16, "),
        ("signatures.pixels.inputs.pixels.shape", [1, 28, 28], r"shape is \[1, 28, 28\]; .* begins with null"),
        ("signatures.pixels.inputs.pixels.shape", [None, -1], "then positive sizes"),
        ("signatures.pixels.inputs.pixels.min", "0", "has the bound '0'; min and max are numbers"),
    ],
)
def test_a_false_entry_is_named(signature_document: dict[str, Any], path: str, value: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_signature(_broken(signature_document, path, value))


def test_a_missing_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no signature\.json, .* trainers write it on export"):
        read_signature(tmp_path)


def test_a_cut_off_file_is_named(own_export: Path) -> None:
    path = own_export / "signature.json"
    path.write_text(path.read_text()[:100])

    with pytest.raises(ModelError, match=r"signature\.json cannot be read: .* Export the model again"):
        read_signature(own_export)


def test_a_false_file_is_named_with_the_place(own_export: Path) -> None:
    (own_export / "signature.json").write_text(json.dumps({"format": 7}))

    with pytest.raises(ModelError, match=r"own_export.signature\.json: format is 7"):
        read_signature(own_export)
