"""The geometric transforms that GeoTrans tells apart: Golan, El-Yaniv, NeurIPS 2018. Mirrored, moved, turned by quarters."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from flawsight.types import Float


@dataclass(frozen=True)
class Move:
    """In this order: mirrored left to right; moved down and to the right, in pixels; turned by so many quarters to the left."""

    mirrored: bool
    down: int
    right: int
    quarters: int

    def __call__(self, pictures: Float) -> Float:
        """Square pictures [...,side,side] → the same shape; what comes in from beyond the rim continues as in a mirror."""
        moved = pictures[..., ::-1] if self.mirrored else pictures
        side = moved.shape[-1]
        reach = max(abs(self.down), abs(self.right))
        if reach:
            beyond = [(0, 0)] * (moved.ndim - 2) + [(reach, reach)] * 2
            top, left = reach - self.down, reach - self.right
            moved = np.pad(moved, beyond, "symmetric")[..., top : top + side, left : left + side]
        return np.ascontiguousarray(np.rot90(moved, self.quarters, (-2, -1)))


def moves(shift: int) -> list[Move]:
    """All 72 with that shift in pixels, in the order of the paper's code; the 8 without one where it is 0."""
    shifts = (0, -shift, shift) if shift else (0,)
    return [
        Move(mirrored, down, right, quarters)
        for mirrored, right, down, quarters in itertools.product((False, True), shifts, shifts, range(4))
    ]
