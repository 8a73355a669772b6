"""Which mammograms are learned from and which are tested on: never pictures of one patient on both sides.

Up to four pictures show the same patient's breasts, and their density is nearly always the same. A model that has seen
one of them knows the answer for the others without having learned anything about density.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["split_by_patient"]


def split_by_patient(
    patients: Sequence[str], densities: Sequence[int], share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose patients whose pictures are set aside, as near as possible the same share of each density.

    Args:
        patients: Whose picture each is.
        densities: Density of each, any whole number; a patient counts with the highest of hers.
        share: Share of the patients to set aside, 0 to 1; at least one of a density that has two, at least one at all
            where there are two.
        rng: Draws them.

    Returns:
        For each picture whether it is set aside.

    Example:
        >>> split_by_patient(["a", "a", "b", "b"], [1, 1, 1, 1], 0.5, np.random.default_rng(0)).sum()
        np.int64(2)
    """
    highest: dict[str, int] = {}
    for patient, density in zip(patients, densities, strict=True):
        highest[patient] = max(density, highest.get(patient, density))
    aside: set[str] = set()
    for density in sorted(set(highest.values())):
        people = sorted(patient for patient, own in highest.items() if own == density)
        count = round(share * len(people))
        count = min(max(count, 1), len(people) - 1) if 0 < share < 1 else count
        aside.update(people[k] for k in rng.permutation(len(people))[:count])
    if not aside and share > 0 and len(highest) > 1:
        aside.add(sorted(highest)[rng.integers(len(highest))])
    return np.array([patient in aside for patient in patients], bool)
