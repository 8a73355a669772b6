"""The places of a signature's tensors, held against TensorFlow's own reader of the format."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from foreign_model import Foreign

from mlhelpers.serving.runtimes.tflite_file import check_signatures

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


@pytest.mark.parametrize("kind", ["lite", "lite_unnamed", "lite_one", "lite_text", "lite_quantised"])
def test_whole_files_pass(foreign: Callable[[str], Foreign], kind: str) -> None:
    check_signatures((foreign(kind).folder / "model.tflite").read_bytes())


def test_a_tensor_and_a_subgraph_that_are_not_there_are_named(foreign: Callable[[str], Foreign]) -> None:
    content = (foreign("lite").folder / "model.tflite").read_bytes()
    signature = schema.Model.GetRootAsModel(content, 0).SignatureDefs(0)
    assert signature.SignatureKey() == b"flowers"
    named = signature.Outputs(0)
    place = named._tab.Pos + named._tab.Offset(6)  # flatbuffers: the field after the name
    assert struct.unpack_from("<I", content, place)[0] == named.TensorIndex()

    wrong = bytearray(content)
    struct.pack_into("<I", wrong, place, 4000)

    with pytest.raises(ValueError, match="a signature is of tensor 4000, and there are"):
        check_signatures(bytes(wrong))


def test_anything_else_is_a_value_error_or_passes_but_never_another_error(foreign: Callable[[str], Foreign]) -> None:
    content = (foreign("lite").folder / "model.tflite").read_bytes()
    draw = np.random.default_rng(4)
    refused = 0

    for size in range(0, 200, 3):
        with pytest.raises(ValueError, match="cut off"):
            check_signatures(content[:size] if size < 4 else content[:4] + b"\xff" * size)
    for _ in range(300):
        wrong = bytearray(content)
        wrong[draw.integers(len(wrong))] ^= 1 << int(draw.integers(8))
        try:
            check_signatures(bytes(wrong))
        except ValueError:
            refused += 1
    assert refused < 300
