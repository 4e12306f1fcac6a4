"""Structural similarity beside its formula, and beside scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from flawsight.networks.ssim import Dissimilarity, similarity  # noqa: E402
from flawsight.types import Float  # noqa: E402


def pair(seed: int, high: int = 40, wide: int = 56) -> tuple[Float, Float]:
    rng = np.random.default_rng(seed)
    one = ndimage.gaussian_filter(rng.random((3, high, wide)), (0, 2, 2))
    one = (one - one.min()) / np.ptp(one)
    other = (one * rng.uniform(0.6, 1) + rng.normal(0, 0.1, one.shape)).clip(0, 1)
    return one.astype(np.float32), other.astype(np.float32)


def found(one: Float, other: Float) -> Float:
    result: Float = similarity(torch.from_numpy(one)[None].double(), torch.from_numpy(other)[None].double())[0].numpy()
    return result


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_formula(seed: int) -> None:
    one, other = pair(seed)

    def mean(x: Float) -> Float:
        return ndimage.gaussian_filter(x.astype(np.float64), (0, 1.5, 1.5), truncate=3.5)

    a, b = mean(one), mean(other)
    numerator = (2 * a * b + 1e-4) * (2 * (mean(one.astype(np.float64) * other) - a * b) + 9e-4)
    denominator = (a**2 + b**2 + 1e-4) * (mean(one**2.0) - a**2 + mean(other**2.0) - b**2 + 9e-4)
    np.testing.assert_allclose(found(one, other), numerator / denominator, atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_scikit_image_says(seed: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    one, other = pair(seed)
    _, expected = metrics.structural_similarity(
        one, other, channel_axis=0, data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    np.testing.assert_allclose(found(one, other), expected, atol=2e-5)


def test_a_picture_is_wholly_similar_to_itself_and_less_to_any_other() -> None:
    one, other = pair(0)
    np.testing.assert_allclose(found(one, one), 1, atol=1e-5)
    assert found(one, other).mean() < 0.8
    np.testing.assert_allclose(found(one, other), found(other, one), atol=1e-6)
    nothing = Dissimilarity(torch.nn.Identity())(torch.from_numpy(np.stack([one, other])))
    assert nothing.shape == (2, 40, 56)
    np.testing.assert_allclose(nothing, 0, atol=3e-4)  # in float32, where variances are differences of like numbers
