"""Pairs of square patches drawn from one picture: one and its neighbour in one of eight directions, or nearly the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.int64]  # [n,2]: top and left of patches

DIRECTIONS: Corners = np.array([(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)])


def neighbours(rng: np.random.Generator, n: int, hw: tuple[int, int], side: int) -> tuple[Corners, Corners, NDArray[np.int64]]:
    """Patches, their neighbours, and the directions in which these lie, numbers in DIRECTIONS, [n].

    A neighbour is ¾ of a side to nearly a whole one away along each axis that its direction has. It is pushed back into the
    picture, so that at the rim it may lie elsewhere than the direction says.
    """
    first, direction = _anywhere(rng, n, hw, side), rng.integers(len(DIRECTIONS), size=n)
    away = 3 * side // 4 + rng.integers(side // 4, size=(n, 2))
    return first, _inside(first + DIRECTIONS[direction] * away, hw, side), direction


def nearly_same(rng: np.random.Generator, n: int, hw: tuple[int, int], side: int) -> tuple[Corners, Corners]:
    """Patches, and others moved from them by up to 1/32 of a side along each axis, along one of them at least.

    These are pushed back into the picture too.
    """
    most = max(side // 32, 1)
    moves = np.array([(down, right) for down in range(-most, most + 1) for right in range(-most, most + 1) if down or right])
    first = _anywhere(rng, n, hw, side)
    return first, _inside(first + moves[rng.integers(len(moves), size=n)], hw, side)


def _anywhere(rng: np.random.Generator, n: int, hw: tuple[int, int], side: int) -> Corners:
    return rng.integers(np.array(hw) - side + 1, size=(n, 2))


def _inside(corners: Corners, hw: tuple[int, int], side: int) -> Corners:
    return np.clip(corners, 0, np.array(hw) - side)
