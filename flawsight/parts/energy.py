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
    """Pictures [B,3,side,side] → E, [B]. width: channels of the first layer, doubled at each halving. units: of the last layer."""

    def __init__(self, side: int, width: int, units: int) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(3, side, side))
        widths = [width * min(2**i, MOST) for i in range((side // SMALLEST).bit_length() - 1)]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, 2) for before, after in zip([3, *widths], widths, strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for wide in widths)
        self.dense = nn.Linear(widths[-1] * SMALLEST**2, units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x
        for layer, norm in zip(self.layers, self.norms, strict=True):
            out = functional.relu(norm(layer(functional.pad(out, BEYOND))))
        return ((x - self.b) ** 2).flatten(1).sum(1) / 2 - functional.relu(self.dense(out.flatten(1))).sum(1)


def restored(energy: Energy, noisy: torch.Tensor) -> torch.Tensor:
    """x − ∇E(x), through which a loss can be followed to the energy's weights."""
    x = noisy.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)
    return x - gradient


class Steepness(nn.Module):  # type: ignore[misc]
    """Pictures [B,3,side,side] → |∇E|², [B], of an energy in eval mode; written out, since a graph holds no automatic gradient."""

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.gradient(x) ** 2).flatten(1).sum(1)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """∇E(x), [B,3,side,side]."""
        energy, out = self.energy, x
        active = []
        for layer, norm in zip(energy.layers, energy.norms, strict=True):
            out = functional.relu(norm(layer(functional.pad(out, BEYOND))))
            active.append(out)
        last = energy.dense(out.flatten(1))
        back = ((last > 0).to(x.dtype) @ energy.dense.weight).view_as(out)
        for layer, norm, out in zip(reversed(energy.layers), reversed(energy.norms), reversed(active), strict=True):
            slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            back = back * (out > 0) * slope[:, None, None]
            back = functional.conv_transpose2d(back, layer.weight, stride=2)[..., :-1, :-1]  # without the zeros beyond
        return x - energy.b - back
