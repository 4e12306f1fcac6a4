"""PRESETS: named ways to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flawsight.backbones import PIXELS, SMALLEST, WHOLE
from flawsight.errors import UnknownName


@dataclass(frozen=True)
class Preset:
    """What to fit, and what differs from the defaults of Preprocess and of the method's params.

    levels: of the backbone, finest first; the method's own choice if there are none. weights: of the backbone, see Plan; the
    published ones if empty. primed: whether the network is, see Plan.
    """

    description: str
    method: str = "patchcore"
    backbone: str = SMALLEST
    levels: tuple[str, ...] = ()
    weights: str = ""
    primed: bool = False
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


# As the paper's code does it; what differs between the rows is said in each.
_CODE: dict[str, Any] = {
    "coreset": "greedy",
    "bank_limit": 0,
    "projection_dims": 128,
    "random_starts": True,
    "distance": "sqeuclidean",
    "image_score": "patch",
    "reweight": False,
    "blur_sigma": 4.0,
}


_TWO = ("layer2", "layer3")
_THREE_NETWORKS = "wide_resnet101_2+resnext101_32x8d+densenet201"
_THREE_LEVELS = (
    "wide_resnet101_2:layer2",
    "resnext101_32x8d:layer2",
    "densenet201:denseblock2",
    "wide_resnet101_2:layer3",
    "resnext101_32x8d:layer3",
    "densenet201:denseblock3",
)


def _published(
    what: str,
    coreset_ratio: float,
    backbone: str = "wide_resnet50_2",
    levels: tuple[str, ...] = _TWO,
    crop: tuple[int, int] = (256, 224),
    neighbourhood: int = 3,
    neighbours: int = 1,
    seed: int = 0,
    ensemble: bool = False,
) -> Preset:
    """PatchCore as its authors' code was run. crop: the shorter side's length after resizing, and the side of the centre kept."""
    own = {
        "neighbourhood": neighbourhood,
        "balance_levels": False,
        "level_dims": 1024,
        "target_dims": 384 if ensemble else 1024,
        "coreset_ratio": coreset_ratio,
        "neighbours": neighbours,
        "seed": seed,
    }
    resize, size = crop
    return Preset(
        f"{what}: resize to {resize}, centre crop {size}",
        method="ensemble" if ensemble else "patchcore",
        backbone=backbone,
        levels=levels,
        primed=True,
        preprocess={"size": size, "resize": resize, "filter": "bilinear"},
        options={**_CODE, **own},
    )


def _published_ensemble(what: str, crop: tuple[int, int], seed: int, neighbourhood: int = 3, neighbours: int = 1) -> Preset:
    return _published(what, 0.01, _THREE_NETWORKS, _THREE_LEVELS, crop, neighbourhood, neighbours, seed, ensemble=True)


_CROP = {"size": 224, "resize": 256, "filter": "bilinear"}
_THREE = ("layer1", "layer2", "layer3")


def _spade(what: str, pyramid: str) -> Preset:
    options = {"neighbours": 50, "patch_neighbours": 1, "pyramid": pyramid, "pyramid_levels": 3, "distance": "sqeuclidean"}
    return Preset(
        f"{what}: resize to 256, centre crop 224",
        method="spade",
        backbone="wide_resnet50_2",
        levels=(*_THREE, "layer4"),
        preprocess=_CROP,
        options={**options, "blur_sigma": 4.0},
    )


def _padim(what: str, backbone: str, levels: tuple[str, ...], dims: int) -> Preset:
    return Preset(
        f"{what}: resize to 256 bicubically, centre crop 224",
        method="padim",
        backbone=backbone,
        levels=levels,
        preprocess={**_CROP, "filter": "bicubic"},
        options={"dims": dims, "epsilon": 0.01, "blur_sigma": 4.0, "seed": 1024},
    )


# 10,000 cuts seen 200 times, 128 at once; see tables/rows.py for what differs between categories.
_AE_SSIM = {"latent": 100, "width": 32, "steps": 15625, "batch": 128, "lr": 2e-4, "flips": True}
_GAMMA_VAE = {**_AE_SSIM, "steps": 23437, "lr": 1e-4, "alpha": 0.5, "weight": 0.05, "iterations": 100}  # 300 times
_TEXTURES, _OBJECTS = {"crop": 128, "stride": 32, "angle": 180.0}, {"crop": 256, "stride": 256, "angle": 10.0, "shift": 0.02}

# 512 times 240 pictures, 8 at once; turned and mirrored as the replication does.
_EXPVAE = {
    "crop": 256,
    "stride": 256,
    "latent": 32,
    "width": 64,
    "steps": 15360,
    "batch": 8,
    "lr": 1e-4,
    "angle": 10.0,
    "flips": True,
}


def _from_pixels(what: str, method: str, options: Mapping[str, Any], size: int) -> Preset:
    return Preset(
        f"{what}: the whole picture at {size} pixels",
        method=method,
        backbone=PIXELS,
        preprocess={"size": size, "filter": "bilinear"},
        options=options,
    )


# Of table S4 only the crop of 280 pixels is published; 320 before it keeps the share of the picture that all other rows see.
PRESETS: dict[str, Preset] = {
    "default": Preset(
        "the whole picture, two banks; chosen on many parts for a CPU, see docs/accuracy.md",
        method="two_banks",
        backbone=WHOLE,
        preprocess={"size": 512},
    ),
    "paper": Preset(
        "the settings of PatchCore-10 on an embedded network: resize to 256, centre crop 224, the rim unseen",
        preprocess={"size": 224, "resize": 256, "filter": "bilinear"},
        options={**_CODE, "neighbourhood": 3, "coreset_ratio": 0.1},
    ),
    "patchcore_25": _published("PatchCore-25 of tables S1 to S3", 0.25),
    "patchcore_10": _published("PatchCore-10 of tables S1 to S3", 0.1),
    "patchcore_1": _published("PatchCore-1 of tables S1 to S3", 0.01),
    "patchcore_1_wr101_280_l23": _published("table S4, levels 2 and 3", 0.01, "wide_resnet101_2", crop=(320, 280)),
    "patchcore_1_wr101_280_l123": _published(
        "table S4, levels 1 to 3", 0.01, "wide_resnet101_2", ("layer1", "layer2", "layer3"), (320, 280)
    ),
    "ens224": _published_ensemble("the code's ensemble", (256, 224), seed=3),
    "im320_wr50": _published("the code's larger pictures", 0.01, crop=(366, 320), seed=22),
    "ens320": _published_ensemble("the code's ensemble on larger pictures", (366, 320), seed=40),
    "seg320_wr50": _published("the code's choice for finding where", 0.01, crop=(366, 320), neighbourhood=5, neighbours=3, seed=39),
    "seg320_ens": _published_ensemble("the code's ensemble for finding where", (366, 320), 88, neighbourhood=5, neighbours=5),
    "spade": _spade("SPADE of tables S1 to S3, the levels put together", "concat"),
    "spade_per_level": _spade("SPADE as widely used code does it, a fraction of the work", "per_level"),
    "padim": _padim("PaDiM of tables S1 to S3, WR50-Rd550", "wide_resnet50_2", _THREE, 550),
    "padim_r18": _padim("the paper's light PaDiM, R18-Rd100", "resnet18", _THREE, 100),
    # The paper names the blocks 7, 20 and 26 and calls them levels 2, 4 and 5; counted from 0 the last block of level 4 is 19.
    "padim_star": _padim("PaDiM* of table S1", "efficientnet_b5", ("block7", "block20", "block26"), 0),
    "padim_star_19": _padim("PaDiM* with the block before", "efficientnet_b5", ("block7", "block19", "block26"), 0),
    # 380 pixels a side as published, brought to the nearest size that this network takes whole.
    "mahalanobis_ad": Preset(
        "MahalanobisAD of table S1, five folds: the whole picture at 384 pixels",
        method="mahalanobis_ad",
        backbone="efficientnet_b4",
        levels=("stem", *(f"stage{number}" for number in range(1, 8)), "head"),
        preprocess={"size": 384, "filter": "bilinear"},
        options={"folds": 5},
    ),
    "ocsvm": Preset(
        "OCSVM of table S1, on DifferNet's features: the whole picture at 448, 224 and 112 pixels",
        method="ocsvm",
        backbone="alexnet",
        levels=("features",),
        preprocess={"size": 448, "filter": "bilinear"},
        options={"nu": 0.1, "gamma": 0.0, "scales": 3, "pca": 0.0},
    ),
    # 192 epochs of the 240 pictures or so that a category has, 24 at once.
    "differnet": Preset(
        "DifferNet of table S1: the whole picture at 448, 224 and 112 pixels, turned all the way",
        method="differnet",
        backbone="alexnet",
        levels=("features",),
        preprocess={"size": 448, "filter": "bilinear"},
        options={
            **{"blocks": 8, "width": 2048, "scales": 3, "turns": 4, "kept_turns": 64, "judged_turns": 64, "angle": 180.0},
            **{"dark": 2.0, "standardise": False, "steps": 192 * 10, "batch": 24, "lr": 2e-4},
        },
    ),
    "ae_ssim": _from_pixels("AE_SSIM of tables S2 and S3, objects", "ae_ssim", {**_AE_SSIM, **_OBJECTS}, 256),
    "gamma_vae_grad": _from_pixels("γ-VAE + grad. of table S2, objects", "gamma_vae_grad", {**_GAMMA_VAE, **_OBJECTS}, 256),
    "gamma_vae_grad_textures": _from_pixels(
        "γ-VAE + grad. of table S2, textures", "gamma_vae_grad", {**_GAMMA_VAE, **_TEXTURES}, 512
    ),
    "expvae": _from_pixels("vis. expl. VAE of table S2", "expvae", _EXPVAE, 256),
    # 150 epochs of 242 pictures, 16 at once.
    "cavga_rw": Preset(
        "CAVGA-R_w of tables S1 and S2: the whole picture at 256 pixels; needs some labelled defects",
        method="cavga_rw",
        backbone="resnet18",
        levels=("layer4",),
        preprocess={"size": 256, "filter": "bilinear"},
        options={
            **{"side": 256, "latent": 128, "width": 128, "steps": 2269, "batch": 16, "lr": 1e-4, "adversary": 1.0},
            **{"classifier": 0.001, "guidance": 0.01, "angle": 10.0, "shift": 0.02, "flips": True},
        },
    ),
    # Epochs of a category's good pictures, which tables/rows.py counts; here of 242, the mean of MVTec AD's categories.
    "dsebm": _from_pixels("DSEBM of table S1", "dsebm", {"side": 64, "width": 64, "steps": 378, "batch": 128, "lr": 1e-3}, 64),
    "geotrans": _from_pixels(
        "GeoTrans of table S1", "geotrans", {"side": 64, "depth": 16, "width": 8, "steps": 408, "batch": 128, "lr": 1e-3}, 64
    ),
    # 300 epochs in which each is drawn 100 times; see dsebm.
    "patch_svdd": _from_pixels(
        "PatchSVDD of tables S1 and S2",
        "patch_svdd",
        {"width": 32, "pull": 1e-3, "kept": 0, "steps": 300 * 100 * 242 // 64, "batch": 64, "lr": 1e-4},
        256,
    ),
    # 100 epochs of the nine tenths of the good pictures that the students see, one at a time; see dsebm.
    "student": _from_pixels(
        "Student of table S3, patches of 65 pixels",
        "student",
        {
            **{"patch": 65, "width": 128, "students": 3, "steps": 90 * 242, "batch": 1, "lr": 1e-4, "validation": 0.1},
            **{"distilled_from": "resnet18", "crops": 50_000, "least_share": 1 / 16, "most_share": 1 / 4, "trunk_size": 224},
            **{"teacher_steps": 50_000, "teacher_batch": 64, "teacher_lr": 2e-4, "distil": 1.0, "triplet": 0.0, "compact": 1.0},
        },
        256,
    ),
    "ganomaly": _from_pixels(
        "GANomaly of table S1",
        "ganomaly",
        {"side": 128, "width": 64, "latent": 100, "steps": 3000, "batch": 64, "lr": 2e-4, "contextual": 50.0},
        128,
    ),
    # 125 epochs, 16 at once.
    "itae": _from_pixels(
        "ITAE of table S1", "itae", {"side": 256, "width": 64, "steps": 1891, "batch": 16, "lr": 1e-3, "flips": True}, 256
    ),
    "ae_ssim_textures": _from_pixels("AE_SSIM of tables S2 and S3, textures", "ae_ssim", {**_AE_SSIM, **_TEXTURES}, 512),
}


def get_preset(name: str) -> Preset:
    """The row of the table. Raises UnknownName."""
    if name not in PRESETS:
        raise UnknownName("presets", name, PRESETS)
    return PRESETS[name]
