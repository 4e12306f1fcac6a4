"""Pooling, resizing and blurring as matrices, against the same done with scipy, torch and Pillow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from flawsight.parts import resample
from flawsight.types import Float


def draw(*shape: int) -> Float:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kernel", [1, 3, 5, 9])
@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_box_is_the_mean_with_zeros_beyond_the_border(n: int, kernel: int) -> None:
    values = draw(n)
    padded = np.pad(values, kernel // 2)
    expected = [padded[i : i + kernel].mean() for i in range(n)]
    np.testing.assert_allclose(resample.box(n, kernel) @ values, expected, atol=1e-6)
    np.testing.assert_allclose(expected, ndimage.uniform_filter1d(values, kernel, mode="constant"), atol=1e-6)


@pytest.mark.parametrize(("n", "size"), [(1, 1), (1, 5), (2, 7), (5, 5), (4, 16), (7, 20), (20, 7), (3, 320)])
def test_bilinear_is_torchs(n: int, size: int) -> None:
    torch = pytest.importorskip("torch")
    values = draw(n)
    expected = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size=size, mode="linear", align_corners=False)
    np.testing.assert_allclose(resample.bilinear(n, size) @ values, expected[0, 0].numpy(), atol=1e-5)


def test_bilinear_known_values() -> None:
    np.testing.assert_allclose(resample.bilinear(2, 4) @ np.array([0, 1], np.float32), [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(resample.bilinear(4, 2) @ np.array([0, 2, 4, 6], np.float32), [1, 5])
    np.testing.assert_array_equal(resample.bilinear(6, 6), np.eye(6))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0, 7.3])
@pytest.mark.parametrize("n", [1, 2, 5, 17, 64])
def test_gaussian_is_scipys(n: int, sigma: float) -> None:
    values = draw(n)
    expected = ndimage.gaussian_filter1d(values.astype(np.float64), sigma, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(resample.gaussian(n, sigma) @ values, expected, atol=1e-5)


def test_no_gaussian() -> None:
    np.testing.assert_array_equal(resample.gaussian(5, 0.0), np.eye(5))


@pytest.mark.parametrize(("n", "size", "sigma"), [(12, 96, 4.0), (5, 7, 0.0), (1, 8, 2.0)])
def test_enlarge_and_blur_is_one_after_the_other(n: int, size: int, sigma: float) -> None:
    values = draw(n)
    expected = resample.gaussian(size, sigma) @ (resample.bilinear(n, size) @ values)
    np.testing.assert_allclose(resample.enlarge_and_blur(n, size, sigma) @ values, expected, atol=1e-5)


@pytest.mark.parametrize(("n", "kernel", "size"), [(12, 3, 24), (5, 5, 5), (1, 3, 4)])
def test_pool_and_align_is_one_after_the_other(n: int, kernel: int, size: int) -> None:
    values = draw(n)
    expected = resample.bilinear(n, size) @ (resample.box(n, kernel) @ values)
    np.testing.assert_allclose(resample.pool_and_align(n, kernel, size) @ values, expected, atol=1e-5)


def test_apply_acts_on_rows_and_columns() -> None:
    maps = draw(2, 3, 6, 9)
    found = resample.apply(maps, resample.box(6, 3), resample.box(9, 5))
    assert (found.shape, found.dtype) == ((2, 3, 6, 9), np.float32)
    expected = ndimage.uniform_filter(maps, (1, 1, 3, 5), mode="constant")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_apply_enlarges_and_blurs_a_map() -> None:
    heat = draw(6, 9)
    found = resample.apply(heat, resample.enlarge_and_blur(6, 48, 3.0), resample.enlarge_and_blur(9, 36, 3.0))
    enlarged = resample.apply(heat, resample.bilinear(6, 48), resample.bilinear(9, 36))
    np.testing.assert_allclose(found, ndimage.gaussian_filter(enlarged, 3.0), atol=1e-5)


def test_a_map_does_not_depend_on_the_others_of_its_batch() -> None:
    maps = draw(5, 7, 12, 20)
    matrices = resample.pool_and_align(12, 3, 24), resample.pool_and_align(20, 3, 40)
    together = resample.apply(maps, *matrices)
    for i in range(5):
        np.testing.assert_array_equal(resample.apply(maps[i : i + 1], *matrices)[0], together[i])


@pytest.mark.parametrize(
    "make",
    [
        lambda: resample.box(7, 3),
        lambda: resample.bilinear(7, 14),
        lambda: resample.gaussian(7, 1.5),
        lambda: resample.gaussian(7, 0.0),
        lambda: resample.enlarge_and_blur(7, 14, 1.5),
        lambda: resample.pool_and_align(7, 3, 14),
    ],
)
def test_shared_matrices_cannot_be_written_to(make: Callable[[], Float]) -> None:
    matrix = make()
    assert matrix.dtype == np.float32
    assert make() is matrix
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 9


@pytest.mark.parametrize(("n", "size"), [(96, 32), (208, 64), (100, 37), (20, 64), (5, 5), (33, 32)])
def test_antialiased_is_pillows(n: int, size: int) -> None:
    values = draw(n, 3)
    expected = np.asarray(Image.fromarray(values).resize((3, size), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resample.antialiased(n, size) @ values, expected, atol=1e-5)


def test_to_square_gives_up_the_ratio_and_leaves_what_fits() -> None:
    picture = draw(3, 48, 80)
    found = resample.to_square(picture, 32)
    assert (found.shape, found.dtype) == ((3, 32, 32), np.float32)
    for mine, channel in zip(found, picture, strict=True):
        expected = Image.fromarray(channel).resize((32, 32), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(mine, np.asarray(expected), atol=1e-5)
    assert resample.to_square(found, 32) is found


@pytest.mark.parametrize(("side", "step", "size"), [(32, 4, 96), (64, 16, 96), (32, 4, 61), (64, 16, 64)])
def test_spread_is_the_mean_over_the_windows_that_cover_a_cell(side: int, step: int, size: int) -> None:
    n = (size - side) // step + 1
    values = np.random.default_rng(0).normal(size=n)
    total, covered = np.zeros(size), np.zeros(size)
    for i, value in enumerate(values):
        total[i * step : i * step + side] += value
        covered[i * step : i * step + side] += 1
    reached = (n - 1) * step + side
    expected = np.append(total[:reached] / covered[:reached], np.full(size - reached, values[-1]))
    np.testing.assert_allclose(resample.spread(n, side, step, size) @ values, expected, atol=1e-5)
