"""PRESETS: named ways to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flawsight.errors import UnknownName


@dataclass(frozen=True)
class Preset:
    """What to fit, and what differs from the defaults of Preprocess and of the method's params.

    levels: of the backbone, finest first; the method's own choice if there are none. weights: of the backbone, see Plan; the
    published ones if empty.
    """

    description: str
    method: str = "patchcore"
    backbone: str = "efficientnet_lite0"
    levels: tuple[str, ...] = ()
    weights: str = ""
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


PRESETS: dict[str, Preset] = {
    "default": Preset("the whole picture; chosen by measurement for a CPU"),
    "paper": Preset(
        "PatchCore-10 as published: resize to 256, centre crop 224, the rim unseen",
        preprocess={"size": 224, "resize": 256, "filter": "bilinear"},
        options={
            "neighbourhood": 3,
            "coreset_ratio": 0.1,
            "bank_limit": 0,
            "random_starts": True,
            "distance": "sqeuclidean",
            "image_score": "patch",
            "blur_sigma": 4.0,
        },
    ),
}


def get_preset(name: str) -> Preset:
    """The row of the table. Raises UnknownName."""
    if name not in PRESETS:
        raise UnknownName("presets", name, PRESETS)
    return PRESETS[name]
