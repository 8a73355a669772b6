"""TensorFlow.js graph models read as TensorFlow graphs: the step before they are converted for LiteRT.

A graph model is a JSON file (the nodes of a GraphDef, and which weight lies where) and the weights in one or more
binary files, perhaps as float16. Two kinds of node are TensorFlow.js' own, or run in no other place: a convolution with
its bias and activation in one. They are taken apart again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import DataError

__all__ = ["read_graph"]

_CONVOLUTIONS = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
_OF_CONVOLUTION = ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings")
_ACTIVATIONS = ("Relu", "Relu6", "Elu")


def read_graph(document: bytes, read: Callable[[str], bytes]) -> Any:
    """Build the GraphDef of a TensorFlow.js graph model, its weights inside as constants.

    Args:
        document: Content of the model's JSON file.
        read: Returns the content of a weights file by the name that the JSON gives it.

    Returns:
        A `tf.compat.v1.GraphDef`.

    Raises:
        DataError: No graph model, or its weights do not fit it.
    """
    from google.protobuf import json_format

    try:
        model = json.loads(document)
        nodes, manifest = model["modelTopology"]["node"], model["weightsManifest"]
        weights = {name: value for group in manifest for name, value in _weights(group, read)}
        return _graph_def(nodes, weights)
    except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
        raise DataError(f"This is no TensorFlow.js graph model that can be read: {error!r}.") from error


def _weights(group: Mapping[str, Any], read: Callable[[str], bytes]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield name and value of each weight of one group of files, which lie in them one after another."""
    content = b"".join(read(name) for name in group["paths"])
    start = 0
    for weight in group["weights"]:
        stored = np.dtype((weight.get("quantization") or {}).get("dtype", weight["dtype"]))
        if stored.name not in ("float16", "float32", "int32"):
            raise ValueError(f"the weight {weight['name']} is stored as {stored.name}")
        count = int(np.prod(weight["shape"], dtype=np.int64))
        values = np.frombuffer(content, stored, count, start).reshape(weight["shape"])
        start += values.nbytes
        yield weight["name"], values.astype(weight["dtype"])
    if start != len(content):
        raise ValueError(f"{', '.join(group['paths'])} hold {len(content)} bytes, the weights take {start}")


def _graph_def(nodes: Sequence[Mapping[str, Any]], weights: Mapping[str, NDArray[Any]]) -> Any:
    from google.protobuf import json_format

    from mlhelpers.frameworks import import_tensorflow

    tf = import_tensorflow()
    graph = tf.compat.v1.GraphDef()
    for node in chain.from_iterable(map(_taken_apart, nodes)):
        made = graph.node.add()
        json_format.ParseDict(_as_text(node), made)
        if made.op == "Const":
            # JavaScript has no integers of 64 bits: the weights have 32, the node says what they were
            value = tf.make_tensor_proto(weights[made.name], dtype=tf.as_dtype(made.attr["dtype"].type))
            made.attr["value"].tensor.CopyFrom(value)
    return graph


def _as_text(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node with its texts as protobuf's JSON has them; the first converters wrote lists of their bytes."""
    attributes = {
        name: {"s": base64.b64encode(bytes(value["s"])).decode()} if isinstance(value.get("s"), list) else value
        for name, value in node.get("attr", {}).items()
    }
    return {**node, "attr": attributes}


def _taken_apart(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes that do what a fused convolution does; any other node as it is."""
    if node["op"] not in _CONVOLUTIONS:
        yield node
        return
    name, kept = node["name"], {key: value for key, value in node["attr"].items() if key in _OF_CONVOLUTION}
    steps = [base64.b64decode(step).decode() for step in node["attr"]["fused_ops"]["list"]["s"]]
    if any(step != "BiasAdd" and step not in _ACTIVATIONS for step in steps) or len(node["input"]) != 3:
        raise ValueError(f"{name} fuses {steps} with {len(node['input'])} inputs")
    names = [f"{name}/{k}" for k in range(len(steps))] + [name]  # the last one has the name that others refer to
    yield {"name": names[0], "op": _CONVOLUTIONS[node["op"]], "input": node["input"][:2], "attr": kept}
    for step, before, own in zip(steps, names, names[1:], strict=False):
        inputs = [before, node["input"][2]] if step == "BiasAdd" else [before]
        yield {"name": own, "op": step, "input": inputs, "attr": {"T": kept["T"]}}
