"""The papers' networks, built by torchvision and timm (extra `torch`), given weights, and written as ONNX files.

Only this file imports those libraries; what it writes runs without them. A network is cut behind the coarsest level wanted. Its
file keeps the weights under their own names and as they were published, for runtimes merge normalisation into convolutions
themselves; TensorFlow's "same" padding is an attribute of the convolution. So height and width stay free.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flawsight.backbones.cards import BackboneCard
from flawsight.errors import ModelFileError

OPSET = 17  # old enough for every runtime of the last four years
SETTLING = (16, 128)  # pictures and their side: noise through random weights, from which normalisation takes means and variances
ENDS = {  # of plain stacks of layers: the last one of each level
    "alexnet": {"conv1": 1, "conv2": 4, "conv3": 7, "conv4": 9, "conv5": 11, "features": 12},
    "vgg16": {"conv1_2": 3, "conv2_2": 8, "conv3_3": 15, "conv4_3": 22, "conv5_3": 29, "features": 30},
}

Steps = list[tuple[tuple[str, ...], list[nn.Module]]]  # parts of a network in their order, and what levels each ends


def published(card: BackboneCard, levels: Sequence[str], path: Path, primed: int = 0) -> bytes:
    """The ONNX file of a network with the weights in a file: a torch state dict or safetensors, under the library's own names.

    primed: see opening.network_file. Raises ModelFileError if the file holds no such weights.
    """
    network, state = empty(card), _read(path)
    if card.name.startswith("densenet"):
        state = {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", name): one for name, one in state.items()}
    wanted = network.state_dict()
    needed = {name for name in wanted if not name.endswith("num_batches_tracked")}
    if lacking := sorted(name for name in needed if name not in state or state[name].shape != wanted[name].shape):
        raise ModelFileError(
            f"{path}: weights of {card.name} were needed; of {len(needed)} arrays {len(lacking)} are missing or of other shape, "
            f"{lacking[0]} among them. Give the file that `flawsight backbones list` names."
        )
    with torch.no_grad():
        network.load_state_dict({name: one for name, one in state.items() if name in wanted}, strict=False, assign=True)
    return _export(_primed(trunk(card, network, levels), primed))


def random(card: BackboneCard, levels: Sequence[str], seed: int, primed: int = 0) -> bytes:
    """The ONNX file of a network with random weights: He's for every layer, and normalisation settled on noise.

    primed: see opening.network_file; it comes after the settling. What is drawn does not depend on the levels, and torch's own
    random state stays as it is.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = _network(card)
        momenta = {module: module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)}
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
                module.momentum = None  # the statistics become those of the one batch that is seen
        trunk(card, network, list(card.levels)).train()(_noise(*SETTLING))
        for module, momentum in momenta.items():
            module.momentum = momentum
    return _export(_primed(trunk(card, network, levels), primed))


def empty(card: BackboneCard) -> Any:
    """The library's network without weights: nothing is drawn at random only to be overwritten."""
    with torch.device("meta"):
        return _network(card)


def trunk(card: BackboneCard, network: Any, levels: Sequence[str]) -> _Trunk:
    """The network's first parts, as far as these levels need them; its weights are shared."""
    return _Trunk(_steps(card, network), levels)


def _primed(trunk: _Trunk, side: int) -> _Trunk:
    """The trunk after a picture of ones, so many pixels a side, went through it in training mode; nothing is done for 0.

    PatchCore's code does so while it works out the dimensions of its levels: every normalisation's running mean and variance move
    by their momentum, a tenth, towards those of that picture.
    """
    if side:
        with torch.no_grad():
            trunk.train()(torch.ones(1, 3, side, side))
        trunk.eval()
    return trunk


