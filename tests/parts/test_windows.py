"""A window moved over a picture."""

from __future__ import annotations

import numpy as np
import pytest

from flawsight.parts import windows


@pytest.mark.parametrize(
    ("length", "side", "stride", "expected"),
    [(64, 64, 32, [0]), (128, 64, 32, [0, 32, 64]), (100, 64, 32, [0, 32, 36]), (70, 64, 64, [0, 6])],
)
def test_windows_reach_the_end(length: int, side: int, stride: int, expected: list[int]) -> None:
    assert windows.starts(length, side, stride) == expected


@pytest.mark.parametrize("hw", [(64, 64), (100, 80), (64, 200), (30, 90), (5, 7)])
def test_what_is_said_of_each_pixel_alone_comes_back_as_it_was(hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((3, *hw), np.float32)
    found = windows.mean_map(image, 64, 24, lambda cuts: cuts.mean(1))
    assert (found.shape, found.dtype) == (hw, np.float32)
    np.testing.assert_allclose(found, image.mean(0), atol=1e-6)


def test_where_windows_overlap_the_mean_counts() -> None:
    image = np.zeros((1, 64, 96), np.float32)
    image[0, :, :64] = 1  # the first window sees ones alone, the second one half of it
    found = windows.mean_map(image, 64, 32, lambda cuts: np.broadcast_to(cuts.mean((1, 2, 3))[:, None, None], (len(cuts), 64, 64)))
    np.testing.assert_allclose(found[0, [0, 40, 80]], [1, 0.75, 0.5])


def test_a_small_picture_is_continued_as_in_a_mirror() -> None:
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    np.testing.assert_array_equal(windows.padded(image, 4)[0], [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [0, 1, 2, 2]])
    assert windows.padded(image, 2) is image
