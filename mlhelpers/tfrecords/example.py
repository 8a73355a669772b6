"""What a record of a TFRecord file mostly holds: a serialised `tensorflow.Example`, made and read without TensorFlow.

The message classes are built from their public definition (tensorflow/core/example/example.proto), in a pool of their
own so that they never meet TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["Value", "example_class", "serialize", "single_value"]

Value = int | float | bytes


def serialize(values: Mapping[str, Value]) -> bytes:
    """Make one serialised `tensorflow.Example`: a record's data, and what some models take as input.

    Args:
        values: int becomes int64_list, float float_list, bytes bytes_list, one value each.

    Example:
        >>> len(serialize({"PetalLength": 4.2}))
        27
    """
    example = example_class()()
    for name, value in values.items():
        _set(example.features.feature[name], value)
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def single_value(feature: Any) -> Value:
    """Return the one value of a feature.

    Args:
        feature: A `tensorflow.Feature` of `example_class`.

    Raises:
        ValueError: It has none, or several.
        TypeError: It has not even a kind.
    """
    (value,) = getattr(feature, feature.WhichOneof("kind")).value
    result: Value = value
    return result


@cache
def example_class() -> Any:
    """Return the message class `tensorflow.Example`; it is built once."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="mlhelpers/example.proto", package="tensorflow", syntax="proto3")
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, label=field.LABEL_REPEATED, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        type_name = ".tensorflow." + name.title().replace("_", "")
        feature.field.add(
            name=name,
            number=number,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE,
            type_name=type_name,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE, type_name=".tensorflow.Feature"
    )
    features.field.add(
        name="feature",
        number=1,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Features.FeatureEntry",
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE, type_name=".tensorflow.Features"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def _set(feature: Any, value: Value) -> None:
    if isinstance(value, bytes):
        feature.bytes_list.value.append(value)
    elif isinstance(value, float):
        feature.float_list.value.append(value)
    else:
        feature.int64_list.value.append(value)
