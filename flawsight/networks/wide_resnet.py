"""The wide residual network that GeoTrans trains (extra `torch`): Zagoruyko, Komodakis, BMVC 2016, with activation first."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

FIRST = 16  # channels before the first group
POOLED = 8  # pixels a side that are averaged at the end


class Block(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """[B,before,h,w] → [B,after,h/stride,w/stride]."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(before), nn.BatchNorm2d(after)])
        self.layers = nn.ModuleList(
            [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.Conv2d(after, after, 3, 1, 1, bias=False)]
        )
        self.shortcut = None if before == after and stride == 1 else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = functional.relu(self.norms[0](x))
        out = self.layers[1](functional.relu(self.norms[1](self.layers[0](active))))
        return out + (x if self.shortcut is None else self.shortcut(active))


def wide_resnet(side: int, depth: int, width: int, classes: int) -> nn.Sequential:
    """Pictures [B,3,side,side] → logits [B,classes]. depth: 4 more than a multiple of 6. width: times the channels 16, 32, 64."""
    widths = [FIRST * width * 2**i for i in range(3)]
    layers: list[nn.Module] = [nn.Conv2d(3, FIRST, 3, 1, 1, bias=False)]
    before = FIRST
    for i, wide in enumerate(widths):
        for number in range((depth - 4) // 6):
            layers.append(Block(before, wide, 2 if i and not number else 1))
            before = wide
    left = side // 4 // POOLED
    layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.AvgPool2d(POOLED), nn.Flatten(), nn.Linear(before * left**2, classes)]
    network = nn.Sequential(*layers)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return network
