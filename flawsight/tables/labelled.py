"""Rows that learn from some labelled defective pictures: which ones they are shown, and how often they call a picture rightly."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np

from flawsight.errors import DataError
from flawsight.metrics import balanced_accuracy
from flawsight.tables.rows import TableRow
from flawsight.types import Report, Sample

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


def with_accuracy(report: Report, row: TableRow) -> Report:
    """The report with the mean of the accuracies on good and on defective pictures, of a row that decides by itself."""
    if row.decides_at is None:
        return report
    labelled = [one for one in report.rows if one.sample.label is not None]
    scores, labels = [one.score for one in labelled], [int(one.sample.label or 0) for one in labelled]
    value = balanced_accuracy(scores, labels, row.decides_at)
    return dataclasses.replace(report, metrics={**report.metrics, "balanced_accuracy": value})
