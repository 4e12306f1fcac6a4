"""The networks that turn pictures into feature maps. BACKBONES is the table; `open_backbone` opens any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flawsight.backbones.cards import BACKBONES, PIXELS, SMALLEST, WHOLE, BackboneCard, get_card
from flawsight.backbones.joined import JOINT, JoinedBackbone, own_levels
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.backbones.opening import RANDOM, network_file
from flawsight.errors import UsageError
from flawsight.types import Float

__all__ = ["BACKBONES", "PIXELS", "SMALLEST", "WHOLE", "Backbone", "BackboneCard", "get_card", "open_backbone"]


class Backbone(Protocol):
    """What a method needs of a network: float32 [B,3,H,W] → a feature map [B,C,h,w] for each level asked for, in that order."""

    @property
    def device(self) -> str:
        """Where it runs, and what is done with its maps where that has a way of its own there: "cpu" or a GPU."""
        ...

    @property
    def members(self) -> Sequence[Backbone]:
        """The networks it is made of: itself alone, or several."""
        ...

    def features(self, images: Float) -> list[Float]: ...


def open_backbone(
    name: str,
    levels: tuple[str, ...] = (),
    runtime: str = "onnxruntime",
    weights: str | None = None,
    device: str = "cpu",
    primed: int = 0,
) -> OnnxBackbone | JoinedBackbone:
    """The network of that name, or several "a+b" as one, ready to give these levels, finest first; if none, its default ones.

    weights: None for the published ones, "random", or a file; primed: pixels a side, 0 for not; see opening.network_file. device:
    "cpu", or "cuda" through torch.
    Raises UnknownName or UsageError for what there is not, ModelFileError for weights that are missing or damaged, MissingExtra.
    """
    card = get_card(name)
    levels = levels or card.default_levels
    card.check_levels(levels)
    if JOINT in name:
        return _open_joined(name.split(JOINT), levels, runtime, weights, device, primed)
    data, origin = network_file(card, levels, weights, primed)
    return OnnxBackbone(data, levels, runtime, origin, device)


def _open_joined(
    names: list[str], levels: tuple[str, ...], runtime: str, weights: str | None, device: str, primed: int
) -> JoinedBackbone:
    if weights not in (None, RANDOM):
        raise UsageError(f"backbones: one file of weights cannot serve {len(names)} networks; got {weights}. Leave weights out.")
    networks = {}
    for name in names:
        network = open_backbone(name, own_levels(name, levels), runtime, weights, device, primed)
        assert isinstance(network, OnnxBackbone)  # a part of a name joins nothing
        networks[name] = network
    return JoinedBackbone(networks, levels)
