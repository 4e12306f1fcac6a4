"""Plan: what to fit and how, with the settings of its preset filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flawsight import threshold
from flawsight.backbones import get_card, open_backbone
from flawsight.backbones.joined import JoinedBackbone
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.errors import UsageError
from flawsight.fitting.checks import check_plan
from flawsight.fitting.presets import get_preset
from flawsight.methods import get_method
from flawsight.preprocess import Preprocess
from flawsight.types import Pixels, Sample

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Plan:
    """What to fit and how. method: the preset's if None; for another the preset's backbone and size do not count. options: of the
    method's params, over those of the preset.

    levels: of the backbone; if none are named the preset's, or where method or backbone are not, those that the method wants.
    size: of the network's input, see Preprocess; the preset's if None. max_false_rejects, confidence: see threshold.choose.
    skip_bad: leave unreadable pictures out instead of stopping. runtime, weights, device: see open_backbone. memory: that this
    process may hold while it fits, such as "1GB" or a number of bytes; if None, what it holds and half of what is free.
    needs_threshold: without, one good picture serves too, of which there is no held-out score; nothing is rejected then.
    checkpoints: a folder, made if need be, where a method that learns by gradient keeps what it reached, and takes it up again.
    defects: pictures labelled defective, or a folder of them, for a method that learns from some too.
    group_by: what tells the series of a picture, all of which is held out together: "folder", with pictures in folders below taken
    too, or a regular expression, whose first group in a picture's name is its series; the pictures themselves if None.
    primed: whether a picture of ones as large as the input first moves the network's normalisation, as PatchCore's code does, see
    opening.network_file; the preset's if None.
    bits: how many of a 16-bit file's the camera uses, 8 to 16; if None, what the highest value in all the pictures needs.
    crops: whether the model keeps small crops of the good pictures, where its method keeps patches of them; see modelfile.crops.
    leave_out: names of good pictures, or their paths, that are not learned from; the model keeps a record of them.

    Every field is checked when a plan is made. Raises UsageError, or UnknownName.
    """

    method: str | None = None
    backbone: str | None = None
    preset: str = "default"
    size: int | None = None
    levels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    max_false_rejects: float | None = None
    confidence: float = threshold.CONFIDENCE
    skip_bad: bool = False
    runtime: str = "onnxruntime"
    weights: str | None = None
    device: str = "cpu"
    memory: str | int | None = None
    needs_threshold: bool = True
    checkpoints: Path | None = None
    defects: str | Path | Sequence[Sample | str | Path | bytes | Pixels | Image.Image] | None = None
    group_by: str | None = None
    primed: bool | None = None
    bits: int | None = None
    leave_out: tuple[str, ...] = ()
    crops: bool = True

    def __post_init__(self) -> None:
        check_plan(self)
        object.__setattr__(self, "levels", tuple(self.levels))
        object.__setattr__(self, "leave_out", tuple(self.leave_out))
        object.__setattr__(self, "checkpoints", None if self.checkpoints is None else Path(self.checkpoints))

    @property
    def method_name(self) -> str:
        """The method named, or the preset's."""
        return get_preset(self.preset).method if self.method is None else self.method

    @property
    def backbone_name(self) -> str:
        """The backbone named, the preset's, or the method's own."""
        if self.backbone is not None:
            return self.backbone
        preset = get_preset(self.preset)
        return preset.backbone if self.method_name == preset.method else get_method(self.method_name).default_backbone

    def backbone_levels(self) -> tuple[str, ...]:
        """The levels to take of the backbone, finest first. Raises UnknownName and UsageError."""
        card, preset = get_card(self.backbone_name), get_preset(self.preset)
        meant = card.name == preset.backbone and self.method_name == preset.method
        levels = self.levels or (preset.levels if meant else ()) or get_method(self.method_name).default_levels(card)
        card.check_levels(levels)
        return levels

    @property
    def primed_at(self) -> int:
        """Pixels a side of the picture that the network is primed with; 0 if it is not, as embedded networks never are."""
        primed = get_preset(self.preset).primed if self.primed is None else self.primed
        return self.preprocess().size if primed and not get_card(self.backbone_name).embedded else 0

    def network(self) -> OnnxBackbone | JoinedBackbone:
        """The backbone, opened with the levels to take of it. Raises as open_backbone, and UsageError if it cannot be primed."""
        weights = self.weights or get_preset(self.preset).weights or None
        if self.primed and (get_card(self.backbone_name).embedded or str(weights).endswith(".onnx")):
            network = f"the network {self.backbone_name}" if weights is None else str(weights)
            raise UsageError(
                f"fit: {network} has its normalisation merged into its weights and cannot be primed. Leave primed out."
            )
        return open_backbone(self.backbone_name, self.backbone_levels(), self.runtime, weights, self.device, self.primed_at)

    def preprocess(self) -> Preprocess:
        """The preset's preprocessing with the backbone's mean and std."""
        card = get_card(self.backbone_name)
        preset = get_preset(self.preset)
        chosen = dict(preset.preprocess) if self.method_name == preset.method else {}
        if self.size is not None:
            if "resize" in chosen:
                chosen["resize"] = round(self.size * chosen["resize"] / chosen["size"])
            chosen["size"] = self.size
        return Preprocess(**chosen, mean=card.mean, std=card.std, multiple=card.multiple)

    def method_options(self) -> dict[str, Any]:
        """The preset's options, overruled by those named. Raises UsageError where they are of another method than that named."""
        preset = get_preset(self.preset)
        if preset.options and self.method_name != preset.method:
            raise UsageError(
                f"presets: {self.preset} sets options of {preset.method}; method {self.method} came. Name the preset or the method."
            )
        return {**preset.options, **self.options}
