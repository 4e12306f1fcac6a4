"""Networks on a GPU, through torch (extra `torch`): the steps of an ONNX file one by one, so that any model file runs there.

Only in float32: the shorter products that a GPU may use in its place would move scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from flawsight.backbones.proto import Node, read
from flawsight.errors import ModelFileError, UnknownName, UsageError
from flawsight.types import Float

Tensors = list[torch.Tensor]
LEARNED = {"BatchNormalization", "Conv"}  # steps whose second and third inputs are what they have learned


def place(device: str) -> torch.device:
    """The device as torch knows it. Raises UnknownName for another than cuda, UsageError if there is no such GPU here."""
    name, _, number = device.partition(":")
    if name != "cuda" or not (number.isdigit() or device == "cuda"):
        raise UnknownName("devices", device, ("cpu", "cuda"))
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= here:
        raise UsageError(f"device {device}: such a GPU was needed; torch {torch.__version__} finds {here} here. Use device cpu.")
    return torch.device(device)


def runner(data: bytes, levels: Sequence[str], device: str) -> Callable[[Float], list[Float]]:
    """float32 [B,3,H,W] → the levels of the network in an ONNX file. Raises ModelFileError for steps that are not known here."""
    at = place(device)
    network = Trunk(data, levels, device).to(at)

    def run(images: Float) -> list[Float]:
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            return [level.cpu().numpy() for level in network(torch.from_numpy(images).to(at))]

    return run


class Trunk(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """The network in an ONNX file: float32 [B,3,H,W] → a map for each of these levels. What it has learned can be learned on.

    What convolutions and normalisation multiply by and add is its parameters; the means and variances that normalisation takes stay
    as they are. device: as errors name it. Raises ModelFileError for steps that are not known here.
    """

    def __init__(self, data: bytes, levels: Sequence[str], device: str) -> None:
        super().__init__()
        network = read(data)
        if unknown := sorted({node.op for node in network.nodes} - STEPS.keys()):
            raise ModelFileError(
                f"backbones: the network has steps that do not run on {device}: {', '.join(unknown)}. Use device cpu."
            )
        if lacking := [level for level in levels if level not in network.outputs]:
            raise ModelFileError(f"backbones: the network lacks the levels {', '.join(lacking)}. Rebuild or refit the model.")
        nodes, constants = _needed(network.nodes, set(levels)), dict(network.constants)
        for node in nodes:  # what has learned the same is often kept once, and need not stay the same
            if node.op == "Identity" and node.inputs[0] in constants:
                constants[node.outputs[0]] = constants[node.inputs[0]]
        self._nodes = [node for node in nodes if node.outputs[0] not in constants]
        self._input, self._levels = network.input, list(levels)
        self._last_use = {name: i for i, node in enumerate(self._nodes) for name in node.inputs}
        learned = {name for node in self._nodes if node.op in LEARNED for name in node.inputs[1:3]}
        self._places: dict[str, str] = {}  # of constants: where each is, for their names are not what torch takes for names
        for i, (name, array) in enumerate((name, one) for name, one in constants.items() if name in self._last_use):
            self._places[name] = f"constant{i}"
            constant = torch.tensor(array)
            if name in learned:
                self.register_parameter(self._places[name], nn.Parameter(constant))
            else:
                self.register_buffer(self._places[name], constant)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        values: dict[str, torch.Tensor] = {name: getattr(self, place) for name, place in self._places.items()}
        values[self._input] = x
        for i, node in enumerate(self._nodes):
            values[node.outputs[0]] = STEPS[node.op]([values[name] for name in node.inputs if name], node.attributes)
            for name in node.inputs:  # what nobody asks for any more makes room
                if self._last_use[name] == i and name not in self._places and name not in self._levels:
                    del values[name]
        return [values[level] for level in self._levels]


def _needed(nodes: Sequence[Node], wanted: set[str]) -> list[Node]:
    """The steps that lead to what is wanted, in their order."""
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted = wanted | set(node.inputs)
    return kept[::-1]


def _conv(given: Tensors, about: Mapping[str, Any]) -> torch.Tensor:
    x, weight, *bias = given
    stride, pads = tuple(about.get("strides", (1, 1))), tuple(about.get("pads", (0, 0, 0, 0)))
    if about.get("auto_pad") == "SAME_UPPER":
        totals = [
            max((-(-side // step) - 1) * step + kernel - side, 0)
            for side, step, kernel in zip(x.shape[2:], stride, weight.shape[2:], strict=True)
        ]
        pads = (*(total // 2 for total in totals), *(total - total // 2 for total in totals))
    top, left, bottom, right = pads
    if any(pads):
        x = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(
        x, weight, bias[0] if bias else None, stride, 0, tuple(about.get("dilations", (1, 1))), about.get("group", 1)
    )


def _pool(reduce: Callable[..., torch.Tensor], rim: float) -> Callable[[Tensors, Mapping[str, Any]], torch.Tensor]:
    """A step that pools. rim: what stands outside of the picture."""

    def step(given: Tensors, about: Mapping[str, Any]) -> torch.Tensor:
        top, left, bottom, right = about.get("pads", (0, 0, 0, 0))
        x = functional.pad(given[0], (left, right, top, bottom), value=rim) if top or left or bottom or right else given[0]
        return reduce(x, about["kernel_shape"], about.get("strides", (1, 1)))

    return step


STEPS: dict[str, Callable[[Tensors, Mapping[str, Any]], torch.Tensor]] = {
    "Add": lambda given, _: given[0] + given[1],
    "AveragePool": _pool(functional.avg_pool2d, 0.0),
    "BatchNormalization": lambda given, about: functional.batch_norm(
        given[0], given[3], given[4], given[1], given[2], eps=about.get("epsilon", 1e-5)
    ),
    "Clip": lambda given, _: torch.clamp(given[0], given[1], given[2]),
    "Concat": lambda given, about: torch.cat(given, about["axis"]),
    "Conv": _conv,
    "Identity": lambda given, _: given[0],
    "MaxPool": _pool(functional.max_pool2d, -torch.inf),
    "Mul": lambda given, _: given[0] * given[1],
    "ReduceMean": lambda given, about: given[0].mean(about["axes"], keepdim=bool(about.get("keepdims", 1))),
    "Relu": lambda given, _: torch.relu(given[0]),
    "Sigmoid": lambda given, _: torch.sigmoid(given[0]),
}
