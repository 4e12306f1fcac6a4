"""The U-Net that ITAE restores pictures with (extra `torch`): Ronneberger, Fischer, Brox, MICCAI 2015, padded and normalised."""

from __future__ import annotations

import torch
from torch import nn

DOWN, UP = (1, 2, 4, 8, 8), (4, 2, 1, 1)  # times the first width: of what is halved, and of what is doubled again
MULTIPLE = 2 ** (len(DOWN) - 1)  # of a picture's sides


class UNet(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """Pictures [B,before,h,w] → [B,after,h,w], from −1 to 1; sides are multiples of 16. width: channels of the first layers."""

    def __init__(self, before: int, after: int, width: int) -> None:
        super().__init__()
        down, up = [width * factor for factor in DOWN], [width * factor for factor in UP]
        self.down = nn.ModuleList(_twice(channels, wide) for channels, wide in zip([before, *down], down, strict=False))
        self.up = nn.ModuleList(
            _twice(below + beside, wide) for below, beside, wide in zip([down[-1], *up], down[-2::-1], up, strict=False)
        )
        self.halve, self.enlarge = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")
        self.last = nn.Conv2d(up[-1], after, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside = []
        for depth, layers in enumerate(self.down):
            x = layers(self.halve(x) if depth else x)
            beside.append(x)
        for layers, kept in zip(self.up, beside[-2::-1], strict=True):
            x = layers(torch.cat([kept, self.enlarge(x)], 1))
        return torch.tanh(self.last(x))


def _twice(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)
