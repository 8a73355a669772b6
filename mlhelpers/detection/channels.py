"""A graph built again without the transpositions around each convolution, which cost more than some convolutions.

A network that came through ONNX computes on (1, channels, height, width) and turns every picture for each convolution,
which wants the channels last, and back. Here a transposition is only noted beside the tensor; operations that do the
same to every element, or name an axis, work on the tensor as it lies, and the next transposition mostly takes the note
back. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlhelpers.frameworks import import_tensorflow

__all__ = ["build"]

_ELEMENTWISE = ("LeakyRelu", "Sigmoid", "Identity", "Relu", "Relu6")
_SUMS = ("Add", "AddV2")
_PADS = ("Pad", "PadV2")


class _Noted(NamedTuple):
    """A tensor as it lies, and the transposition that makes it what the graph says."""

    tensor: Any
    turn: tuple[int, ...] | None = None

    @property
    def meant(self) -> Any:
        return self.tensor if self.turn is None else import_tensorflow().transpose(self.tensor, self.turn)


def build(graph: Any, picture: str, images: Any, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Add a graph's operations to the function that is being traced.

    Args:
        graph: A GraphDef, its weights inside as constants.
        picture: The node whose place the picture takes.
        images: The picture, as that node would give it.
        outputs: Name -> tensor of the graph.

    Returns:
        Name -> tensor.
    """
    nodes = {node.name: node for node in graph.node}
    made: dict[str, Sequence[_Noted]] = {picture: [_Noted(images)]}
    # depth first, without recursion: a network can be deeper than Python's stack
    waiting = [_place(tensor)[0] for tensor in outputs.values()]
    while waiting:
        name = waiting[-1]
        lacking = [place for place, _ in _inputs(nodes[name]) if place not in made]
        if name not in made and lacking:
            waiting += lacking
            continue
        waiting.pop()
        if name not in made:
            inputs = [made[place][k] for place, k in _inputs(nodes[name])]
            made[name] = _applied(nodes[name], inputs, nodes)
    return {name: made[_place(tensor)[0]][_place(tensor)[1]].meant for name, tensor in outputs.items()}


def _inputs(node: Any) -> list[tuple[str, int]]:
    """Return where a node's inputs come from; "^node" is no input, only an order in time."""
    return [_place(tensor) for tensor in node.input if not tensor.startswith("^")]


def _place(tensor: str) -> tuple[str, int]:
    """Return node and number of "node", "node:1"."""
    name, _, number = tensor.partition(":")
    return name, int(number or 0)


def _applied(node: Any, inputs: list[_Noted], nodes: Mapping[str, Any]) -> Sequence[_Noted]:
    """Return what an operation gives, its input as it lies wherever that is possible."""
    first = inputs[0] if inputs else None
    if node.op == "Transpose":
        turn = _constant(nodes[_place(node.input[1])[0]])
        before = range(len(turn)) if inputs[0].turn is None else inputs[0].turn
        after = tuple(before[axis] for axis in turn)
        return [_Noted(inputs[0].tensor, None if after == tuple(range(len(after))) else after)]
    if first is None or all(one.turn is None for one in inputs):
        return [_Noted(each) for each in _run(node, [one.tensor for one in inputs])]
    turn = first.turn
    if turn is not None and node.op in _ELEMENTWISE:
        return [_Noted(_run(node, [first.tensor])[0], turn)]
    if turn is not None and node.op in _PADS:
        rows = import_tensorflow().gather(inputs[1].meant, np.argsort(turn))
        return [_Noted(_run(node, [first.tensor, rows, *(one.meant for one in inputs[2:])])[0], turn)]
    if turn is not None and node.op == "SplitV":
        axis = turn[int(_constant(nodes[_place(node.input[2])[0]]))]
        given = _run(node, [first.tensor, inputs[1].meant, import_tensorflow().constant(axis)])
        return [_Noted(each, turn) for each in given]
    if turn is not None and node.op == "ConcatV2" and all(one.turn == turn for one in inputs[:-1]):
        axis = turn[int(_constant(nodes[_place(node.input[-1])[0]]))]
        given = _run(node, [*(one.tensor for one in inputs[:-1]), import_tensorflow().constant(axis)])
        return [_Noted(given[0], turn)]
    if node.op in _SUMS:
        return [_sum(node, inputs, nodes)]
    return [_Noted(each) for each in _run(node, [one.meant for one in inputs])]


def _sum(node: Any, inputs: list[_Noted], nodes: Mapping[str, Any]) -> _Noted:
    """Add two tensors that are turned alike, or a constant to one that is turned."""
    if inputs[0].turn == inputs[1].turn:
        return _Noted(_run(node, [one.tensor for one in inputs])[0], inputs[0].turn)
    for k in (0, 1):
        source, turn = nodes[_place(node.input[1 - k])[0]], inputs[k].turn
        if turn is not None and source.op == "Const":
            bias = _constant(source)
            bias = bias.reshape((1,) * (len(turn) - bias.ndim) + bias.shape).transpose(np.argsort(turn))
            return _Noted(_run(node, [inputs[k].tensor, import_tensorflow().constant(bias)])[0], turn)
    return _Noted(_run(node, [one.meant for one in inputs])[0])


def _constant(node: Any) -> Any:
    return import_tensorflow().make_ndarray(node.attr["value"].tensor)


def _run(node: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Add one operation to the function, with these inputs in the place of its own."""
    tf = import_tensorflow()
    alone = tf.compat.v1.GraphDef()
    copy = alone.node.add()
    copy.CopyFrom(node)
    del copy.input[:]
    for k, tensor in enumerate(inputs):
        alone.node.add(name=f"input_{k}", op="Placeholder").attr["dtype"].type = tensor.dtype.as_datatype_enum
        copy.input.append(f"input_{k}")
    feeds = {f"input_{k}:0": tensor for k, tensor in enumerate(inputs)}
    (operation,) = tf.graph_util.import_graph_def(alone, input_map=feeds, return_elements=[node.name], name="")
    given: Sequence[Any] = operation.outputs
    return given
