"""A variational autoencoder whose attention a classifier guides (extra `torch`): Venkataramanan et al., ECCV 2020.

The classifier is one linear layer on the means of the latent maps, and these are 1 × 1 convolutions of the encoder's last feature
map A. So the gradient of a class' output for A is a product of weights, and Grad-CAM's αₖ, its mean over places, are the same for
every picture: αᶜ = Mᵀ w̄ᶜ, with M the weights of the 1 × 1 convolution and w̄ᶜ the class' weights averaged over places. A loss on the
attention needs no gradient of a gradient, and scoring needs none at all.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from flawsight.errors import UsageError

SLOPE = 0.2
LEAST = 8  # channels that layers have at least
GOOD, DEFECTIVE = 0, 1  # the classes


class Found(NamedTuple):
    """What comes of pictures: the feature map, means and log-variances of the latent maps, the pictures repeated, class outputs."""

    feature: torch.Tensor
    mean: torch.Tensor
    log_variance: torch.Tensor
    repeated: torch.Tensor
    classes: torch.Tensor


class Guided(nn.Module):  # type: ignore[misc]  # torch's types are not looked at
    """Encoder, latent maps, decoder, classifier, and the adversary of what comes out.

    trunk: pictures as it takes them → a list that ends in the feature map. low, high: what the values 0 and 1 of pictures are to
    it, [3] each. side: of pictures. latent: maps. width: channels at the decoder's start. Raises UsageError for a feature map that
    doublings do not bring to the pictures' size.
    """

    def __init__(self, trunk: nn.Module, low: torch.Tensor, high: torch.Tensor, side: int, latent: int, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("low", low.reshape(1, 3, 1, 1))
        self.register_buffer("range", (high - low).reshape(1, 3, 1, 1))
        with torch.no_grad():
            channels, grid, _ = trunk(torch.zeros(1, 3, side, side))[-1].shape[1:]
        doublings = (side // grid).bit_length() - 1
        if grid << doublings != side:
            raise UsageError(
                f"cavga_rw: a feature map whose side doubles to {side} pixels was needed; the network gives one of {grid}. "
                "Name another level or network, or another side."
            )
        self.means, self.log_variances = nn.Conv2d(channels, latent, 1), nn.Conv2d(channels, latent, 1)
        nn.init.zeros_(self.log_variances.weight)  # what a trained encoder gives is large: its exponential would be larger
        nn.init.zeros_(self.log_variances.bias)
        self.decoder = _decoder(latent, width, doublings)
        self.classifier = nn.Linear(latent * grid * grid, 2)
        self.adversary = _adversary(max(width // 2, LEAST))

    def forward(self, pictures: torch.Tensor) -> Found:
        """Of pictures [B,3,side,side], values 0 to 1."""
        feature = self.trunk(pictures * self.range + self.low)[-1]
        mean, log_variance = self.means(feature), self.log_variances(feature)
        drawn = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return Found(feature, mean, log_variance, self.decoder(drawn), self.classifier(mean.flatten(1)))

    def own(self) -> list[nn.Parameter]:
        """All that is trained but the adversary."""
        return [one for name, one in self.named_parameters() if not name.startswith("adversary.")]

    def attention(self, feature: torch.Tensor, rectified: bool) -> torch.Tensor:
        """Grad-CAM of both classes, through a sigmoid: [B,2,g,g] of a feature map [B,K,g,g]. rectified: what is negative is 0."""
        over_places = self.classifier.weight.unflatten(1, (self.means.out_channels, -1)).mean(2)
        alpha = over_places @ self.means.weight[:, :, 0, 0]
        weighted = torch.einsum("ck,bkhw->bchw", alpha, feature)
        return torch.sigmoid(weighted.relu() if rectified else weighted)


class Judge(nn.Module):  # type: ignore[misc]
    """Pictures as the trunk takes them → how much larger the defective class' output is than the good one's, [B], which is the
    logarithm of the odds of its softmax; and the attention of the defective class [B,g,g].
    """

    def __init__(self, network: Guided, rectified: bool) -> None:
        super().__init__()
        self.network, self.rectified = network, rectified

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        feature = self.network.trunk(pictures)[-1]
        classes = self.network.classifier(self.network.means(feature).flatten(1))
        return classes[:, DEFECTIVE] - classes[:, GOOD], self.network.attention(feature, self.rectified)[:, DEFECTIVE]


def guidance(maps: torch.Tensor, classes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss on attention maps [B,2,g,g]: 1 − that of the good class + that of the defective one, the mean over places.

    It is of pictures that are good and are taken for good, and the mean over these; 0 where there are none. classes: outputs
    [B,2]; labels: [B], 0 good, 1 defective.
    """
    right = (labels == GOOD) & (classes.argmax(1) == GOOD)
    if not right.any():
        return classes.new_zeros(())
    return (1 - maps[right, GOOD] + maps[right, DEFECTIVE]).mean()


def against(adversary: nn.Module, pictures: torch.Tensor, repeated: torch.Tensor) -> torch.Tensor:
    """The adversary's loss: it is to tell pictures from those that were repeated."""
    real, made = adversary(pictures), adversary(repeated.detach())
    return functional.softplus(-real).mean() + functional.softplus(made).mean()


class _Doubling(nn.Module):  # type: ignore[misc]
    """[B,before,h,w] → [B,after,2h,2w]: enlarged, then two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        large = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return torch.relu(self.layers(large) + self.shortcut(large))


def _decoder(latent: int, width: int, doublings: int) -> nn.Sequential:
    """Latent maps [B,latent,g,g] → pictures, values 0 to 1, their side doubled so often."""
    wide = [latent, *(max(width >> i, LEAST) for i in range(doublings))]
    blocks = [_Doubling(before, after) for before, after in itertools.pairwise(wide)]
    return nn.Sequential(*blocks, nn.Conv2d(wide[-1], 3, 3, 1, 1), nn.Sigmoid())


def _adversary(width: int) -> nn.Sequential:
    """DCGAN's: pictures → how real they look, [B]. width: channels of its first layer."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(SLOPE)]
    for i in range(3):
        before, after = width << i, width << i + 1
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(0))
