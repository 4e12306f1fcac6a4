"""The networks that turn pictures into feature maps. BACKBONES is the table; `open_backbone` opens any of them."""

from __future__ import annotations

from typing import Protocol

from flawsight.backbones.cards import BACKBONES, BackboneCard, get_card
from flawsight.backbones.onnx import OnnxBackbone, Origin
from flawsight.errors import ModelFileError, UsageError
from flawsight.types import Float

__all__ = ["BACKBONES", "Backbone", "BackboneCard", "get_card", "open_backbone"]


class Backbone(Protocol):
    """What a method needs of a network: float32 [B,3,H,W] → a feature map [B,C,h,w] for each level asked for, in that order."""

    def features(self, images: Float) -> list[Float]: ...


def open_backbone(
    name: str,
    levels: tuple[str, ...] = (),
    runtime: str = "onnxruntime",
    weights: str | None = None,
    device: str = "cpu",
) -> OnnxBackbone:
    """The network of that name, ready to give these levels, finest first; its default ones if none are named.

    Raises UnknownName or UsageError for what there is not, ModelFileError for weights that are missing or damaged.
    """
    card = get_card(name)
    levels = levels or card.default_levels
    card.check_levels(levels)
    if not card.embedded:
        raise ModelFileError(
            f"backbones: {name}: the weights {card.file} (sha256 {card.sha256}…) were needed, published at {card.url}."
        )
    if weights is not None or device != "cpu":
        raise UsageError(f"backbones: {name} has its embedded weights alone and runs on the cpu; got {weights or device}.")
    return OnnxBackbone(card.onnx(), levels, runtime, Origin(card.sha256, card.licence, card.source))
