"""The networks that turn pictures into feature maps. BACKBONES is the table; `open_backbone` opens any of them."""

from __future__ import annotations

from typing import Protocol

from flawsight.backbones.cards import BACKBONES, BackboneCard, get_card
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.backbones.opening import network_file
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

    weights: None for the published ones, "random", or a file; see opening.network_file. device: "cpu", or "cuda" through torch.
    Raises UnknownName or UsageError for what there is not, ModelFileError for weights that are missing or damaged, MissingExtra.
    """
    card = get_card(name)
    levels = levels or card.default_levels
    card.check_levels(levels)
    data, origin = network_file(card, levels, weights)
    return OnnxBackbone(data, levels, runtime, origin)
