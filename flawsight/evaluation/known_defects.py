"""A model's threshold from pictures of known defects: which pictures those are, and their scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flawsight.datasets import find_layout, folder, names, open_dataset
from flawsight.datasets.base import loose_samples
from flawsight.datasets.finding import find_folders
from flawsight.errors import DataError
from flawsight.evaluation import evaluate
from flawsight.evaluation.judging import Judging
from flawsight.model import Model
from flawsight.threshold import CONFIDENCE, Threshold, from_defects
from flawsight.types import Progress, Sample, name_of


def known_pictures(root: Path, category: str | None = None, layout: str | None = None) -> list[Sample]:
    """The labelled pictures to set a threshold by: those that a data set is judged on.

    A folder without one of good pictures holds defective ones alone, in it and below. Raises as open_dataset.
    """
    if layout is None and root.is_dir() and find_layout(root).name == folder.LAYOUT.name and not _has_good(root):
        return [replace(one, label=1, kind=name_of(one.path.parent.name)) for one in loose_samples([root])]
    return open_dataset(root, category, layout, use_masks=False).test


def threshold_from(
    model: Model,
    pictures: list[Sample],
    confidence: float = CONFIDENCE,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> tuple[Threshold, list[str]]:
    """The threshold that labelled pictures set, see threshold.from_defects, and notes on them.

    Raises DataError where none is defective, where good ones score alike, and naming every unreadable picture unless
    they may be skipped.
    """
    if not any(one.label == 1 for one in pictures):
        raise DataError("threshold: needs pictures of known defects; there are none. Give a folder of them, or a data set.")
    report = evaluate(model, pictures, "known defects", Judging(use_masks=False, skip_bad=skip_bad), progress=progress)
    good, defective = ([row.score for row in report.rows if row.sample.label == label] for label in (0, 1))
    training = model.training
    chosen = from_defects(training.independent, defective, good, confidence, training.independent_series)
    rejected = sum(score > chosen.value for score in good)
    counted = f"Of the labelled pictures {rejected} of {len(good)} good ones are rejected and "
    notes = [f"{counted if good else ''}{chosen.n_missed} of {len(defective)} known defects missed."]
    return chosen, [note[:1].upper() + note[1:] for note in notes] + report.notes


def _has_good(root: Path) -> bool:
    return any(names.is_good(inner.name) for inner in find_folders(root))
