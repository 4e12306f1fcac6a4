"""Rows whose published number is the mean of what several models reach, each of which learned from a part of the good pictures.

One fit learns all of them, and a user's picture scores the mean of theirs. Here each is judged by itself instead, and what they
reach is averaged: the AUROC of a mean of scores is another number than the mean of AUROCs.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from flawsight.errors import UsageError
from flawsight.evaluation import objects_of
from flawsight.metrics import Judged, measure, resampling
from flawsight.model import Model
from flawsight.types import Progress, Report, Sample


def averaged(report: Report, model: Model, samples: Sequence[Sample], resamples: int, progress: Progress | None = None) -> Report:
    """The report of that model on these samples with each image metric the mean over its folds, and the interval likewise.

    Raises UsageError for a model without folds, and for one whose metrics of pixels would be those of the whole.
    """
    labelled = [sample for sample in samples if sample.label is not None]
    labels, objects = [int(sample.label or 0) for sample in labelled], objects_of(labelled)
    scores, started = [], time.perf_counter()
    for done, fold in enumerate(folds(model), 1):
        judged = zip(samples, fold.predict_batch(samples), strict=True)
        scores.append([result.score for sample, result in judged if sample.label is not None])
        if progress:
            progress("judging fold by fold", done, model.method.params.folds)
    each = [measure(Judged(one, labels, objects=objects)) for one in scores]
    if left := report.metrics.keys() - each[0].keys():
        raise UsageError(f"tables: only metrics of whole pictures can be averaged over folds; got {', '.join(sorted(left))}.")
    metrics = {name: float(np.mean([of_fold[name] for of_fold in each])) for name in report.metrics}
    drawn = np.mean([resampling.image_auroc(one, labels, resamples) for one in scores], 0)  # each draws the same pictures
    message = ", ".join(f"{100 * of_fold['image_auroc']:.1f}" for of_fold in each)
    note = f"The mean over {len(each)} models, each judged by itself, as published; image AUROC of each: {message}."
    return dataclasses.replace(
        report,
        metrics=metrics,
        timings_s={**report.timings_s, "by_fold": time.perf_counter() - started},
        intervals={"image_auroc": resampling.interval(drawn)} if report.intervals else {},
        notes=[*report.notes, note],
    )


def folds(model: Model) -> list[Model]:
    """The model with each of its folds alone. Raises UsageError unless it has several, and scores by all of them."""
    method, params = model.method, model.method.params
    if getattr(params, "folds", 1) == 1 or getattr(params, "fold", 0):
        raise UsageError(f"tables: a model of several folds was needed to judge one by one; got one of {method.name} without.")
    state = method.state()
    single = [dataclasses.replace(params, fold=fold) for fold in range(1, params.folds + 1)]
    return [dataclasses.replace(model, method=type(method)(one, model.backbone).with_state(state)) for one in single]
