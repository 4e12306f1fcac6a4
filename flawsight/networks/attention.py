"""Where a variational autoencoder looks for each of its numbers (extra `torch`): Liu et al., CVPR 2020, after Grad-CAM.

The networks are the replication's by Brongers et al., for the paper's own on MVTec AD are not public: a residual encoder and a
decoder of transposed convolutions.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from flawsight.networks.variational import Variational

LEAST = 1e-30  # of a width that something is divided by


class _Block(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """Two convolutions beside a shortcut (He et al., CVPR 2016)."""

    def __init__(self, given: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(given, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        same = stride == 1 and given == channels
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(given, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(x)[-1]

    def steps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What its convolutions give, and what the block does."""
        first = self.conv1(x)
        second = self.conv2(torch.relu(self.bn1(first)))
        return first, second, torch.relu(self.bn2(second) + self.shortcut(x))


class ResidualEncoder(nn.Module):  # type: ignore[misc]
    """ResNet-18 without the pooling at its start: pictures [B,3,h,w] → [B,outputs]. width: channels of the first stage."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.layer1 = nn.Sequential(_Block(width, width, 1), _Block(width, width, 1))
        self.layer2 = nn.Sequential(_Block(width, 2 * width, 2), _Block(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(_Block(2 * width, 4 * width, 2), _Block(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(_Block(4 * width, 8 * width, 2), _Block(8 * width, 8 * width, 1))
        self.last = nn.Linear(8 * width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.with_layer(x, "layer1.0.conv1")[0]

    def with_layer(self, x: torch.Tensor, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs, and what one of the convolutions gives, layer1.0.conv1 to layer4.1.conv2."""
        x, found = self.stem(x), x
        for number in (1, 2, 3, 4):
            for at, block in enumerate(getattr(self, f"layer{number}")):
                first, second, x = block.steps(x)
                if layer.startswith(f"layer{number}.{at}."):
                    found = first if layer.endswith("conv1") else second
        return self.last(x.mean((2, 3))), found


def _decoder(side: int, width: int, latent: int) -> nn.Sequential:
    """[B,latent] → pictures [B,3,side,side]. width: as of the encoder; 16 times as many channels at the start."""
    channels = 16 * width
    layers: list[nn.Module] = [nn.Linear(latent, channels), nn.ReLU(), nn.Linear(channels, 16 * channels), nn.ReLU()]
    layers.append(nn.Unflatten(1, (channels, 4, 4)))
    while side > 8:
        layers += [nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1), nn.BatchNorm2d(channels // 2), nn.ReLU()]
        channels, side = channels // 2, side // 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1))


class Explained(Variational):
    """That encoder and decoder. What comes out are logits: a sigmoid of them is the picture."""

    def __init__(self, side: int, width: int, latent: int) -> None:
        super().__init__(ResidualEncoder(width, 2 * latent), _decoder(side, width, latent))


def attention(
    network: Explained, pictures: torch.Tensor, layer: str, each: bool, rectified: bool, usual: torch.Tensor | None = None
) -> torch.Tensor:
    """How much a layer's places decide the numbers, [B,h,w] at the pictures' size.

    Of a number z: |Σ αₖ Aₖ| over the channels Aₖ of the layer, αₖ the average of ∂z/∂Aₖ over places (eq. 3 to 5); the average over
    all d numbers. Unless each counts by itself: of the sum of all. rectified: what is positive in place of the absolute value.

    The numbers are the means. With usual, the variances of good pictures' numbers [d], they are drawn from the normal difference
    distribution: a good picture's number less this one's, N(μ' − μ, σ'² + σ²); and the result is the mean over all draws.
    """
    with torch.enable_grad():
        outputs, activation = network.encoder.with_layer(pictures.detach().requires_grad_(), layer)
        means, log_variances = outputs.chunk(2, 1)
        numbers = means.unbind(1) if each else (means.sum(1),)
        spreads = () if usual is None else (usual + log_variances.exp()).sqrt().unbind(1)

    def weighted(number: torch.Tensor) -> torch.Tensor:
        """Σ αₖ Aₖ of a number [B]; pictures do not depend on each other, so each gets its own."""
        (gradient,) = torch.autograd.grad(number, activation, torch.ones_like(number), retain_graph=True)
        return (gradient.mean((2, 3), keepdim=True) * activation).sum(1).detach()

    centres = torch.stack([weighted(number) for number in numbers])
    if usual is None:
        maps = centres.relu() if rectified else centres.abs()
    else:
        squares = torch.stack([weighted(spread).square() for spread in spreads])
        widths = (squares if each else squares.sum(0, keepdim=True)).sqrt()  # drawn by themselves, so that squares add up
        maps = _expected(-centres, widths, rectified)
    return functional.interpolate(maps.mean(0)[:, None], pictures.shape[-2:], mode="bilinear")[:, 0]


def _expected(centre: torch.Tensor, width: torch.Tensor, rectified: bool) -> torch.Tensor:
    """The mean of what is positive of N(centre, width²), or of its absolute value."""
    steps = centre / width.clamp(min=LEAST)
    bell = width * torch.exp(-steps.square() / 2) / math.sqrt(2 * math.pi)
    positive = bell + centre * torch.special.ndtr(steps)
    return positive if rectified else 2 * positive - centre
