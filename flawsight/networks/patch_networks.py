"""Student's networks (extra `torch`): Bergmann, Fauser, Sattlegger, Steger, CVPR 2020.

Each describes a square patch by one vector, and all patches of a picture at once: a pooling of stride 2 is replaced by one of
stride 1, and what follows looks at every second place, then at every fourth, and so on. That gives for every patch exactly what the
network gives for it alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

SLOPE = 0.005
# By the patch's side, each convolution: kernel, channels as a multiple of the width, and whether pooling follows.
LAYERS: dict[int, tuple[tuple[int, int, bool], ...]] = {
    17: ((6, 1, False), (5, 2, False), (5, 2, False), (4, 1, False)),
    33: ((5, 1, True), (5, 2, True), (2, 2, False), (4, 1, False)),
    65: ((5, 1, True), (5, 1, True), (5, 2, True), (4, 2, False), (1, 1, False)),
}
MARGIN = 1.0  # by which a patch must be nearer to its like than to another
SHIFT, LIGHT, NOISE = 1 / 16, 0.1, 0.02  # of what counts as the same patch: sides moved, share of light, noise in each pixel


class PatchNetwork(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """Patches [B,3,side,side] → descriptors [B,width]. side: 17, 33 or 65. width: 128 in the paper."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.pooled = [pooled for _, _, pooled in LAYERS[side]]
        channels = [3, *(times * width for _, times, _ in LAYERS[side])]
        kernels = [kernel for kernel, _, _ in LAYERS[side]]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, kernel) for before, after, kernel in zip(channels, channels[1:], kernels, strict=False)
        )
        apart, sees = 1, 1
        for kernel, pooled in zip(kernels, self.pooled, strict=True):
            sees += (kernel - 1 + pooled) * apart
            apart *= 1 + pooled
        before = (side - 1) // 2
        # Where pooling leaves a rest, the last pixels of a patch are not looked at, and need not be there.
        self.rim = (before, sees - 1 - before, before, sees - 1 - before)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        out = patches
        for layer, pooled, is_last in self._steps():
            out = _activated(layer(out), is_last)
            out = functional.max_pool2d(out, 2) if pooled else out
        return out.flatten(1)

    def everywhere(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures [B,3,h,w] → the descriptor of the patch around each pixel, [B,width,h,w]; mirrored beyond the rim."""
        out, apart = functional.pad(pictures, self.rim, "reflect"), 1
        dilated = _by_lattices if self.training else _dilated
        for layer, pooled, is_last in self._steps():
            out = _activated(dilated(layer, out, apart), is_last)
            if pooled:
                out = functional.max_pool2d(out, 2, 1, dilation=apart)
                apart *= 2
        return out

    def _steps(self) -> list[tuple[nn.Conv2d, bool, bool]]:
        n = len(self.pooled)
        return [(self.layers[i], self.pooled[i], i == n - 1) for i in range(n)]


def _dilated(layer: nn.Conv2d, x: torch.Tensor, apart: int) -> torch.Tensor:
    """The convolution with its taps so many pixels apart."""
    return functional.conv2d(x, layer.weight, layer.bias, dilation=apart)


def _by_lattices(layer: nn.Conv2d, x: torch.Tensor, apart: int) -> torch.Tensor:
    """The same, as a plain convolution on each of the apart² lattices of pixels that it joins.

    The gradient of a dilated one takes minutes in place of seconds on a CPU where maps are large.
    """
    n, channels, high, wide = x.shape
    whole = functional.pad(x, (0, -wide % apart, 0, -high % apart))
    lattices = functional.pixel_unshuffle(whole, apart).unflatten(1, (channels, apart**2)).transpose(1, 2)
    out = layer(lattices.flatten(0, 1)).unflatten(0, (n, apart**2)).transpose(1, 2).flatten(1, 2)
    lost = (layer.kernel_size[0] - 1) * apart
    return functional.pixel_shuffle(out, apart)[:, :, : high - lost, : wide - lost]


def _activated(x: torch.Tensor, is_last: bool) -> torch.Tensor:
    return x if is_last else functional.leaky_relu(x, SLOPE)


class Disagreement(nn.Module):  # type: ignore[misc]
    """Pictures [B,3,h,w] → [B,2,h,w]: how far the students' mean is from the teacher, ‖·‖², and how far they are from their mean.

    mean, spread: of the teacher's descriptors, [width] each, which are standardised by them.
    """

    def __init__(self, teacher: PatchNetwork, students: Sequence[PatchNetwork], mean: torch.Tensor, spread: torch.Tensor) -> None:
        super().__init__()
        self.teacher, self.students = teacher, nn.ModuleList(students)
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("spread", spread[:, None, None])

    def target(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the students are to say, [B,width,h,w]."""
        return (self.teacher.everywhere(pictures) - self.mean) / self.spread

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        said = torch.stack([student.everywhere(pictures) for student in self.students])
        middle = said.mean(0)
        error = (middle - self.target(pictures)).square().sum(1)
        return torch.stack([error, (said - middle).square().sum(2).mean(0)], 1)


def compactness(described: torch.Tensor) -> torch.Tensor:
    """Σ |correlation| over all pairs of different dimensions of descriptors [B,width]."""
    centred = described - described.mean(0)
    scaled = centred / centred.norm(dim=0).clamp(min=1e-6)
    return (scaled.T @ scaled).abs().sum() - scaled.square().sum()


def apartness(described: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """The triplet loss of descriptors [B,width] and of those of much the same patches; another patch is the next of the batch."""
    other = described.roll(1, 0)
    near = (described - same).square().sum(1)
    far = torch.minimum((described - other).square().sum(1), (same - other).square().sum(1))
    return (MARGIN + near - far).clamp(min=0).mean()


def much_the_same(patches: torch.Tensor) -> torch.Tensor:
    """Patches [B,3,side,side] a little moved, lit otherwise and with noise."""
    side = patches.shape[-1]
    most = max(1, round(SHIFT * side))
    top, left = torch.randint(2 * most + 1, (2,)).tolist()
    moved = functional.pad(patches, (most,) * 4, "reflect")[..., top : top + side, left : left + side]
    light = 1 + LIGHT * (2 * torch.rand_like(moved[:, :1, :1, :1]) - 1)
    return moved * light + NOISE * torch.randn_like(moved)
