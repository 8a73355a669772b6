"""A model file is looked through before XGBoost, which trusts what stands in it, opens it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost

from mlhelpers.serving.runtimes.xgboost_file import check_model_file


@pytest.fixture(scope="module")
def booster(flowers: tuple[np.ndarray, np.ndarray]) -> xgboost.Booster:
    lengths, species = flowers
    table = np.column_stack([lengths, species])
    types = ["float"] * 4 + ["c"]
    data = xgboost.DMatrix(table, lengths[:, 0] + species, feature_types=types)
    return xgboost.train({"max_cat_to_onehot": 1}, data, 4)


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_a_whole_file_passes(form: str, booster: xgboost.Booster) -> None:
    check_model_file(bytes(booster.save_raw(form)))


@pytest.mark.parametrize("kind", ["gblinear", "dart"])
def test_other_boosters_pass(kind: str, flowers: tuple[np.ndarray, np.ndarray]) -> None:
    model = xgboost.train({"booster": kind}, xgboost.DMatrix(*flowers), 2)

    check_model_file(bytes(model.save_raw("ubj")))


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_a_file_cut_anywhere_is_refused(form: str, booster: xgboost.Booster) -> None:
    whole = bytes(booster.save_raw(form)).rstrip()

    for end in np.random.default_rng(0).integers(0, len(whole) - 1, 200):
        with pytest.raises(ValueError, match=r"\w"):
            check_model_file(whole[:end])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left_children": (0, 0)}, "leads nowhere"),  # a node that is its own child: XGBoost would walk for ever
        ({"right_children": (0, 10**6)}, "leads nowhere"),
        ({"right_children": (0, -1)}, "leads nowhere"),
        ({"left_children": (0, -7)}, "leads nowhere"),
        ({"parents": (1, 77)}, "no child of its parent"),
        ({"parents": (0, 3)}, "another root"),
        ({"split_indices": (0, 99)}, "a column that there is none of"),
        ({"categories_nodes": (0, 10**6)}, "belong to no split"),
        ({"categories_sizes": (0, 10**6)}, "not all there"),
    ],
)
def test_a_tree_that_cannot_be_walked_is_refused(
    change: dict[str, tuple[int, Any]], message: str, booster: xgboost.Booster
) -> None:
    document = json.loads(bytes(booster.save_raw("json")))
    trees = document["learner"]["gradient_booster"]["model"]["trees"]
    tree = next(tree for tree in trees if tree["categories_nodes"])
    for name, (place, value) in change.items():
        tree[name][place] = value

    with pytest.raises(ValueError, match=message):
        check_model_file(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("tree_info", [0, 0, 0, 5], "belong to classes"),
        ("tree_info", [0, 0], "belong to classes"),
        ("iteration_indptr", [0, 1, 2, 3, 900], "belong to rounds"),
        ("iteration_indptr", [0, 3, 1, 3, 4], "belong to rounds"),
    ],
)
def test_trees_of_no_class_or_round_are_refused(
    name: str, values: list[int], message: str, booster: xgboost.Booster
) -> None:
    document = json.loads(bytes(booster.save_raw("json")))
    document["learner"]["gradient_booster"]["model"][name] = values

    with pytest.raises(ValueError, match=message):
        check_model_file(json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b"{L", b"null", b'{"learner": []}', b"\x80\x04.", b"[" * 5000])
def test_what_is_no_model_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_model_file(content)
