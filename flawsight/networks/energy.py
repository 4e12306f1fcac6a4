"""The energy of a picture, its gradient, and what is learned of it (extra `torch`): Zhai, Cheng, Lu, Zhang, ICML 2016.

E(x) = ½ |x − b|² − Σ enc(x), with a tensor b of the picture's shape and an encoder of convolutions that halve the picture. It is
learned by score matching in its denoising form (Vincent, 2011): one step down the energy's gradient is to take noise away.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

SMALLEST = 4  # side of what the last convolution leaves
MOST = 8  # times the first width, of the widest layer
BEYOND = (0, 1, 0, 1)  # zeros to the right and below: how an even side is halved in the code that the settings come from


class Energy(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """Pictures [B,3,side,side] → E, [B]. width: channels of the first layer, doubled at each halving. units: of the last layer.

    soft: these are soft-plus units, as in the paper; else rectified ones, as in the code that the settings come from.
    """

    def __init__(self, side: int, width: int, units: int, soft: bool = False) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(3, side, side))
        widths = [width * min(2**i, MOST) for i in range((side // SMALLEST).bit_length() - 1)]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, 2) for before, after in zip([3, *widths], widths, strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for wide in widths)
        self.dense = nn.Linear(widths[-1] * SMALLEST**2, units)
        self.soft = soft

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answers = self._encoded(x)[0]
        answers = functional.softplus(answers) if self.soft else functional.relu(answers)
        return ((x - self.b) ** 2).flatten(1).sum(1) / 2 - answers.sum(1)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """∇E(x), [B,3,side,side], written out: a graph holds no automatic gradient.

        It is that of each picture's own energy. In training the normalisation takes its statistics from all pictures of a batch;
        here they are constants, as they are once learned. Followed too, they would take from the gradient what pictures share,
        and the energy that is scored would be another than the one that was learned.
        """
        answers, active, slopes = self._encoded(x)
        back = torch.sigmoid(answers) if self.soft else (answers > 0).to(x.dtype)
        back = (back @ self.dense.weight).view_as(active[-1])
        for layer, out, slope in zip(reversed(self.layers), reversed(active), reversed(slopes), strict=True):
            back = back * (out > 0) * slope[:, None, None]
            back = functional.conv_transpose2d(back, layer.weight, stride=2)[..., :-1, :-1]  # without the zeros beyond
        return x - self.b - back

    def _encoded(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """What the last units are given, [B,units]; of each layer what it gives, and what its normalisation multiplies by, [C]."""
        active, slopes = [], []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            made = layer(functional.pad(x, BEYOND))
            spread = made.var((0, 2, 3), unbiased=False) if self.training else norm.running_var
            slopes.append(norm.weight / torch.sqrt(spread + norm.eps))
            x = functional.relu(norm(made))
            active.append(x)
        return self.dense(x.flatten(1)), active, slopes


def restored(energy: Energy, noisy: torch.Tensor) -> torch.Tensor:
    """x − ∇E(x), through which a loss can be followed to the energy's weights."""
    return noisy - energy.gradient(noisy)


class Steepness(nn.Module):  # type: ignore[misc]
    """Pictures [B,3,side,side] → |∇E|², [B], of an energy in eval mode."""

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.energy.gradient(x) ** 2).flatten(1).sum(1)
