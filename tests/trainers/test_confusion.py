from __future__ import annotations

import numpy as np
import pytest

from mlhelpers.trainers.confusion import confusion_matrix, linear_kappa, recalls, table


def answers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 60)
    return labels, np.clip(labels + rng.integers(-2, 3, 60), 0, 3)


@pytest.mark.parametrize("seed", range(5))
def test_matrix_kappa_and_recalls_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn import metrics

    labels, predicted = answers(seed)
    matrix = confusion_matrix(labels, predicted, 4)

    np.testing.assert_array_equal(metrics.confusion_matrix(labels, predicted), matrix)
    assert linear_kappa(matrix) == pytest.approx(metrics.cohen_kappa_score(labels, predicted, weights="linear"))
    assert recalls(matrix) == pytest.approx(metrics.recall_score(labels, predicted, average=None))


def test_a_near_miss_costs_less_than_a_far_one() -> None:
    near, far = (confusion_matrix(np.array([0, 1, 2, 3]), np.array(said), 4) for said in ([1, 1, 2, 3], [3, 1, 2, 3]))

    assert linear_kappa(far) < linear_kappa(near) < 1


def test_all_right_is_one_and_nothing_to_tell_apart_is_zero() -> None:
    assert linear_kappa(confusion_matrix(np.arange(4), np.arange(4), 4)) == 1
    assert linear_kappa(confusion_matrix(np.zeros(3, int), np.zeros(3, int), 4)) == 0


def test_a_class_without_examples_has_no_recall() -> None:
    assert recalls(confusion_matrix(np.array([0, 0]), np.array([0, 1]), 3)) == [0.5, None, None]


def test_the_table_has_a_row_for_each_true_class() -> None:
    lines = table(confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 3), ["low", "high", "none"])

    assert [line.split() for line in lines[1:]] == [
        ["low", "1", "1", "0", "0.500"],
        ["high", "0", "1", "0", "1.000"],
        ["none", "0", "0", "0", "-"],
    ]
    assert len({len(line) for line in lines}) == 1
