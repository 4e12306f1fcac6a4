"""Rows that learn from some labelled defective pictures: which ones they are shown."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from flawsight.errors import DataError
from flawsight.types import Sample

SEED = 0  # of the draw: whatever the cell's own seed, the same pictures are judged


def shown(test: list[Sample], share: float) -> tuple[list[Sample], list[Sample]]:
    """The defective pictures to learn from, that share of them and at least one, and the pictures that are left to be judged.

    They are drawn at random, but so that of each kind of defect one is left so long as that can be. Raises DataError where no
    defective picture would be left.
    """
    if not share:
        return [], test
    defective = [sample for sample in test if sample.label == 1]
    n = max(1, math.ceil(share * len(defective)))
    if n >= len(defective):
        raise DataError(
            f"tables: of {len(defective)} defective pictures {n} would be learned from, and some must be left to judge. "
            "Add pictures."
        )
    left = Counter(sample.kind for sample in defective)
    order = [defective[at] for at in np.random.default_rng(SEED).permutation(len(defective))]
    spare: list[Sample] = []
    last: list[Sample] = []
    for sample in order:
        (spare if left[sample.kind] > 1 else last).append(sample)
        left[sample.kind] -= left[sample.kind] > 1
    names = {sample.name for sample in [*spare, *last][:n]}
    return [one for one in order if one.name in names], [one for one in test if one.name not in names]
