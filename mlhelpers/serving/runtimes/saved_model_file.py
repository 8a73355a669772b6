"""The signatures in a saved_model.pb, read without TensorFlow.

The message classes are built from their public definition (tensorflow/core/protobuf/saved_model.proto,
meta_graph.proto, tensorflow/core/framework/tensor_shape.proto), with the fields needed here and no other, in a pool of
their own so that they never meet TensorFlow's.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from mlhelpers.errors import ModelError
from mlhelpers.serving.runtimes.derived import Found, TensorAsFound

__all__ = ["read_signatures", "read_tags"]

_SERVE = ["serve"]
_OWN = "__saved_model"  # what TensorFlow keeps for itself: __saved_model_init_op, __saved_model_train_op

# tensorflow/core/framework/types.proto
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
}

# message -> field -> (number, type); "[]" is a repeated field, "{}" a map from text
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "SavedModel": {"meta_graphs": (2, "MetaGraphDef[]")},
    "MetaGraphDef": {"meta_info_def": (1, "MetaInfoDef"), "signature_def": (5, "SignatureDef{}")},
    "MetaInfoDef": {"tags": (4, "string[]")},
    "SignatureDef": {"inputs": (1, "TensorInfo{}"), "outputs": (2, "TensorInfo{}")},
    "TensorInfo": {
        "dtype": (2, "int32"),  # an enum, which is written in the same way
        "tensor_shape": (3, "TensorShapeProto"),
        "coo_sparse": (4, "Empty"),
        "composite_tensor": (5, "Empty"),
    },
    "TensorShapeProto": {"dim": (2, "Dim[]"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64")},
    "Empty": {},
}
_SCALARS = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}


def read_signatures(path: Path) -> dict[str, Found]:
    """Return the signatures that a saved_model.pb offers to callers.

    Args:
        path: The file.

    Returns:
        By the signature's name: its inputs and its outputs, by name.

    Raises:
        ModelError: The file is damaged, or holds no graph for serving.
    """
    found = {}
    for name, signature in sorted(_graph(path).signature_def.items()):
        if not name.startswith(_OWN):
            sides = (signature.inputs, signature.outputs)
            inputs, outputs = ({key: _tensor(info) for key, info in sorted(side.items())} for side in sides)
            found[name] = Found(inputs, outputs)
    return found


def read_tags(path: Path) -> list[str]:
    """Return the tags of the graph that is served: TensorFlow loads a SavedModel with several graphs only by them.

    Args:
        path: The saved_model.pb.

    Raises:
        ModelError: The file is damaged, or holds no graph for serving.
    """
    return list(_graph(path).meta_info_def.tags)


def _graph(path: Path) -> Any:
    try:
        graphs = list(_message_class().FromString(path.read_bytes()).meta_graphs)
    except (DecodeError, OSError) as error:
        raise ModelError(f"{path} cannot be loaded: {error}. Export the model again.") from error
    if not graphs:
        raise ModelError(f"{path} cannot be loaded: it holds no graph. Export the model again.")
    serving = [graph for graph in graphs if list(graph.meta_info_def.tags) == _SERVE] or graphs
    if len(serving) > 1:
        tags = "; ".join(str(list(graph.meta_info_def.tags)) for graph in graphs)
        raise ModelError(
            f"{path} holds {len(graphs)} graphs, with the tags {tags}, none of them 'serve' alone, so there "
            "is no telling which to serve. Export the model again with that tag."
        )
    return serving[0]


def _tensor(info: Any) -> TensorAsFound:
    kind = "a sparse" if info.HasField("coo_sparse") else "a composite" if info.HasField("composite_tensor") else ""
    if kind:
        return TensorAsFound(f"{kind} tensor", None)
    dtype = _DTYPES.get(info.dtype, f"of TensorFlow's dtype number {info.dtype}")
    if info.tensor_shape.unknown_rank or not info.HasField("tensor_shape"):
        return TensorAsFound(dtype, None)
    return TensorAsFound(dtype, tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim))


@cache
def _message_class() -> Any:
    """Build `tensorflow.SavedModel` and what it consists of."""
    file = descriptor_pb2.FileDescriptorProto(name="mlhelpers/saved_model.proto", package="tensorflow", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            _add_field(message, field_name, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.SavedModel"))


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    base = kind.rstrip("[]{}")
    field = message.field.add(name=name, number=number, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
    if base != kind:
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    if kind.endswith("{}"):
        entry = message.nested_type.add(name="".join(word.title() for word in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, base)
        base = f"{message.name}.{entry.name}"
    if base in _SCALARS:
        field.type = _SCALARS[base]
    else:
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".tensorflow.{base}"
