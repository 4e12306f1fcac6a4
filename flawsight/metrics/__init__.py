"""How well a method ranks pictures and finds defects: the METRICS table, and `measure`, which works them all out.

Every metric is exact, a fraction in [0,1], higher is better, and NaN where it is undefined because a class is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from flawsight.metrics.pixels import PixelMetrics, PixelTally, pro_of_picture
from flawsight.metrics.ranking import auroc, average_precision, balanced_accuracy, f1max, object_auroc, roc_curve

__all__ = [
    "METRICS",
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
class Metric:
    """A metric by name. label: what people call it. level: what is ranked. usual: worked out of any labelled pictures, or of any
    masks; others where they are asked for or a data set has what they take.
    """

    name: str
    label: str
    description: str
    level: Literal["image", "pixel"]
    usual: bool = True


_ALL = (
    Metric("image_auroc", "Image AUROC", "Chance that a defective picture scores above a good one.", "image"),
    Metric("image_ap", "Image AP", "Precision over pictures, averaged over recall.", "image"),
    Metric("image_f1max", "Image F1max", "Best F1 over pictures at any threshold.", "image"),
    Metric(
        "object_auroc",
        "Object AUROC",
        "Chance that a defective object scores above a good one, each by the highest score of its pictures.",
        "image",
        usual=False,
    ),
    Metric(
        "balanced_accuracy",
        "Balanced accuracy",
        "Mean of the shares of good and of defective pictures that are called so, of a method that decides by itself.",
        "image",
        usual=False,
    ),
    Metric("pixel_auroc", "Pixel AUROC", "Chance that a defective pixel scores above a good one, over all pictures.", "pixel"),
    Metric("pixel_ap", "Pixel AP", "Precision over the pixels of all pictures, averaged over recall.", "pixel"),
    Metric("pixel_f1max", "Pixel F1max", "Best F1 over the pixels of all pictures at any threshold.", "pixel"),
    Metric("pro", "PRO", "Mean share of each defect found, averaged over false-positive rates up to 0.3.", "pixel"),
    Metric(
        "pro_imagewise",
        "PRO by picture",
        "PRO of each defective picture by itself, averaged over pictures.",
        "pixel",
        usual=False,
    ),
    Metric(
        "spro",
        "sPRO",
        "As PRO up to a false-positive rate of 0.05, a defect being found once as much of it is as the data set asks for.",
        "pixel",
        usual=False,
    ),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def measure(
    scores: ArrayLike,
    labels: ArrayLike,
    pixels: PixelTally | None = None,
    pro_each: Sequence[float] | None = None,
    objects: Sequence[str] | None = None,
    decides_at: float | None = None,
) -> tuple[dict[str, float], PixelMetrics | None]:
    """Name → value in the order of METRICS, and the pixels' metrics in full.

    scores: [n], one per picture. labels: [n] of 0 good, 1 defective. Without pixels, only the image metrics, and None. pro_each:
    `pro_of_picture` of each, NaN of those without a defect; without, pro_imagewise is left out. objects: [n], what each picture
    shows; without, object_auroc is left out. decides_at: the score above which a picture is called defective; without,
    balanced_accuracy is left out. spro is left out unless the pixels were told what suffices of a region.
    """
    values = {
        "image_auroc": auroc(scores, labels),
        "image_ap": average_precision(scores, labels),
        "image_f1max": f1max(scores, labels)[0],
    }
    if objects is not None:
        values["object_auroc"] = object_auroc(scores, labels, objects)
    if decides_at is not None:
        values["balanced_accuracy"] = balanced_accuracy(scores, labels, decides_at)
    if pixels is None:
        return values, None
    found = pixels.metrics()
    values |= {"pixel_auroc": found.auroc, "pixel_ap": found.ap, "pixel_f1max": found.f1max, "pro": found.pro}
    if pro_each is not None:
        finite = [value for value in pro_each if not np.isnan(value)]
        values["pro_imagewise"] = sum(finite) / len(finite) if finite else float("nan")
    if found.n_saturating:
        values["spro"] = found.spro
    return values, found
