"""XGBoost's model file, looked through before XGBoost opens it.

XGBoost trusts the numbers in a file: a truncated or altered one makes it crash or run for ever, and with it a server
that has other models at work. So its form is read here first, JSON or Universal Binary JSON (https://ubjson.org), and
each tree has to be one that can be walked from its root to a leaf.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_model_file"]

_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_WORDS = {b"T": True, b"F": False, b"Z": None}
_DEEPEST = 50
_ROOT = (-1, 2**31 - 1)  # what stands for no parent
_OF_NODES = ("right_children", "parents", "split_indices", "split_conditions", "default_left")


def check_model_file(content: bytes) -> None:
    """Check that a model file is whole and that its trees can be walked.

    Args:
        content: The file, JSON or UBJ.

    Raises:
        ValueError: It is not; the message says why, in a few words.
    """
    try:
        document = json.loads(content) if content[:2] in (b'{"', b"{\n", b"{ ", b"{}") else _Reader(content).whole()
        learner = document["learner"]
        columns = int(learner["learner_model_param"]["num_feature"])
        booster = learner["gradient_booster"]
        model = booster.get("gbtree", booster).get("model", {})
        trees = model.get("trees", [])
        _check_order(model, len(trees), int(learner["learner_model_param"]["num_class"]))
        for tree in trees:
            _check_tree(tree, columns)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError, struct.error) as error:
        raise ValueError(f"it is no whole model file ({type(error).__name__}: {error})") from error


def _check_order(model: Mapping[str, Any], trees: int, classes: int) -> None:
    """Check which tree belongs to which class and to which round."""
    groups = np.asarray(model.get("tree_info", []), np.int64)
    if len(groups) != trees or (groups < 0).any() or (groups >= max(classes, 1)).any():
        raise ValueError("its trees belong to classes that there are none of")
    rounds = np.asarray(model.get("iteration_indptr", [0, trees]), np.int64)
    if trees and (rounds[0] != 0 or rounds[-1] != trees or (np.diff(rounds) < 0).any()):
        raise ValueError("its trees belong to rounds that there are none of")


def _check_tree(tree: Mapping[str, Any], columns: int) -> None:
    left, right = (np.asarray(tree[f"{side}_children"], np.int64) for side in ("left", "right"))
    n = len(left)
    if not n or any(len(tree[name]) != n for name in _OF_NODES if name in tree):
        raise ValueError("the arrays of one of its trees are of different lengths")
    nodes, inner = np.arange(n), left != -1
    for children in (left, right):
        # a child behind its parent: so no path comes back to where it was
        wrong = inner & ((children <= nodes) | (children >= n))
        if wrong.any() or ((children == -1) != ~inner).any():
            raise ValueError("one of its trees leads nowhere")
    parents = np.asarray(tree["parents"], np.int64)
    for children in (left, right):
        if (parents[children[inner]] != nodes[inner]).any():
            raise ValueError("a node of one of its trees is no child of its parent")
    if parents[0] not in _ROOT or int(tree["tree_param"]["num_nodes"]) != n:
        raise ValueError("one of its trees has another root, or another number of nodes, than it says")
    features = np.asarray(tree["split_indices"], np.int64)
    if (inner & ((features < 0) | (features >= max(columns, 1)))).any():
        raise ValueError("one of its trees asks for a column that there is none of")
    starts, sizes = (np.asarray(tree.get(f"categories_{name}", []), np.int64) for name in ("segments", "sizes"))
    ends = starts + sizes if len(starts) == len(sizes) else np.array([-1])
    held = np.asarray(tree.get("categories_nodes", []), np.int64)
    if len(held) != len(starts) or (held < 0).any() or (held >= n).any() or (starts < 0).any() or (sizes < 0).any():
        raise ValueError("the categories of one of its trees belong to no split")
    if (ends < 0).any() or (ends > len(tree.get("categories", []))).any():
        raise ValueError("the categories of one of its trees are not all there")


class _Reader:
    """Reads Universal Binary JSON as XGBoost writes it: lengths before everything, arrays of numbers as a block."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def whole(self) -> Any:
        """Return the value that the content is, which has to end with it."""
        value = self._value(self._take(1), 0)
        if self._content[self._at :].strip(b"N"):
            raise ValueError("something stands behind its end")
        return value

    def _take(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._content):
            raise ValueError("it is truncated")
        self._at += count
        return self._content[self._at - count : self._at]

    def _block(self, kind: bytes, count: int) -> NDArray[Any]:
        dtype = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self._take(count * dtype.itemsize), dtype)

    def _value(self, kind: bytes, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        if kind in _NUMBERS:
            return self._block(kind, 1)[0].item()
        if kind == b"S":
            return self._text()
        if kind == b"[":
            return self._array(depth)
        if kind == b"{":
            found = {}
            while (mark := self._take(1)) != b"}":
                self._at -= 1
                if mark not in _NUMBERS:
                    raise ValueError("it is no Universal Binary JSON")
                name = self._text()
                found[name] = self._value(self._take(1), depth + 1)
            return found
        return _WORDS[kind]

    def _text(self) -> str:
        return self._take(self._count()).decode("utf-8")

    def _count(self) -> int:
        return int(self._block(self._take(1), 1)[0])

    def _array(self, depth: int) -> Any:
        mark = self._take(1)
        if mark == b"$":
            kind = self._take(1)
            self._take(1)  # the mark before the number of entries
            return self._block(kind, self._count())
        if mark == b"#":
            return [self._value(self._take(1), depth + 1) for _ in range(self._count())]
        values = []
        while mark != b"]":
            values.append(self._value(mark, depth + 1))
            mark = self._take(1)
        return values
