"""Pictures looked at through a window of fixed size that is moved over them, with what it sees put together again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flawsight.types import Float

AT_ONCE = 16  # windows that are judged together: more take memory, and no less time


def padded(image: Float, side: int) -> Float:
    """The picture [C,h,w] continued downwards and to the right as in a mirror, until both sides are at least so long."""
    high, wide = (max(0, side - length) for length in image.shape[1:])
    return np.pad(image, ((0, 0), (0, high), (0, wide)), "symmetric") if high or wide else image


def starts(length: int, side: int, stride: int) -> list[int]:
    """Where windows begin along a side of a picture: every `stride` pixels, and one at the end."""
    last = length - side
    return sorted({*range(0, last + 1, stride), last})


def mean_map(image: Float, side: int, stride: int, judge: Callable[[Float], Float]) -> Float:
    """What `judge` says of windows, float32 [B,C,side,side] → [B,side,side], the mean where they overlap: float32 [h,w]."""
    whole = padded(image, side)
    total, n_seen = np.zeros(whole.shape[1:]), np.zeros(whole.shape[1:])
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in starts(whole.shape[1], side, stride)
        for left in starts(whole.shape[2], side, stride)
    ]
    for i in range(0, len(places), AT_ONCE):
        some = places[i : i + AT_ONCE]
        for place, heat in zip(some, judge(np.stack([whole[:, *place] for place in some])), strict=True):
            total[place] += heat
            n_seen[place] += 1
    mean: Float = (total / n_seen)[: image.shape[1], : image.shape[2]].astype(np.float32)
    return mean
