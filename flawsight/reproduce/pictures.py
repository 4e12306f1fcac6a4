"""Which pictures a cell learns from and which it is judged on: good ones drawn, and labelled defects that it is shown."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from flawsight.datasets import open_dataset
from flawsight.errors import DataError
from flawsight.reproduce.rows import get_row
from flawsight.types import Sample

if TYPE_CHECKING:
    from flawsight.fitting import Plan
    from flawsight.reproduce.planning import Cell, Group

SEED = 0  # of the defects shown: whatever the cell's own seed, the same pictures are judged


def of_cell(group: Group, cell: Cell) -> tuple[Plan, list[Sample], list[Sample]]:
    """The cell's plan, with the defective pictures that it is shown; the good ones it learns from; and those it is judged on."""
    dataset = open_dataset(group.data, group.category)
    train = drawn(dataset.train, cell.shots, cell.seed)
    defects, test = shown(dataset.test, get_row(cell.row).defects)
    return (dataclasses.replace(cell.plan, defects=defects) if defects else cell.plan), train, test


def drawn(train: list[Sample], shots: int | None, seed: int) -> list[Sample]:
    """The good pictures to learn from: all, or the first so many of a shuffle, so that more shots hold the fewer."""
    if shots is None:
        return train
    return [train[at] for at in np.random.default_rng(seed).permutation(len(train))[:shots]]


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
