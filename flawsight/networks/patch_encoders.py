"""PatchSVDD's networks (extra `torch`): Yi, Yoon, ACCV 2020.

A patch of 32 × 32 pixels goes through convolutions without padding until one vector is left. One of 64 × 64 is cut into four such
patches, whose vectors go through a further convolution. So the descriptors of all patches of a picture need not be worked out patch
by patch: the same convolutions over the whole picture give them, see Everywhere.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from flawsight.parts.pairs import DIRECTIONS, Corners

SMALL, LARGE = 32, 64  # sides of patches
STEPS = {SMALL: 4, LARGE: 16}  # pixels from patch to patch in a picture that is looked at everywhere
DIMS = 64  # of a descriptor
HIDDEN = 128  # of what tells directions apart
SLOPE = 0.1


class Encoders(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """Patches [B,3,K,K] → descriptors [B,64], K being 32 or 64. width: channels of the first layer, 32 in the paper.

    learn_last: see Directions.
    """

    def __init__(self, width: int, learn_last: bool) -> None:
        super().__init__()
        widths = [3, *(width * times for times in (1, 2, 4, 4, 2, 1, 1)), DIMS]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Conv2d(before, after, 3, 2 if i == 0 else 1), nn.LeakyReLU(SLOPE)]
        self.small = nn.Sequential(*layers[:-1], nn.Tanh())
        self.join = nn.Sequential(nn.Conv2d(DIMS, 4 * width, 2), nn.LeakyReLU(SLOPE), nn.Conv2d(4 * width, DIMS, 1), nn.Tanh())
        self.directions = nn.ModuleDict({str(side): Directions(learn_last) for side in (SMALL, LARGE)})

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        if patches.shape[-1] == SMALL:
            return self.small(patches).flatten(1)
        n = len(patches)
        quarters = patches.reshape(n, 3, 2, SMALL, 2, SMALL).permute(0, 2, 4, 1, 3, 5).reshape(4 * n, 3, SMALL, SMALL)
        return self.join(self.small(quarters).reshape(n, 2, 2, DIMS).permute(0, 3, 1, 2)).flatten(1)


class Directions(nn.Module):  # type: ignore[misc]
    """Descriptors of two patches [B,64] → how much each of eight directions from one to the other speaks for itself, [B,8].

    The columns of the last weight have length 1. learn_last: whether it is learned; in the paper's code no gradient reaches it, so
    that it stays as it was drawn.
    """

    def __init__(self, learn_last: bool) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(DIMS, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(SLOPE))
        self.last = nn.Linear(HIDDEN, len(DIRECTIONS))
        self.last.weight.requires_grad_(learn_last)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        weight = functional.normalize(self.last.weight, dim=0)
        return functional.linear(self.hidden(one - other), weight, self.last.bias)


class Everywhere(nn.Module):  # type: ignore[misc]
    """Pictures [B,3,h,w] → descriptors of all their patches of 32 pixels, one in 4 pixels along each axis, [B,64,(h−32)/4+1,·], and
    of 64, one in 16, [B,64,(h−64)/16+1,·].
    """

    def __init__(self, encoders: Encoders) -> None:
        super().__init__()
        self.encoders = encoders

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Of a patch's 32 pixels the convolutions see 31, so there is room for one patch too many at an odd length.
        small = self.encoders.small(pictures[..., :-1, :-1])[..., ::2, ::2]  # the first layer has taken every second place already
        first, *rest = self.encoders.join
        step, apart = STEPS[LARGE] // STEPS[SMALL], SMALL // STEPS[SMALL]
        large = functional.conv2d(small, first.weight, first.bias, step, dilation=apart)
        return small, nn.Sequential(*rest)(large)


def cut(pictures: torch.Tensor, which: NDArray[np.int64], corners: Corners, side: int) -> torch.Tensor:
    """Patches [n,3,side,side] at these corners of these pictures, of [N,3,h,w]."""
    rows, columns = (torch.from_numpy(corners[:, axis, None] + np.arange(side)) for axis in (0, 1))
    return pictures[torch.from_numpy(which)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
