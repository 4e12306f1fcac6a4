"""Descriptors as one linear map, against unfolding, enlarging and averaging done one after another as the paper's code does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from flawsight.parts import mapper
from flawsight.types import Float

Shape = tuple[int, int, int]


def draw(*shapes: Shape, batch: int = 1) -> list[Float]:
    """A network's levels after their ReLUs, [B,*shape] each."""
    rng = np.random.default_rng(0)
    return [np.maximum(rng.normal(size=(batch, *shape)), 0).astype(np.float32) for shape in shapes]


def unfolded(level: Float, p: int) -> NDArray[np.float64]:
    """[C,h,w] → [C·p²,h,w]: channel, then row and column in the patch; zeros beyond the border."""
    padded = np.pad(level.astype(np.float64), ((0, 0), (p // 2, p // 2), (p // 2, p // 2)))
    high, wide = level.shape[1:]
    return np.stack(
        [channel[y : y + high, x : x + wide] for channel in padded for y in range(p) for x in range(p)],
    )


def enlarged(maps: NDArray[np.float64], high: int, wide: int) -> NDArray[np.float64]:
    """[N,h,w] → [N,high,wide], linear between the centres of cells, flat beyond them."""

    def along(axis: int, size: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        n = values.shape[axis]
        at = (np.arange(size) + 0.5) * n / size - 0.5
        return np.apply_along_axis(lambda line: np.interp(at, np.arange(n), line), axis, values)

    return along(2, wide, along(1, high, maps))


def averaged(values: NDArray[np.float64], out: int) -> NDArray[np.float64]:
    """[n,h,w] → [out,h,w]: one-dimensional adaptive average pooling."""
    n = len(values)
    return np.stack([values[int(np.floor(i * n / out)) : int(np.ceil((i + 1) * n / out))].mean(0) for i in range(out)])


def literal(levels: list[Float], p: int, level_dims: int, target_dims: int) -> NDArray[np.float64]:
    """One picture's levels [C,h,w] → [target_dims,h,w]."""
    high, wide = levels[0].shape[1:]
    per_level = [averaged(enlarged(unfolded(level, p), high, wide), level_dims) for level in levels]
    return averaged(np.concatenate(per_level), target_dims)


TWO: tuple[Shape, ...] = ((512, 6, 5), (1024, 3, 3))
THREE: tuple[Shape, ...] = ((256, 7, 6), (512, 4, 3), (1024, 2, 2))


@pytest.mark.parametrize(
    ("shapes", "level_dims", "target_dims"),
    [
        (TWO, 1024, 1024),
        (TWO, 1024, 384),
        (THREE, 1024, 1024),
        (THREE, 1024, 384),
        (((40, 6, 6), (112, 3, 3)), 1024, 1024),
        (((40, 6, 6), (112, 3, 3)), 100, 64),
        (((256, 6, 6), (896, 3, 3)), 1024, 384),
        (((512, 6, 6), (1792, 3, 3)), 1024, 384),
        (((64, 5, 5),), 1024, 1024),
        (((64, 5, 5),), 7, 3),
        (((16, 3, 3), (8, 5, 4)), 30, 70),  # a coarser grid first; more dimensions than windows before
    ],
)
@pytest.mark.parametrize("p", [1, 3, 5])
def test_it_is_what_the_steps_give(shapes: tuple[Shape, ...], level_dims: int, target_dims: int, p: int) -> None:
    maps = draw(*shapes)
    expected = literal([level[0] for level in maps], p, level_dims, target_dims)
    found = mapper.apply(maps, p, level_dims, target_dims)
    assert found.shape == (1, *expected.shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, atol=1e-5 * expected.max())
    assert np.abs(expected).max() > 0.3


@pytest.mark.parametrize(("p", "middle"), [(3, 10), (5, 26)])
def test_two_levels_become_boxes_of_channels_and_of_their_pairs(p: int, middle: int) -> None:
    fine, coarse = (level[0].astype(np.float64) for level in draw((512, 6, 6), (1024, 3, 3)))
    box, centre = np.ones((1, p, p)), np.zeros((1, p, p))
    centre[0, p // 2, p // 2] = 1
    weighted = ndimage.convolve(fine, (box + centre) / middle, mode="constant")
    paired = ndimage.convolve(coarse, box / p**2, mode="constant").reshape(512, 2, 3, 3).mean(1)
    expected = np.concatenate([weighted, enlarged(paired, 6, 6)])
    np.testing.assert_allclose(mapper.apply(draw((512, 6, 6), (1024, 3, 3)), p, 1024, 1024)[0], expected, atol=1e-5)


def test_a_picture_is_described_the_same_in_any_batch() -> None:
    maps = draw((40, 6, 5), (112, 3, 3), batch=3)
    together = mapper.apply(maps, 3, 64, 48)
    for i in range(3):
        np.testing.assert_array_equal(together[i], mapper.apply([level[i : i + 1] for level in maps], 3, 64, 48)[0])
    np.testing.assert_array_equal(together[::-1], mapper.apply([level[::-1] for level in maps], 3, 64, 48))


def test_grids_smaller_than_the_patch() -> None:
    maps = draw((20, 2, 1), (30, 1, 1))
    np.testing.assert_allclose(mapper.apply(maps, 5, 16, 8)[0], literal([level[0] for level in maps], 5, 16, 8), atol=1e-6)


@pytest.mark.parametrize("kernel", [3, 5])
def test_every_dimension_is_a_mean(kernel: int) -> None:
    """Weights add up to 1, whatever the windows: away from the border a flat level stays as it is."""
    flat = [np.full((1, c, 9, 9), 2.5, np.float32) for c in (37, 53)]
    found = mapper.apply(flat, kernel, 41, 29)
    np.testing.assert_allclose(found[0, :, 4, 4], 2.5, rtol=1e-6)
    assert (found[0, :, 0, 0] < 2.5).all()


@pytest.mark.parametrize("kernel", [1, 3])
def test_projecting_level_by_level_is_projecting_all_together(kernel: int) -> None:
    maps = draw((5, 8, 12), (4, 4, 6), (3, 2, 3), batch=2)
    axes = np.random.default_rng(1).normal(size=(12, 7)).astype(np.float32)
    expected = np.einsum("bdhw,dk->bkhw", mapper.concatenated(maps, kernel), axes)
    found = mapper.projected(maps, kernel, axes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
