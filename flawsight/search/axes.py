"""The principal axes of patch descriptors: fewer dimensions that hold nearly all of how good patches differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from flawsight.parts import mapper
from flawsight.search.spread import level_scales
from flawsight.types import Float

SAMPLED_ROWS = 16_384  # patches that axes are learned from, about


def principal(pictures: Iterable[Sequence[Float]], n: int, kernel: int, dims: int, balance: bool) -> Float | None:
    """The axes with most variance, the levels' scales within them: float32 [D,dims]; None where there are no more dimensions.

    pictures: the levels' maps float32 [1,C,h,w] of each of n pictures. kernel: see mapper.concatenated. balance: whether levels are
    first made to weigh alike.
    """
    sampled, channels = [], [0]
    for maps in pictures:
        channels = [level.shape[1] for level in maps]
        if sum(channels) <= dims:
            return None
        rows = mapper.concatenated(maps, kernel)[0].reshape(sum(channels), -1).T
        sampled.append(rows[:: max(1, len(rows) * n // SAMPLED_ROWS)])
    if not sampled:
        return None
    together = np.concatenate(sampled).astype(np.float64)
    scales = level_scales(together.var(0), channels if balance else None)
    covariance = np.cov(together, rowvar=False) * np.outer(scales, scales)
    rising = np.linalg.eigh(covariance)[1]
    axes: Float = np.ascontiguousarray(scales[:, None] * rising[:, : -dims - 1 : -1], np.float32)
    return axes
