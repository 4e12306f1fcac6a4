"""Regions: where the map of a rejected picture is above the threshold.

A threshold is set for the score of a picture, and a map is not quite on the scale of that score: a score may be read from a map
that is blurred less, be the mean of several of its highest places or be weighted, and two banks may find their worst places apart.

A pixel belongs to a region if the map there exceeds the threshold: the value that is yellow in every heat map. If the map's highest
value lies below the score, the threshold is lowered in the same proportion for that picture, by highest value / score, since both
are what the method makes of the same place. Hence every rejected picture that has a map has at least one region, which holds
the map's highest value. A picture that passes has none by definition, even where single pixels of its map exceed the threshold.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flawsight.types import Region


def pixel_threshold(map_: NDArray[np.float32], score: float, threshold: float) -> float:
    """The value that the map [H,W] of a picture exceeds in its regions, see the module; infinite for a picture that passes.

    If the threshold is not positive a proportion means nothing: then the distance from threshold to score is taken off the map's
    highest value, unless that lies above the score.
    """
    peak = float(np.nanmax(map_)) if np.isfinite(map_).any() else math.nan
    if not (math.isfinite(score) and math.isfinite(peak) and score > threshold):
        return math.inf
    if peak >= score:
        return threshold
    return threshold * peak / score if threshold > 0 and peak > 0 else peak - (score - threshold)


def find(map_: NDArray[np.float32], above: float) -> tuple[Region, ...]:
    """The regions of a map [H,W] whose values exceed `above`, highest peak first. NaN, where nobody looked, belongs to none."""
    from scipy import ndimage

    mask = map_ > above
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    if not n:
        return ()
    numbers = np.arange(1, n + 1)
    peaks = ndimage.maximum_position(np.where(mask, map_, -np.inf), labels, numbers)
    areas = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    found = [
        Region(
            box_xyxy=(across.start, down.start, across.stop, down.stop),
            area=int(area),
            peak=float(map_[row, column]),
            peak_xy=(int(column), int(row)),
        )
        for (down, across), area, (row, column) in zip(ndimage.find_objects(labels), areas, peaks, strict=True)
    ]
    return tuple(sorted(found, key=lambda region: -region.peak))
