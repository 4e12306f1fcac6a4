"""Presets: the published configurations, number by number, and fits of them on maps of the published networks' shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flawsight.errors import UnknownName
from flawsight.methods import make
from flawsight.parts.coreset import n_kept
from flawsight.presets import PRESETS, get_preset
from flawsight.types import Float

WR50, WR101 = "wide_resnet50_2", "wide_resnet101_2"
TWO, THREE = ("layer2", "layer3"), ("layer1", "layer2", "layer3")
LEVELS = {"layer1": (256, 4), "layer2": (512, 8), "layer3": (1024, 16)}  # channels and stride of both Wide ResNets

# network, levels, resize, crop, share kept, target dimensions, k, p, seed
PUBLISHED: dict[str, tuple[Any, ...]] = {
    "patchcore_25": (WR50, TWO, 256, 224, 0.25, 1024, 1, 3, 0),
    "patchcore_10": (WR50, TWO, 256, 224, 0.10, 1024, 1, 3, 0),
    "patchcore_1": (WR50, TWO, 256, 224, 0.01, 1024, 1, 3, 0),
    "patchcore_1_wr101_280_l23": (WR101, TWO, 320, 280, 0.01, 1024, 1, 3, 0),
    "patchcore_1_wr101_280_l123": (WR101, THREE, 320, 280, 0.01, 1024, 1, 3, 0),
    "im320_wr50": (WR50, TWO, 366, 320, 0.01, 1024, 1, 3, 22),
    "seg320_wr50": (WR50, TWO, 366, 320, 0.01, 1024, 3, 5, 39),
}


class Maps:
    """A backbone that gives random maps of the published networks' shapes, the same for the same picture."""

    def __init__(self, levels: tuple[str, ...]) -> None:
        self.levels = levels

    def features(self, images: Float) -> list[Float]:
        high, wide = images.shape[2:]
        shapes = [(c, -(-high // stride), -(-wide // stride)) for c, stride in map(LEVELS.__getitem__, self.levels)]
        rngs = [np.random.default_rng(int(np.abs(image).sum())) for image in images]
        return [np.stack([np.maximum(rng.normal(size=shape), 0).astype(np.float32) for rng in rngs]) for shape in shapes]


def test_every_published_configuration_is_there() -> None:
    assert PRESETS.keys() == {"default", "paper", *PUBLISHED}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_the_published_configurations(name: str) -> None:
    backbone, levels, resize, crop, ratio, dims, k, p, seed = PUBLISHED[name]
    preset = get_preset(name)
    assert (preset.method, preset.backbone, preset.levels, preset.weights) == ("patchcore", backbone, levels, "")
    assert preset.preprocess == {"resize": resize, "size": crop, "filter": "bilinear"}
    assert preset.options == {
        "neighbourhood": p,
        "balance_levels": False,
        "level_dims": 1024,
        "target_dims": dims,
        "coreset": "greedy",
        "coreset_ratio": ratio,
        "bank_limit": 0,
        "projection_dims": 128,
        "random_starts": True,
        "neighbours": k,
        "distance": "sqeuclidean",
        "image_score": "patch",
        "reweight": False,
        "blur_sigma": 4.0,
        "seed": seed,
    }


@pytest.mark.parametrize(("name", "grid"), list(zip(PUBLISHED, (28, 28, 28, 35, 70, 40, 40), strict=True)))
def test_they_fit_on_maps_of_the_published_shapes(name: str, grid: int) -> None:
    preset = get_preset(name)
    side = preset.preprocess["size"]
    method = make(preset.method, dict(preset.options), Maps(preset.levels))
    pictures = [np.full((3, side, side), value, np.float32) for value in (0.1, 0.2)]
    held_out = method.fit(pictures, [0, 1])
    state = method.state()
    assert state["bank"].shape == (n_kept(2 * grid * grid, preset.options["coreset_ratio"]), 1024)
    np.testing.assert_array_equal(state["grids"], [[grid, grid]] * 2)
    scores = method.score(pictures[0][None])
    assert scores.map is not None
    assert scores.map.shape == (1, side, side)
    assert scores.image[0] < held_out[0]  # it is in the bank, and its patches that were not kept are near those that were


def test_the_crops_see_the_same_share_of_the_picture() -> None:
    shares = [preset.preprocess["size"] / preset.preprocess["resize"] for preset in map(get_preset, PUBLISHED)]
    np.testing.assert_allclose(shares, 0.875, atol=0.001)


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"presets: there is no 'patchcore_2'\. Did you mean patchcore_25"):
        get_preset("patchcore_2")