def _noise(n: int, side: int) -> torch.Tensor:
    """Pictures float32 [n,3,side,side] from torch's random state, of different shares of fine and coarse, soft and hard structure.

    Settled on one kind alone, a deep network's values explode on pictures of another.
    """
    pictures = torch.zeros(n, 3, side, side)
    for i in range(0, side.bit_length(), 2):
        soft, hard = torch.randn(n, 3, side >> i, side >> i).split(n // 2)
        layers = [nn.functional.interpolate(soft, (side, side), mode="bilinear"), nn.functional.interpolate(hard, (side, side))]
        pictures += 3 * torch.rand(n, 1, 1, 1) ** 2 * torch.cat(layers)
    return pictures


class _Trunk(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """The first parts of a network, as far as the levels need them. float32 [B,3,H,W] → a map for each level."""

    def __init__(self, steps: Steps, levels: Sequence[str]) -> None:
        super().__init__()
        self.levels = list(levels)
        self.ends = {level: i for i, (names, _) in enumerate(steps) for level in names if level in levels}
        self.steps = nn.ModuleList(nn.Sequential(*parts) for _, parts in steps[: max(self.ends.values()) + 1])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = []
        for step in self.steps:
            x = step(x)
            found.append(x)
        return tuple(found[self.ends[level]] for level in self.levels)


class _Same(torch.autograd.Function):  # type: ignore[misc]
    """A convolution that pads as TensorFlow does: by what the picture's size asks for, the odd pixel at the end."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor, weight: torch.Tensor, stride: int, groups: int) -> torch.Tensor:
        pads = []
        for side, kernel in zip(x.shape[:1:-1], weight.shape[:1:-1], strict=True):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return nn.functional.conv2d(nn.functional.pad(x, pads), weight, None, stride, 0, 1, groups)

    @staticmethod
    def symbolic(graph: Any, x: Any, weight: Any, stride: int, groups: int) -> Any:
        kernel = weight.type().sizes()[2:]
        out = graph.op("Conv", x, weight, auto_pad_s="SAME_UPPER", strides_i=[stride] * 2, kernel_shape_i=kernel, group_i=groups)
        return out.setType(x.type().with_sizes([None, weight.type().sizes()[0], None, None]))


class _SameConv(nn.Conv2d):  # type: ignore[misc]
    """timm's layer of that kind, as `_Same`; without a bias."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Same.apply(x, self.weight, self.stride[0], self.groups)


def _network(card: BackboneCard) -> Any:
    """The library's network without its last layer, ready to judge but for its weights."""
    torchvision = _torchvision()
    if card.library == "timm":
        import timm

        network = timm.create_model(f"tf_{card.name}", num_classes=0)
        for module in network.modules():
            if type(module).__name__ == "Conv2dSame":
                module.__class__ = _SameConv
        return network.eval()
    network = torchvision.models.get_model(card.name, weights=None)
    if card.name == "vgg16":
        network.classifier[6] = nn.Identity()
    else:
        setattr(network, "fc" if hasattr(network, "fc") else "classifier", nn.Identity())
    return network.eval()


def _torchvision() -> Any:
    """torchvision, which timm needs too.

    Beside a CPU build of torch the library of its own operators does not load, and then it cannot be imported unless two of them
    are at least declared. Nothing here calls them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it cannot decode pictures
        try:
            import torchvision
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
            for name in ("nms", "qnms"):
                _OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            import torchvision
    return torchvision


_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")  # what is declared is gone when this is


def _steps(card: BackboneCard, network: Any) -> Steps:
    """The network's parts in their order, up to its last level."""
    if card.library == "timm":
        return _efficientnet_steps(network)
    if card.name in ENDS:
        return _stack_steps(network, ENDS[card.name])
    if card.name.startswith("densenet"):
        f = network.features
        blocks = [(f.denseblock1,), *((getattr(f, f"transition{i}"), getattr(f, f"denseblock{i + 1}")) for i in (1, 2, 3))]
        return [
            ((), [f.conv0, f.norm0, f.relu0, f.pool0]),
            *(((f"denseblock{i}",), list(parts)) for i, parts in enumerate(blocks, 1)),
        ]
    stem = [network.conv1, network.bn1, network.relu, network.maxpool]
    return [((), stem), *(((f"layer{i}",), [getattr(network, f"layer{i}")]) for i in (1, 2, 3, 4))]


def _efficientnet_steps(network: Any) -> Steps:
    steps: Steps = [(("stem",), [network.conv_stem, network.bn1])]
    for number, stage in enumerate(network.blocks, 1):
        for i, block in enumerate(stage, 1):
            names = (f"block{len(steps) - 1}", *([f"stage{number}"] if i == len(stage) else []))
            steps.append((names, [block]))
    return [*steps, (("head",), [network.conv_head, network.bn2])]


def _stack_steps(network: Any, ends: Mapping[str, int]) -> Steps:
    starts = [0, *(end + 1 for end in ends.values())]
    steps: Steps = [
        ((name,), list(network.features[start : end + 1])) for start, (name, end) in zip(starts, ends.items(), strict=False)
    ]
    if "conv5_3" in ends:  # vgg16: its layer fc7 seen from every place; on 224 × 224 pixels there is one
        first, second = network.classifier[0], network.classifier[3]
        wide = nn.Conv2d(512, 4096, 7, device="meta")
        then = nn.Conv2d(4096, 4096, 1, device="meta")
        for conv, linear in ((wide, first), (then, second)):
            conv.weight = nn.Parameter(linear.weight.detach().reshape(conv.weight.shape))
            conv.bias = nn.Parameter(linear.bias.detach())
        steps.append((("fc7",), [wide, nn.ReLU(), then, nn.ReLU()]))
    return steps


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not all(isinstance(one, torch.Tensor) for one in state.values()):
            raise ValueError("not a dictionary of arrays")
    except Exception as error:  # what is no file of weights can raise anything
        raise ModelFileError(f"{path}: a file of weights was needed; it cannot be read as one ({error}).") from error
    return state


def _export(trunk: _Trunk) -> bytes:
    """ONNX bytes, the same on every run; batch, height and width stay free."""
    file = io.BytesIO()
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # this exporter is the older one; the newer needs another library and fixes sizes
        torch.onnx.export(
            trunk.eval(),
            (torch.zeros(1, 3, 224, 224),),
            file,
            input_names=["image"],
            output_names=trunk.levels,
            dynamic_axes={"image": axes, **{level: {i: f"{level}_{name}" for i, name in axes.items()} for level in trunk.levels}},
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,  # so that normalisation stays by itself
            do_constant_folding=False,
            dynamo=False,
        )
    return file.getvalue()
