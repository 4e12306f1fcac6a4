"""Variational autoencoders (extra `torch`): Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flawsight.networks.autoencoder import decoder, encoder

MEMORY = 0.99  # how much of γ stays from one step to the next


class Variational(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """An encoder, pictures → 2 d numbers [B,2d,...], the means and the logarithms of the variances of d others; and a decoder of
    these. float32 [B,3,side,side] → what comes out of numbers drawn at random, the same shape; means and log-variances [B,d,...].
    """

    def __init__(self, into: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = into, back

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, 1)
        drawn = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return self.decoder(drawn), mean, log_variance

    def means(self, x: torch.Tensor) -> torch.Tensor:
        """The means [B,d,...]."""
        return self.encoder(x).chunk(2, 1)[0]

    def repeated(self, x: torch.Tensor) -> torch.Tensor:
        """What comes out of the means: nothing is drawn at random."""
        return self.decoder(self.means(x))


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Of each picture: the Kullback-Leibler divergence of its numbers' distribution from the standard normal one. [B]."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)


class GammaVariational(Variational):
    """The autoencoder of AE_SSIM made variational, with one variance γ of all that comes out, which is learned too."""

    def __init__(self, side: int, width: int, latent: int) -> None:
        super().__init__(encoder(side, width, 2 * latent), decoder(side, width, latent))
        self.register_buffer("gamma", torch.ones(()))

    def loss(self, x: torch.Tensor, repeated: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        """½ log γ + (x − x̂)² / 2γ + KL / D, the mean over pictures and their D values. γ follows the mean of the squares.

        That mean is the best γ for given weights; a weight of its own would need steps in the thousands to come to it.
        """
        squares = (x - repeated).square().mean()
        with torch.no_grad():
            first = self.gamma == 1  # as it is made
            self.gamma.copy_(torch.where(first, squares, MEMORY * self.gamma + (1 - MEMORY) * squares))
        kept = divergence(mean, log_variance).mean() / x[0].numel()
        return 0.5 * self.gamma.log() + squares / (2 * self.gamma) + kept


def variance(network: Variational, some: Iterable[torch.Tensor]) -> NDArray[np.float32]:
    """The variance of the numbers that are drawn for these pictures, batches of [B,3,side,side]: float32 [d]."""
    with torch.no_grad():
        means, log_variances = torch.cat([network.encoder(pictures) for pictures in some]).chunk(2, 1)
    found: NDArray[np.float32] = (means.var(0, correction=0) + log_variances.exp().mean(0)).flatten().cpu().numpy()
    return found


def as_arrays(network: nn.Module) -> dict[str, NDArray[Any]]:
    """The weights as plain arrays, for methods whose scores need gradients: weights.<name>."""
    return {f"weights.{name}": one.detach().cpu().numpy().copy() for name, one in network.state_dict().items()}


def from_arrays(network: nn.Module, arrays: Mapping[str, NDArray[Any]], device: str) -> nn.Module:
    """The network with weights from `as_arrays`, in eval mode, its weights constant."""
    prefix = "weights."
    weights = {k.removeprefix(prefix): torch.from_numpy(np.array(v)) for k, v in arrays.items() if k.startswith(prefix)}
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False).to(device)
