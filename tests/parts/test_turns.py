"""Pictures turned about their centre."""

from __future__ import annotations

import numpy as np
import pytest

from flawsight.parts import turns


def test_a_quarter_turn_goes_counterclockwise() -> None:
    image = np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(turns.turned(image, 90, 0.0), np.rot90(image, 1, (1, 2)), atol=1e-6)
    np.testing.assert_array_equal(turns.turned(image, 0, 0.0), image)


def test_what_was_outside_has_the_value_given_and_the_centre_stays() -> None:
    image = np.ones((2, 40, 60), np.float32)
    found = turns.turned(image, 30, -2.0)
    assert (found.shape, found.dtype) == (image.shape, np.float32)
    assert (found[:, [0, 0, -1, -1], [0, -1, 0, -1]] == -2).all()
    assert (found[:, 15:25, 20:40] == 1).all()


@pytest.mark.parametrize(
    ("n", "angle", "expected"), [(1, 180, [0]), (4, 180, [-135, -45, 45, 135]), (2, 10, [-5, 5]), (3, 0, [0, 0, 0])]
)
def test_angles_are_spread_evenly(n: int, angle: float, expected: list[float]) -> None:
    np.testing.assert_allclose(turns.evenly(n, angle), expected, atol=1e-9)
