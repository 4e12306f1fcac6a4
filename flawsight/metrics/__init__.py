"""How well a method ranks pictures and finds defects: the METRICS table, and `measure`, which works them all out.

Every metric is exact, a fraction in [0,1], higher is better, and NaN where it is undefined because a class is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from flawsight.metrics.pixels import PixelMetrics, PixelTally, pro_of_picture
from flawsight.metrics.ranking import auroc, average_precision, balanced_accuracy, f1max, object_auroc, roc_curve

__all__ = [
    "METRICS",
    "Judged",
    "Metric",
    "measure",
    "PixelTally",
    "PixelMetrics",
    "pro_of_picture",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "f1max",
    "object_auroc",
    "roc_curve",
]


@dataclass(frozen=True)
class Judged:
    """What metrics are worked out of.

    scores: [n], one per picture. labels: [n] of 0 good, 1 defective. pixels: None where there are no masks. pro_each:
    `pro_of_picture` of each, NaN of those without a defect. objects: [n], what each picture shows. decides_at: the score above
    which a picture is called defective. All but the first two are None where they are not known.
    """

    scores: ArrayLike
    labels: ArrayLike
    pixels: PixelMetrics | None = None
    pro_each: Sequence[float] | None = None
    objects: Sequence[str] | None = None
    decides_at: float | None = None


@dataclass(frozen=True)
class Metric:
    """A metric by name. label: what people call it. level: what is ranked. value: works it out; None where what it takes is not
    known, NaN where a class is missing.
    """

    name: str
    label: str
    description: str
    level: Literal["image", "pixel"]
    value: Callable[[Judged], float | None]


def _object_auroc(judged: Judged) -> float | None:
    return None if judged.objects is None else object_auroc(judged.scores, judged.labels, judged.objects)


def _balanced_accuracy(judged: Judged) -> float | None:
    return None if judged.decides_at is None else balanced_accuracy(judged.scores, judged.labels, judged.decides_at)


def _of_pixels(name: str) -> Callable[[Judged], float | None]:
    return lambda judged: None if judged.pixels is None else getattr(judged.pixels, name)


def _pro_imagewise(judged: Judged) -> float | None:
    if judged.pixels is None or judged.pro_each is None:
        return None
    finite = [value for value in judged.pro_each if not np.isnan(value)]
    return sum(finite) / len(finite) if finite else float("nan")


def _spro(judged: Judged) -> float | None:
    return judged.pixels.spro if judged.pixels is not None and judged.pixels.n_saturating else None


_ALL = (
    Metric(
        "image_auroc",
        "Image AUROC",
        "Chance that a defective picture scores above a good one.",
        "image",
        lambda judged: auroc(judged.scores, judged.labels),
    ),
    Metric(
        "image_ap",
        "Image AP",
        "Precision over pictures, averaged over recall.",
        "image",
        lambda judged: average_precision(judged.scores, judged.labels),
    ),
    Metric(
        "image_f1max",
        "Image F1max",
        "Best F1 over pictures at any threshold.",
        "image",
        lambda judged: f1max(judged.scores, judged.labels)[0],
    ),
    Metric(
        "object_auroc",
        "Object AUROC",
        "Chance that a defective object scores above a good one, each by the highest score of its pictures.",
        "image",
        _object_auroc,
    ),
    Metric(
        "balanced_accuracy",
        "Balanced accuracy",
        "Mean of the shares of good and of defective pictures that are called so, of a method that decides by itself.",
        "image",
        _balanced_accuracy,
    ),
    Metric(
        "pixel_auroc",
        "Pixel AUROC",
        "Chance that a defective pixel scores above a good one, over all pictures.",
        "pixel",
        _of_pixels("auroc"),
    ),
    Metric("pixel_ap", "Pixel AP", "Precision over the pixels of all pictures, averaged over recall.", "pixel", _of_pixels("ap")),
    Metric("pixel_f1max", "Pixel F1max", "Best F1 over the pixels of all pictures at any threshold.", "pixel", _of_pixels("f1max")),
    Metric(
        "pro", "PRO", "Mean share of each defect found, averaged over false-positive rates up to 0.3.", "pixel", _of_pixels("pro")
    ),
    Metric(
        "pro_imagewise",
        "PRO by picture",
        "PRO of each defective picture by itself, averaged over pictures.",
        "pixel",
        _pro_imagewise,
    ),
    Metric(
        "spro",
        "sPRO",
        "As PRO up to a false-positive rate of 0.05, a defect being found once as much of it is as the data set asks for.",
        "pixel",
        _spro,
    ),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def measure(judged: Judged) -> dict[str, float]:
    """Name → value in the order of METRICS, of those that can be worked out."""
    found = {name: metric.value(judged) for name, metric in METRICS.items()}
    return {name: value for name, value in found.items() if value is not None}
