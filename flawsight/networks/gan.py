"""The networks of GANomaly and what it loses and scores by (extra `torch`): Akcay, Atapour-Abarghouei, Breckon, ACCV 2018.

They are pyramids as of DCGAN (Radford, Metz, Chintala, ICLR 2016): convolutions of 4 × 4 that halve the picture and double the
channels until 4 × 4 places are left, and their mirror image.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

SLOPE = 0.2
SPREAD = 0.02  # of weights at the start


def encoder(side: int, width: int, outputs: int) -> nn.Sequential:
    """Pictures [B,3,side,side] → [B,outputs,1,1]. side: 32, 64, 128 … width: channels of the first layer."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(SLOPE)]
    channels = width
    for _ in range(_halvings(side)):
        layers += [nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * channels), nn.LeakyReLU(SLOPE)]
        channels *= 2
    return nn.Sequential(*layers, nn.Conv2d(channels, outputs, 4, bias=False))


def decoder(side: int, width: int, latent: int) -> nn.Sequential:
    """[B,latent,1,1] → pictures [B,3,side,side], from −1 to 1. width: channels of the last layer but one."""
    channels = width * 2 ** _halvings(side)
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, channels, 4, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    while channels > width:
        layers += [nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(channels // 2), nn.ReLU()]
        channels //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh())


def _halvings(side: int) -> int:
    """How often a picture is halved between the first layer, which does so too, and 4 × 4 places."""
    return (side // 8).bit_length() - 1


class Generator(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """Pictures x [B,3,side,side] → x̂ of the same shape, z and ẑ [B,latent]."""

    def __init__(self, side: int, width: int, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(side, width, latent), decoder(side, width, latent)
        self.again = encoder(side, width, latent)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        z = self.encoder(x)
        made = self.decoder(z)
        return made, z.flatten(1), self.again(made).flatten(1)


class Discriminator(nn.Module):  # type: ignore[misc]
    """Pictures [B,3,side,side] → features f, what comes before the last layer, and the logit [B] of being no made one."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        *first, self.last = encoder(side, width, 1)
        self.features = nn.Sequential(*first)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(x)
        return features, self.last(features).flatten()


def begin(layer: nn.Module) -> None:
    """Give a layer the weights that training starts with."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, SPREAD)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1, SPREAD)
        nn.init.zeros_(layer.bias)


def told_apart(real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """The discriminator's loss, from the logits of good pictures and of made ones."""
    is_real = functional.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    return (is_real + functional.binary_cross_entropy_with_logits(made, torch.zeros_like(made))) / 2


class CodeDistance(nn.Module):  # type: ignore[misc]
    """Pictures [B,3,side,side] → the mean of (z − ẑ)², or of |z − ẑ|, [B].

    beside: pictures [n,3,side,side] that are put beside them; normalisation is then by all these together, not by what it has seen
    in training.
    """

    def __init__(self, generator: Generator, squared: bool, beside: torch.Tensor | None = None) -> None:
        super().__init__()
        self.generator = generator if beside is None else _normalised_by_batch(copy.deepcopy(generator))
        self.squared = squared
        self.register_buffer("beside", beside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, z, again = self.generator(x if self.beside is None else torch.cat([x, self.beside]))
        apart = (z - again)[: x.shape[0]]
        return (apart**2 if self.squared else apart.abs()).mean(1)


class ByBatch(nn.Module):  # type: ignore[misc]
    """Normalises by the batch itself, as BatchNorm2d does in training; written out, for onnxruntime judges alone."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        apart = x - x.mean((0, 2, 3), keepdim=True)
        normalised = apart / torch.sqrt((apart**2).mean((0, 2, 3), keepdim=True) + self.eps)
        return normalised * self.weight[:, None, None] + self.bias[:, None, None]


def _normalised_by_batch(network: Generator) -> Generator:
    for pyramid in (network.encoder, network.decoder, network.again):
        for i, layer in enumerate(pyramid):
            if isinstance(layer, nn.BatchNorm2d):
                pyramid[i] = ByBatch(layer)
    return network
