"""What LiteRT takes unchecked from a model.tflite: the places of a signature's tensors.

LiteRT verifies the file's structure and its operators before it runs them, but looks a signature's tensors up wherever
the file says, so that one wrong bit there ends the process. The layout is that of FlatBuffers
(https://flatbuffers.dev/internals/), the fields are those of tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import struct

__all__ = ["check_signatures"]

# a field's place in its table, as schema.fbs counts
_MODEL_SUBGRAPHS, _MODEL_SIGNATURES = 2, 7
_SUBGRAPH_TENSORS = 0
_SIGNATURE_SIDES, _SIGNATURE_SUBGRAPH = (0, 1), 4
_NAMED_TENSOR_INDEX = 1


def check_signatures(content: bytes) -> None:
    """Refuse a file whose signatures name a subgraph or a tensor that it does not have.

    Args:
        content: The whole file, its structure verified (LiteRT does that when it opens it).

    Raises:
        ValueError: They do; or the file is no FlatBuffer.
    """
    try:
        _check(content)
    except struct.error as error:
        raise ValueError("it is cut off, or is no TensorFlow Lite model") from error


def _check(content: bytes) -> None:
    model = _follow(content, 0)
    subgraphs = _tables(content, model, _MODEL_SUBGRAPHS)
    tensors = [len(_tables(content, subgraph, _SUBGRAPH_TENSORS)) for subgraph in subgraphs]
    for signature in _tables(content, model, _MODEL_SIGNATURES):
        subgraph = _number(content, signature, _SIGNATURE_SUBGRAPH)
        if subgraph >= len(tensors):
            raise ValueError(f"a signature is of subgraph {subgraph}, and there are {len(tensors)}")
        for side in _SIGNATURE_SIDES:
            for named in _tables(content, signature, side):
                index = _number(content, named, _NAMED_TENSOR_INDEX)
                if index >= tensors[subgraph]:
                    raise ValueError(f"a signature is of tensor {index}, and there are {tensors[subgraph]}")


def _read(form: str, content: bytes, place: int) -> int:
    if place < 0:
        raise struct.error("a place before the file")
    (value,) = struct.unpack_from(form, content, place)
    return int(value)


def _follow(content: bytes, place: int) -> int:
    return place + _read("<I", content, place)


def _field(content: bytes, table: int, number: int) -> int | None:
    """Return where a table keeps a field; None where it has only the default."""
    places = table - _read("<i", content, table)
    entry = 4 + 2 * number
    offset = _read("<H", content, places + entry) if entry < _read("<H", content, places) else 0
    return table + offset if offset else None


def _number(content: bytes, table: int, number: int) -> int:
    place = _field(content, table, number)
    return 0 if place is None else _read("<I", content, place)


def _tables(content: bytes, table: int, number: int) -> list[int]:
    """Return where the tables of a vector begin."""
    place = _field(content, table, number)
    if place is None:
        return []
    vector = _follow(content, place)
    return [_follow(content, vector + 4 + 4 * index) for index in range(_read("<I", content, vector))]
