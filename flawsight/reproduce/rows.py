"""ROWS: every row of the published tables, how it is run here, and whose its printed numbers are; see recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flawsight.backbones import PIXELS, SMALLEST
from flawsight.errors import UnknownName
from flawsight.reproduce.recipes import EMBEDDED, SMOKE_SIZE, Recipe, TableRow

_PATCHCORE = {"image_auroc": 0.5, "pixel_auroc": 1.0, "pro": 1.0, "pro_imagewise": 1.0}
_PATCHCORE_MEAN = {"image_auroc": 0.2, "pixel_auroc": 0.2, "pro": 0.7, "pro_imagewise": 1.0}
_UNTOLD_RESIZE = "The size it reduces to before the crop is not stated; taken as 320."
_BY_TEST_RANGE = "Each network's scores are rescaled by the range of the pictures judged, as the repository does."
_BOTH = f"{SMALLEST}+{EMBEDDED}"
_POINT = {"image_auroc": 1.0, "pixel_auroc": 1.0, "pro": 1.0}


def _patchcore(
    name: str,
    title: str,
    ratio: float,
    gap: str = "",
    size: int | None = None,
    levels: tuple[str, ...] = (),
    options: Mapping[str, Any] | None = None,
) -> TableRow:
    """size, levels, options: on an embedded network, whose levels are balanced, not pooled to 1024 dimensions."""
    embedded = Recipe("paper", None, size, levels, {"coreset_ratio": ratio, **(options or {})})
    return TableRow(name, title, "patchcore", Recipe(name), gap, embedded, cell=_PATCHCORE, mean=_PATCHCORE_MEAN)


def _ensemble(name: str, title: str, size: int) -> TableRow:
    """size: on both embedded networks, whose levels are balanced, not pooled to 384 dimensions."""
    own = {"balance_levels": True, "level_dims": 0, "target_dims": 0}
    embedded = Recipe(name, _BOTH, size, (), own)
    return TableRow(
        name, title, "ensemble", Recipe(name), _BY_TEST_RANGE, embedded, "crop", _PATCHCORE, _PATCHCORE_MEAN, by_test_range=True
    )


def _whole(name: str, title: str, gap: str, cell: Mapping[str, float] | None = None) -> TableRow:
    """A row whose pixels, where it has any, were compared on the whole picture at 256."""
    return TableRow(name, title, name, Recipe(name), gap, None, "full256", cell or {})


# How the authors of MVTec AD prepare each category for an autoencoder: textures in cuts, objects whole; turned as far, and mirrored
# only where a good part may look so. They tell it in part; the rest is chosen here.
_TURNED = {"carpet": 180.0, "leather": 180.0, "tile": 180.0, "grid": 5.0, "wood": 5.0}
_ANY_WAY = ("hazelnut", "metal_nut", "screw")
_NOT_MIRRORED = ("cable", "capsule", "pill", "transistor")
_MANY_NUMBERS = ("cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "transistor")
_LATENT = 500
_SMOKE_CUTS: dict[str, Any] = {
    **{"crop": SMOKE_SIZE, "stride": SMOKE_SIZE, "width": 16, "latent": 64, "steps": 600, "batch": 16, "lr": 1e-3},
    **{"angle": 0.0, "shift": 0.0, "flips": False},
}


def _autoencoder(name: str, title: str, gap: str, smoke: Mapping[str, Any], many_numbers: bool) -> TableRow:
    """A row of a method that repeats pictures. many_numbers: whether some objects take LATENT numbers, not the preset's.

    smoke: options.
    """
    textures = {one: Recipe(f"{name}_textures", PIXELS, options={"angle": angle}) for one, angle in _TURNED.items()}
    objects = {
        one: Recipe(
            name,
            PIXELS,
            options={
                **({"angle": 180.0} if one in _ANY_WAY else {}),
                **({"flips": False} if one in _NOT_MIRRORED else {}),
                **({"latent": _LATENT} if one in _MANY_NUMBERS and many_numbers else {}),
            },
        )
        for one in sorted({*_ANY_WAY, *_NOT_MIRRORED, *_MANY_NUMBERS})
    }
    return TableRow(
        name,
        title,
        name,
        Recipe(name, PIXELS),
        gap,
        pixels_at="full256",
        categories={**textures, **objects},
        smoke=Recipe(name, PIXELS, SMOKE_SIZE, (), smoke),
    )


# So few steps because, of few pictures, more of them learn what each looks like rather than what they share; parts that lie alike
# need not be turned all the way.
_DIFFERNET_SMOKE = {
    **{"blocks": 4, "width": 128, "scales": 1, "turns": 4, "kept_turns": 32, "judged_turns": 8, "angle": 5.0, "dark": 1.0},
    **{"standardise": True, "steps": 100, "batch": 32, "lr": 1e-3},
}


# Good pictures to learn from in each category of MVTec AD, for methods whose budget is stated in epochs.
_GOOD = {
    **{"carpet": 280, "grid": 264, "leather": 245, "tile": 230, "wood": 247},
    **{"bottle": 209, "cable": 224, "capsule": 219, "hazelnut": 391, "metal_nut": 220},
    **{"pill": 267, "screw": 320, "toothbrush": 60, "transistor": 213, "zipper": 240},
}


def _epochs(
    name: str, title: str, gap: str, epochs: int, batch: int, smoke: Recipe, not_mirrored: tuple[str, ...] = ()
) -> TableRow:
    """A row of a method that sees each good picture so many times. not_mirrored: categories in which it never is mirrored."""
    categories = {
        one: Recipe(name, PIXELS, options={"steps": -(-n * epochs // batch), **({"flips": False} if one in not_mirrored else {})})
        for one, n in _GOOD.items()
    }
    return TableRow(name, title, name, Recipe(name, PIXELS), gap, pixels_at="full256", categories=categories, smoke=smoke)


_STUDENT_SMOKE = {
    **{"patch": 17, "width": 16, "students": 2, "steps": 300, "lr": 1e-3, "distilled_from": SMALLEST, "crops": 500},
    **{"least_share": 0.1, "most_share": 0.3, "trunk_size": 96, "teacher_steps": 300, "teacher_batch": 32, "teacher_lr": 1e-3},
}


# Without the adversary, which needs more steps than there are; the classifier weighs more, to learn in these few what it is shown.
_CAVGA_SMOKE = {
    **{"side": 128, "latent": 32, "width": 32, "steps": 150, "batch": 8, "lr": 1e-3, "shown": 0.5, "adversary": 0.0},
    **{"classifier": 1000.0, "angle": 5.0, "flips": False},
}

# The paper's units and its score by the gradient; little noise, since much of it leaves only what differs most, which is the light.
_DSEBM_SMOKE = {
    **{"side": 32, "width": 16, "units": 64, "steps": 2000, "batch": 32, "noise": 0.1},
    **{"ending": "soft-plus", "start": "mean", "by": "gradient"},
}

# Both score the picture as a whole, and here drawn defects as small as these hardly change that: the figures are near chance.
_ITAE_SMOKE = {"side": SMOKE_SIZE, "width": 8, "steps": 400, "lr": 3e-3, "flips": False}
_GANOMALY_SMOKE = {"side": SMOKE_SIZE, "width": 16, "steps": 200, "batch": 16, "lr": 1e-3}

_ALL = (
    _epochs(
        "geotrans",
        "GeoTrans",
        "Run by the authors of ITAE and quoted from there by later papers; neither its input size nor the judged epoch is stated.",
        3 * 72,
        128,
        Recipe("geotrans", PIXELS, SMOKE_SIZE, (), {"shift": 0, "depth": 10, "width": 1, "steps": 300, "batch": 32}),
    ),
    TableRow(
        "ganomaly",
        "GANomaly",
        "ganomaly",
        Recipe("ganomaly", PIXELS),
        "Run by the authors of ITAE and quoted from there by later papers; neither its input size nor the judged epoch is stated.",
        pixels_at="full256",
        smoke=Recipe("ganomaly", PIXELS, SMOKE_SIZE, (), _GANOMALY_SMOKE),
    ),
    _epochs(
        "dsebm",
        "DSEBM",
        "Run by the authors of DifferNet, who do not state the settings.",
        200,
        128,
        Recipe("dsebm", PIXELS, SMOKE_SIZE, (), _DSEBM_SMOKE),
    ),
    _whole("ocsvm", "OCSVM", "Run by the authors of DifferNet, who do not state the settings, nor the features."),
    _epochs(
        "itae",
        "ITAE",
        "From its own paper, whose settings for these pictures are not public; others report that they miss it.",
        125,
        16,
        Recipe("itae", PIXELS, SMOKE_SIZE, (), _ITAE_SMOKE),
        (*_NOT_MIRRORED, "metal_nut", "screw"),  # these two have a thread or teeth that wind one way
    ),
    TableRow(
        "spade",
        "SPADE",
        "spade",
        Recipe("spade"),
        "From its own paper, which compares pixels at 256 with masks reduced by area; here they are compared in the crop.",
        Recipe("spade_per_level"),
        cell={**_POINT, "pixel_auroc": 0.5},
    ),
    TableRow(
        "cavga_rw",
        "CAVGA-R_w",
        "cavga_rw",
        Recipe("cavga_rw"),
        "From its own paper, whose settings for these pictures are not public; it learns from 2 % of the defective pictures, with "
        "their labels, which here are drawn from the test pictures and not judged. Its cells look like the mean of the accuracies "
        "on good and on defective pictures rather than AUROC; both are measured.",
        pixels_at="full256",
        categories={
            one: Recipe("cavga_rw", options={"steps": -(-n * 150 // 16), **({"flips": False} if one in _NOT_MIRRORED else {})})
            for one, n in _GOOD.items()
        },
        smoke=Recipe("cavga_rw", SMALLEST, 128, ("stage5",), _CAVGA_SMOKE),
        defects=0.02,
        decides_at=0.5,
    ),
    _epochs(
        "patch_svdd",
        "PatchSVDD",
        "From its own paper, with a loss weight chosen for each category and the best epoch kept.",
        300 * 100,
        64,
        Recipe("patch_svdd", PIXELS, 192, (), {"width": 8, "steps": 1000, "batch": 16, "lr": 1e-3, "kept": 0}),
    ),
    TableRow(
        "differnet",
        "DifferNet",
        "differnet",
        Recipe("differnet"),
        "From its own paper, whose code keeps the best epoch as judged on the test pictures.",
        Recipe("differnet", options={"width": 512, "dark": 1.0, "standardise": True, "kept_turns": 16, "judged_turns": 16}),
        "full256",
        {"image_auroc": 2.0},
        smoke=Recipe("differnet", SMALLEST, 192, ("stage5",), _DIFFERNET_SMOKE),
    ),
    TableRow(
        "padim",
        "PaDiM",
        "padim",
        Recipe("padim"),
        "From its own paper: WideResNet-50, 550 dimensions drawn at random; the draw alone moves it by some tenths.",
        Recipe("padim_r18"),
        cell=_POINT,
    ),
    TableRow(
        "mahalanobis_ad",
        "MahalanobisAD",
        "mahalanobis_ad",
        Recipe("mahalanobis_ad"),
        "From its own paper, at 380 px a side and resized without antialiasing, here 384 and with it; the mean over five models "
        "that each saw four fifths of the good pictures, as here.",
        None,
        "full256",
        {"image_auroc": 1.0},
        by_fold=True,
    ),
    TableRow(
        "padim_star",
        "PaDiM*",
        "padim",
        Recipe("padim_star"),
        "From the PaDiM paper: EfficientNet-B5; its input size and exact levels are not stated.",
        cell=_POINT,
    ),
    _patchcore("patchcore_25", "PatchCore-25", 0.25),
    _patchcore("patchcore_10", "PatchCore-10", 0.1),
    _patchcore("patchcore_1", "PatchCore-1", 0.01),
    _patchcore("patchcore_1_wr101_280_l23", "PatchCore-1, levels 2 and 3", 0.01, _UNTOLD_RESIZE, 280),
    _patchcore(
        "patchcore_1_wr101_280_l123", "PatchCore-1, levels 1 to 3", 0.01, _UNTOLD_RESIZE, 280, ("stage2", "stage3", "stage5")
    ),
    _patchcore("im320_wr50", "WideResNet-50 at 320 px", 0.01, size=320),
    _ensemble("ens224", "three networks at 224 px", 224),
    _ensemble("ens320", "three networks at 320 px", 320),
    _patchcore(
        "seg320_wr50", "WideResNet-50 at 320 px, for segmentation", 0.01, size=320, options={"neighbourhood": 5, "neighbours": 3}
    ),
    _ensemble("seg320_ens", "three networks at 320 px, for segmentation", 320),
    TableRow(
        "expvae",
        "vis. expl. VAE",
        "expvae",
        Recipe("expvae", PIXELS),
        "From its own paper, whose code for these pictures was never released; an attempt to repeat it fell short.",
        pixels_at="full256",
        smoke=Recipe("expvae", PIXELS, SMOKE_SIZE, (), {**_SMOKE_CUTS, "latent": 32, "steps": 400, "batch": 8}),
    ),
    _autoencoder(
        "ae_ssim",
        "AE_SSIM",
        "From the papers of MVTec AD (pixels) and of Student (PRO), prepared differently for each category.",
        _SMOKE_CUTS,
        many_numbers=True,
    ),
    _autoencoder(
        "gamma_vae_grad",
        "γ-VAE + grad.",
        "From its own paper, with pictures prepared as for AE_SSIM.",
        {**_SMOKE_CUTS, "steps": 1200, "iterations": 25},
        many_numbers=False,
    ),
    replace(
        _epochs(
            "student",
            "Student",
            "From its own paper: the variant of one scale, 65 px; that of several scales has 91.4. Its teacher learned from "
            "ImageNet, here from the good pictures, or those of --teacher-data.",
            90,
            1,
            Recipe("student", PIXELS, 128, (), _STUDENT_SMOKE),
        ),
        embedded=Recipe("student", PIXELS, options={"distilled_from": EMBEDDED}),
    ),
)
ROWS: dict[str, TableRow] = {row.name: row for row in _ALL}


def get_row(name: str) -> TableRow:
    """The row of that name. Raises UnknownName."""
    if name not in ROWS:
        raise UnknownName("tables: methods", name, ROWS)
    return ROWS[name]
