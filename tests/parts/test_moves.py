"""The transforms: how many, in which order, and what each does to a picture of four places."""

from __future__ import annotations

import numpy as np
import pytest

from flawsight.parts.moves import Move, moves

PICTURE = np.arange(9, dtype=np.float32).reshape(1, 3, 3)


def test_there_are_72_or_8_and_no_two_do_the_same() -> None:
    picture = np.random.default_rng(0).random((3, 8, 8), np.float32)
    for shift, n in ((2, 72), (0, 8)):
        found = moves(shift)
        assert len(found) == len({move(picture).tobytes() for move in found}) == n
        np.testing.assert_array_equal(found[0](picture), picture)


def test_mirroring_is_outermost_and_turning_innermost() -> None:
    assert moves(4)[:5] == [*(Move(False, 0, 0, quarters) for quarters in range(4)), Move(False, -4, 0, 0)]
    assert moves(4)[36] == Move(True, 0, 0, 0)


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (Move(True, 0, 0, 0), [[2, 1, 0], [5, 4, 3], [8, 7, 6]]),
        (Move(False, 0, 0, 1), [[2, 5, 8], [1, 4, 7], [0, 3, 6]]),
        (Move(False, 1, 0, 0), [[0, 1, 2], [0, 1, 2], [3, 4, 5]]),
        (Move(False, 0, -1, 0), [[1, 2, 2], [4, 5, 5], [7, 8, 8]]),
        (Move(True, 0, 1, 2), [[7, 8, 8], [4, 5, 5], [1, 2, 2]]),
    ],
)
def test_what_each_does(move: Move, expected: list[list[int]]) -> None:
    np.testing.assert_array_equal(move(PICTURE)[0], expected)
    np.testing.assert_array_equal(move(np.stack([PICTURE, PICTURE]))[1, 0], expected)
