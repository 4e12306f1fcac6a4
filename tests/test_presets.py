"""Presets: the published configurations, number by number, and fits of them on maps of the published networks' shapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from flawsight.backbones import get_card
from flawsight.errors import UnknownName
from flawsight.methods import make
from flawsight.parts.coreset import n_kept
from flawsight.presets import PRESETS, get_preset
from flawsight.types import Float

WR50, WR101 = "wide_resnet50_2", "wide_resnet101_2"
TWO, THREE = ("layer2", "layer3"), ("layer1", "layer2", "layer3")
LEVELS = {"layer1": (256, 4), "layer2": (512, 8), "layer3": (1024, 16), "denseblock2": (512, 8), "denseblock3": (1792, 16)}
ENSEMBLE = {"wide_resnet101_2": TWO, "resnext101_32x8d": TWO, "densenet201": ("denseblock2", "denseblock3")}

# networks with their levels, resize, crop, share kept, target dimensions, k, p, seed
PUBLISHED: dict[str, tuple[Any, ...]] = {
    "patchcore_25": ({WR50: TWO}, 256, 224, 0.25, 1024, 1, 3, 0),
    "patchcore_10": ({WR50: TWO}, 256, 224, 0.10, 1024, 1, 3, 0),
    "patchcore_1": ({WR50: TWO}, 256, 224, 0.01, 1024, 1, 3, 0),
    "patchcore_1_wr101_280_l23": ({WR101: TWO}, 320, 280, 0.01, 1024, 1, 3, 0),
    "patchcore_1_wr101_280_l123": ({WR101: THREE}, 320, 280, 0.01, 1024, 1, 3, 0),
    "ens224": (ENSEMBLE, 256, 224, 0.01, 384, 1, 3, 3),
    "im320_wr50": ({WR50: TWO}, 366, 320, 0.01, 1024, 1, 3, 22),
    "ens320": (ENSEMBLE, 366, 320, 0.01, 384, 1, 3, 40),
    "seg320_wr50": ({WR50: TWO}, 366, 320, 0.01, 1024, 3, 5, 39),
    "seg320_ens": (ENSEMBLE, 366, 320, 0.01, 384, 5, 5, 88),
}
GRIDS = {224: 28, 280: 35, 320: 40}  # of the first level, by crop; of patchcore_1_wr101_280_l123 twice that


class Maps:
    """A backbone that gives random maps of a published network's shapes, the same for the same picture."""

    def __init__(self, levels: tuple[str, ...]) -> None:
        self.levels = levels

    @property
    def members(self) -> list[Maps]:
        return [self]

    def features(self, images: Float) -> list[Float]:
        high, wide = images.shape[2:]
        shapes = [(c, -(-high // stride), -(-wide // stride)) for c, stride in map(LEVELS.__getitem__, self.levels)]
        rngs = [np.random.default_rng(int(np.abs(image).sum())) for image in images]
        return [np.stack([np.maximum(rng.normal(size=shape), 0).astype(np.float32) for rng in rngs]) for shape in shapes]


class Joined:
    """Several of them."""

    def __init__(self, levels: Iterable[tuple[str, ...]]) -> None:
        self.members = [Maps(own) for own in levels]


def test_every_published_configuration_is_there() -> None:
    assert PRESETS.keys() == {"default", "paper", *PUBLISHED}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_the_published_configurations(name: str) -> None:
    networks, resize, crop, ratio, dims, k, p, seed = PUBLISHED[name]
    preset = get_preset(name)
    assert preset.method == ("patchcore" if len(networks) == 1 else "ensemble")
    assert preset.backbone == "+".join(networks)
    for network, levels in networks.items():
        named = levels if len(networks) == 1 else tuple(f"{network}:{level}" for level in levels)
        assert tuple(level for level in preset.levels if level in named) == named
    assert len(preset.levels) == sum(map(len, networks.values()))
    assert get_card(preset.backbone).licence
    get_card(preset.backbone).check_levels(preset.levels)
    assert preset.weights == ""
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


@pytest.mark.parametrize("name", PUBLISHED)
def test_they_fit_on_maps_of_the_published_shapes(name: str) -> None:
    networks, _, side, ratio, dims, *_ = PUBLISHED[name]
    preset = get_preset(name)
    backbone: Any = Joined(networks.values()) if len(networks) > 1 else Maps(preset.levels)
    method = make(preset.method, dict(preset.options), backbone)
    pictures = [np.full((3, side, side), value, np.float32) for value in (0.1, 0.2)]
    held_out = method.fit(pictures, [0, 1])
    grid = GRIDS[side] * (2 if "layer1" in preset.levels else 1)
    state = method.state()
    banks = [array for key, array in state.items() if key.endswith("bank")]
    assert [bank.shape for bank in banks] == [(n_kept(2 * grid * grid, ratio), dims)] * len(networks)
    for key in state:
        if key.endswith("grids"):
            np.testing.assert_array_equal(state[key], [[grid, grid]] * 2)
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
