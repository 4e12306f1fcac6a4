"""Pairs of patches: neighbours lie where their direction says, others hardly anywhere else, and all in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from flawsight.parts.pairs import DIRECTIONS, nearly_same, neighbours

each_side = pytest.mark.parametrize("side", [32, 64])


@each_side
def test_a_neighbour_lies_in_its_direction(side: int) -> None:
    first, other, direction = neighbours(np.random.default_rng(0), 4000, (6 * side, 8 * side), side)
    whole = ((first >= side) & (first <= np.array([6, 8]) * side - 2 * side)).all(1)  # not pushed back into the picture
    away = (other - first)[whole]
    np.testing.assert_array_equal(np.sign(away), DIRECTIONS[direction[whole]])
    lengths = np.unique(np.abs(away[away != 0]))
    np.testing.assert_array_equal(lengths, np.arange(3 * side // 4, side))  # each of them, and no other
    assert np.bincount(direction, minlength=8).min() > 400


@each_side
def test_nearly_the_same_is_never_the_same_but_at_the_rim(side: int) -> None:
    first, near = nearly_same(np.random.default_rng(1), 2000, (3 * side, 4 * side), side)
    most = side // 32
    inside = ((first >= most) & (first <= np.array([2, 3]) * side - most)).all(1)
    moves = {tuple(move) for move in (near - first)[inside].tolist()}
    assert moves == {(y, x) for y in range(-most, most + 1) for x in range(-most, most + 1)} - {(0, 0)}


@each_side
def test_all_lie_in_the_picture_and_reach_its_rim(side: int) -> None:
    hw = (side + 5, 2 * side)
    rng = np.random.default_rng(2)
    for corners in (*neighbours(rng, 2000, hw, side)[:2], *nearly_same(rng, 2000, hw, side)):
        assert corners.min(0).tolist() == [0, 0]
        assert corners.max(0).tolist() == [5, side]
