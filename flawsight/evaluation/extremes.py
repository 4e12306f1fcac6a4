"""Ensembles scaled by the pictures they are judged on, as the paper's code does it: to reproduce its figures, for nothing else.

It scales the scores and the maps of each member to 0 … 1 by their extremes over the whole test set before it takes the mean. So a
picture's score depends on all others that are judged, defective ones too, and no figure found so holds for a picture alone.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight import loader, threshold
from flawsight.errors import PictureError, UsageError
from flawsight.methods.ensemble import Ensemble
from flawsight.model import Model
from flawsight.system import threads
from flawsight.types import Progress, Sample

NORMS = ("held-out", "test")  # what the members of an ensemble are scaled by
NOTE = (
    "The ensemble's members were scaled by their extremes over all pictures judged here, as the paper's code does: every score "
    "depends on all of them, so these figures are for comparison with published ones alone. The threshold is the default one at "
    "that scale."
)


def check(method: str) -> None:
    """Raise UsageError unless that method has members to scale."""
    if method != Ensemble.name:
        raise UsageError(f"evaluate: ensemble_norm=test is of method {Ensemble.name}; got {method}. Leave it out.")


def rescaled(model: Model, samples: Sequence[Sample], progress: Progress | None = None) -> Model:
    """The model with its members scaled by their extremes over these pictures; unreadable ones are passed over."""
    ensemble = model.method
    check(ensemble.name)
    assert isinstance(ensemble, Ensemble)  # as checked

    def extremes(item: tuple[Sample, int]) -> NDArray[np.float64] | None:
        try:
            pixels = loader.read(*item, model.bits)
        except PictureError:
            return None
        each = ensemble.each(model.preprocess.apply(pixels)[None])
        return np.array([[_range(one.image), _range(one.map)] for one in each])

    found: list[Any] = []
    for done, of_picture in enumerate(threads.ahead(extremes, zip(samples, itertools.count(1), strict=False)), 1):
        found += [] if of_picture is None else [of_picture]
        if progress:
            progress("looking for extremes", done, len(samples))
    if not found:
        return model
    lowest, highest = np.min(found, 0)[..., 0], np.max(found, 0)[..., 1]  # [K, score or map]
    unit = np.where(highest > lowest, highest - lowest, 1)
    scales = np.stack([lowest, unit], -1)
    method = ensemble.rescaled(scales[:, 0], scales[:, 1])
    training = dataclasses.replace(model.training, held_out=method.held_out)
    chosen = threshold.choose(training.independent, None, model.threshold.confidence, training.independent_series)
    return dataclasses.replace(model, method=method, training=training, threshold=chosen)


def _range(values: Any) -> tuple[float, float]:
    return float(values.min()), float(values.max())
