"""A normalizing flow on vectors (extra `torch`): fixed permutations and affine couplings in turn, as DifferNet uses them.

One block permutes the entries of x by a draw that the block's number alone determines, splits them into halves x₁, x₂ and takes
y₁ = e^{g(s₂(x₂))} x₁ + t₂(x₂), then y₂ = e^{g(s₁(y₁))} x₂ + t₁(y₁), with g(s) = 0.636 α atan(s/α): so no factor is above e^α.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn

ALPHA = 3.0
ATAN = 0.636  # 2/π, as the paper's code rounds it
LARGEST = 1e6  # what comes out of a block is kept within this


class Coupling(nn.Module):  # type: ignore[misc]
    """Half of the entries scaled and moved by what the other half says, then the other way round. width: of hidden layers."""

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self._halves = (dims // 2, dims - dims // 2)
        self.of_second = _said(self._halves[1], width, self._halves[0])  # s₂ and t₂
        self.of_first = _said(self._halves[0], width, self._halves[1])  # s₁ and t₁

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """y [B,D] and the logarithm of the determinant of its Jacobian, [B]."""
        x1, x2 = x.split(self._halves, 1)
        grown2, moved2 = _parted(self.of_second(x2))
        y1 = grown2.exp() * x1 + moved2
        grown1, moved1 = _parted(self.of_first(y1))
        y2 = grown1.exp() * x2 + moved1
        return torch.cat([y1, y2], 1).clamp(-LARGEST, LARGEST), grown1.sum(1) + grown2.sum(1)

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """x [B,D], of which `forward` makes y."""
        y1, y2 = y.split(self._halves, 1)
        grown1, moved1 = _parted(self.of_first(y1))
        x2 = (y2 - moved1) * (-grown1).exp()
        grown2, moved2 = _parted(self.of_second(x2))
        return torch.cat([(y1 - moved2) * (-grown2).exp(), x2], 1)


class Flow(nn.Module):  # type: ignore[misc]
    """Vectors [B,D], D ≥ 2 → vectors [B,D] that training makes normally distributed, and log |det J| [B]."""

    def __init__(self, dims: int, n_blocks: int, width: int) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(Coupling(dims, width) for _ in range(n_blocks))
        orders = np.stack([np.random.default_rng(number).permutation(dims) for number in range(n_blocks)])
        self.register_buffer("orders", torch.from_numpy(orders), persistent=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """z [B,D] and log |det J| [B]."""
        logarithm = x.new_zeros(len(x))
        for order, coupling in zip(self.orders, self.couplings, strict=True):
            x, grown = coupling(x[:, order])
            logarithm = logarithm + grown
        return x, logarithm

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """The vectors [B,D], of which `forward` makes z."""
        for order, coupling in reversed(list(zip(self.orders, self.couplings, strict=True))):
            z = coupling.inverse(z)[:, order.argsort()]
        return z


class Unlikeness(nn.Module):  # type: ignore[misc]
    """Vectors [B,D], less a mean and divided by a scale [D] each → the mean of their z², [B]."""

    def __init__(self, flow: Flow, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.flow = flow
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """See the class."""
        z: torch.Tensor = self.flow((vectors - self.mean) / self.scale)[0]
        return z.square().mean(1)


def _said(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Three hidden layers; what comes out is the logarithms of the factors before g, then what is added."""
    sizes = [inputs, width, width, width]
    hidden = [layer for one, two in itertools.pairwise(sizes) for layer in (nn.Linear(one, two), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, 2 * outputs))


def _parted(said: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    s, t = said.chunk(2, 1)
    return ATAN * ALPHA * (s / ALPHA).atan(), t
