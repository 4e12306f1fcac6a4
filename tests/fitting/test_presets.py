"""Presets: the published configurations, number by number, and fits of them on maps of the published networks' shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from flawsight.backbones import PIXELS, get_card
from flawsight.errors import UnknownName, UsageError
from flawsight.fitting import Plan
from flawsight.fitting.presets import PRESETS, get_preset
from flawsight.methods import METHODS, make
from flawsight.methods.base import make_params
from flawsight.parts import mapper
from flawsight.search.coreset import n_kept
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
# of other methods: network, levels, filter, resize, size, what is published of their params
NINE = ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7", "head")
SPADE = {"neighbours": 50, "patch_neighbours": 1, "distance": "sqeuclidean", "blur_sigma": 4.0}
FLOW = {"blocks": 8, "width": 2048, "scales": 3, "turns": 4, "judged_turns": 64, "angle": 180.0, "standardise": False}
TRAINED = {"steps": 192 * 10, "batch": 24, "lr": 2e-4}
# of 242 good pictures; weights of the losses
GUIDED = {"steps": 150 * 242 // 16 + 1, "batch": 16, "lr": 1e-4, "adversary": 1.0, "classifier": 0.001, "guidance": 0.01}
OTHERS: dict[str, tuple[Any, ...]] = {
    "spade": (WR50, (*THREE, "layer4"), "bilinear", 256, 224, {**SPADE, "pyramid": "concat"}),
    "spade_per_level": (WR50, (*THREE, "layer4"), "bilinear", 256, 224, {**SPADE, "pyramid": "per_level"}),
    "padim": (WR50, THREE, "bicubic", 256, 224, {"dims": 550, "epsilon": 0.01, "blur_sigma": 4.0}),
    "padim_r18": ("resnet18", THREE, "bicubic", 256, 224, {"dims": 100, "epsilon": 0.01, "blur_sigma": 4.0}),
    "padim_star": ("efficientnet_b5", ("block7", "block20", "block26"), "bicubic", 256, 224, {"dims": 0, "epsilon": 0.01}),
    "padim_star_19": ("efficientnet_b5", ("block7", "block19", "block26"), "bicubic", 256, 224, {"dims": 0, "epsilon": 0.01}),
    "mahalanobis_ad": ("efficientnet_b4", NINE, "bilinear", None, 384, {"folds": 5}),
    "ocsvm": ("alexnet", ("features",), "bilinear", None, 448, {"nu": 0.1, "gamma": 0.0, "scales": 3}),
    "differnet": ("alexnet", ("features",), "bilinear", None, 448, {**FLOW, **TRAINED}),
    "cavga_rw": ("resnet18", ("layer4",), "bilinear", None, 256, {**GUIDED, "side": 256, "latent": 128, "width": 128}),
}
# of methods that learn from the picture itself: size, what is published of their params
FROM_PIXELS: dict[str, tuple[int, dict[str, Any]]] = {
    "ae_ssim": (256, {"crop": 256, "latent": 100, "width": 32, "steps": 200 * 10_000 // 128, "batch": 128, "lr": 2e-4}),
    "ae_ssim_textures": (512, {"crop": 128, "latent": 100, "width": 32, "steps": 200 * 10_000 // 128, "batch": 128, "lr": 2e-4}),
    # 200 epochs and 3 of 72 transforms, of 242 good pictures
    "dsebm": (64, {"side": 64, "width": 64, "steps": 200 * 242 // 128, "batch": 128, "lr": 1e-3}),
    "geotrans": (64, {"side": 64, "depth": 16, "width": 8, "steps": 3 * 72 * 242 // 128, "batch": 128, "lr": 1e-3}),
    "patch_svdd": (256, {"width": 32, "pull": 1e-3, "kept": 0, "steps": 300 * 100 * 242 // 64, "batch": 64, "lr": 1e-4}),
}
DISTILLED = {"distilled_from": "resnet18", "teacher_steps": 50_000, "teacher_batch": 64, "teacher_lr": 2e-4}
FROM_PIXELS["student"] = (
    256,
    {
        **{"patch": 65, "width": 128, "students": 3, "steps": 100 * 242 * 9 // 10, "batch": 1, "lr": 1e-4, **DISTILLED},
        **{"least_share": 1 / 16, "most_share": 1 / 4, "distil": 1.0, "triplet": 0.0, "compact": 1.0},
    },
)
GAN = {"side": 128, "width": 64, "latent": 100, "batch": 64, "lr": 2e-4, "adversarial": 1.0, "contextual": 50.0, "encoding": 1.0}
FROM_PIXELS["ganomaly"] = 128, {"steps": 3000, **GAN}
FROM_PIXELS["itae"] = 256, {"side": 256, "width": 64, "steps": -(-125 * 242 // 16), "batch": 16, "lr": 1e-3}
FROM_PIXELS["expvae"] = 256, {"crop": 256, "latent": 32, "width": 64, "steps": 512 * 240 // 8, "batch": 8, "lr": 1e-4}
for textures in ("", "_textures"):
    size, options = FROM_PIXELS[f"ae_ssim{textures}"]
    own = {"steps": 300 * 10_000 // 128, "lr": 1e-4, "alpha": 0.5, "weight": 0.05, "iterations": 100}
    FROM_PIXELS[f"gamma_vae_grad{textures}"] = size, {**options, **own}
LEARNED = {  # from so many pictures: what is kept and in which shape; "spade" keeps the same and takes long
    "spade_per_level": (2, "maps.2", (2 * 14 * 14 * 1024,)),
    "padim": (4, "factors", (56 * 56, 4, 550)),
    "padim_r18": (4, "factors", (56 * 56, 4, 100)),
    "padim_star": (4, "mean", (56 * 56, 392)),
    "padim_star_19": (4, "mean", (56 * 56, 344)),
    "mahalanobis_ad": (6, "mean.8", (5, 1792)),
    "ocsvm": (4, "mean", (768,)),
}
GRIDS = {224: 28, 280: 35, 320: 40}  # of the first level, by crop; of patchcore_1_wr101_280_l123 twice that


class Maps:
    """A backbone that gives random maps of a published network's shapes, the same for the same picture."""

    device = "cpu"

    def __init__(self, levels: tuple[str, ...], shapes: dict[str, tuple[int, int]] = LEVELS) -> None:
        self.levels, self.shapes = levels, shapes

    @property
    def members(self) -> list[Maps]:
        return [self]

    def features(self, images: Float) -> list[Float]:
        high, wide = images.shape[2:]
        shapes = [(c, -(-high // stride), -(-wide // stride)) for c, stride in map(self.shapes.__getitem__, self.levels)]
        rngs = [np.random.default_rng(int(np.abs(image).sum())) for image in images]
        return [np.stack([np.maximum(rng.normal(size=shape), 0).astype(np.float32) for rng in rngs]) for shape in shapes]


class Joined:
    """Several of them."""

    def __init__(self, levels: Iterable[tuple[str, ...]]) -> None:
        self.members = [Maps(own) for own in levels]


def test_every_published_configuration_is_there() -> None:
    assert PRESETS.keys() == {"default", "paper", *PUBLISHED, *OTHERS, *FROM_PIXELS}


@pytest.mark.parametrize("name", FROM_PIXELS)
def test_presets_of_methods_that_learn_from_the_picture_itself(name: str) -> None:
    size, options = FROM_PIXELS[name]
    preset = get_preset(name)
    assert (preset.backbone, preset.levels, preset.weights) == (PIXELS, (), "")
    assert preset.preprocess == {"size": size, "filter": "bilinear"}
    params = make_params(METHODS[preset.method].Params, preset.options, name)
    assert options.items() <= dataclasses.asdict(params).items()
    assert getattr(params, "crop", size) <= size


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
    assert Plan(preset=name).primed_at == crop
    assert Plan(preset=name, size=crop - 16).primed_at == crop - 16
    assert Plan(preset=name, primed=False).primed_at == 0
    assert Plan(preset=name, backbone="efficientnet_lite0+efficientnet_lite2").primed_at == 0
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


@pytest.mark.parametrize("name", OTHERS)
def test_presets_of_other_methods_are_the_published_ones(name: str) -> None:
    network, levels, filter_, resize, size, params = OTHERS[name]
    preset = get_preset(name)
    assert (preset.backbone, preset.levels, preset.weights) == (network, levels, "")
    assert name.startswith(preset.method)
    get_card(network).check_levels(levels)
    plan = Plan(preset=name)
    preprocess = plan.preprocess()
    assert (preprocess.filter, preprocess.resize, preprocess.size) == (filter_, resize, size)
    assert preprocess.input_hw((1024, 1024)) == (size, size)
    assert plan.method_options().items() >= params.items()


@pytest.mark.parametrize("name", LEARNED)
def test_they_learn_from_maps_of_the_published_shapes(name: str) -> None:
    network, levels, *_, size, _ = OTHERS[name]
    own = {level: get_card(network).levels[level] for level in levels}
    method = make(get_preset(name).method, dict(get_preset(name).options), Maps(levels, own))
    n, kept, shape = LEARNED[name]
    pictures = [np.full((3, size, size), value, np.float32) for value in np.linspace(0.1, 0.2, n)]
    assert np.isfinite(method.fit(pictures, list(range(n)))).all()
    assert method.state()[kept].shape == shape
    assert np.isfinite(method.score(pictures[0][None]).image).all()


def test_only_patchcores_published_rows_prime_the_network() -> None:
    assert {name for name, preset in PRESETS.items() if preset.primed} == PUBLISHED.keys()
    assert Plan(backbone="resnet18").primed_at == 0
    assert Plan(preset="spade", primed=True).primed_at == 224


@pytest.mark.parametrize("plan", [Plan(primed=True), Plan(preset="patchcore_1", weights="w.onnx", primed=True)])
def test_what_cannot_be_primed_is_refused_where_it_is_asked_for(plan: Plan) -> None:
    with pytest.raises(UsageError, match=r"has its normalisation merged into its weights and cannot be primed. Leave primed out\."):
        plan.network()


def test_the_crops_see_the_same_share_of_the_picture() -> None:
    shares = [preset.preprocess["size"] / preset.preprocess["resize"] for preset in map(get_preset, PUBLISHED)]
    np.testing.assert_allclose(shares, 0.875, atol=0.001)


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"presets: there is no 'patchcore_2'\. Did you mean patchcore_25"):
        get_preset("patchcore_2")


def written_out(good: Float, new: Float, options: dict[str, Any], side: int) -> tuple[Float, Float]:
    """The paper's code after its descriptors, float32 [N,h·w,D] of good pictures and of new ones: image scores and maps."""
    rows = good.reshape(-1, good.shape[-1]).astype(np.float64)
    rng = np.random.default_rng(options["seed"])
    bound = 1 / np.sqrt(rows.shape[1])
    measured = rows @ rng.uniform(-bound, bound, (rows.shape[1], 128))
    starts = rng.choice(len(rows), 10, replace=False)
    anchor = np.mean([np.linalg.norm(measured - measured[start], axis=1) for start in starts], 0)
    picks = []
    for _ in range(int(len(rows) * options["coreset_ratio"])):
        picks.append(int(anchor.argmax()))
        anchor = np.minimum(anchor, np.linalg.norm(measured - measured[picks[-1]], axis=1))
    squared = np.square(new[:, :, None] - rows[picks]).sum(-1)
    patch_scores = np.sort(squared, axis=2)[:, :, : options["neighbours"]].mean(2)
    n = int(np.sqrt(patch_scores.shape[1]))
    at = (np.arange(side) + 0.5) * n / side - 0.5
    maps = patch_scores.reshape(-1, n, n)
    for axis in (1, 2):
        maps = np.apply_along_axis(lambda line: np.interp(at, np.arange(n), line), axis, maps)
    heat = np.stack([ndimage.gaussian_filter(one, sigma=4) for one in maps])
    return patch_scores.max(1), heat


@pytest.mark.parametrize("name", ["patchcore_25", "seg320_wr50"])
def test_they_score_as_the_papers_code_does(name: str) -> None:
    options = {**get_preset(name).options, "level_dims": 200, "target_dims": 160, "coreset_ratio": 0.25}
    side, channels = 64, {"fine": (40, 8), "coarse": (60, 16)}
    network = Maps(("fine", "coarse"), channels)
    method = make("patchcore", options, network)
    pictures = [np.full((3, side, side), value, np.float32) for value in (0.1, 0.2, 0.3, 0.4, 0.5)]

    def described(images: list[Float]) -> Float:
        found = mapper.apply(network.features(np.stack(images)), options["neighbourhood"], 200, 160)
        return found.reshape(len(images), 160, -1).transpose(0, 2, 1)

    method.fit(pictures[:3], [0, 1, 2])
    image, heat = written_out(described(pictures[:3]), described(pictures[3:]), options, side)
    scores = method.score(np.stack(pictures[3:]))
    np.testing.assert_allclose(scores.image, image, rtol=1e-4)
    np.testing.assert_allclose(scores.map, heat, rtol=1e-4)
