"""The convolutional encoder and decoder of AE_SSIM, which γ-VAE shares (extra `torch`): Bergmann et al., VISIGRAPP 2019, table 1.

For pictures of 128 × 128 they are the paper's; each doubling of the side adds a halving of the picture at the start and its
mirror image at the end, and half the side takes one away.
"""

from __future__ import annotations

from torch import nn

SLOPE = 0.2


def encoder(side: int, width: int, outputs: int, colours: int = 3) -> nn.Sequential:
    """Pictures [B,colours,side,side] → [B,outputs,1,1]. width: channels of the first layers, 32 in the paper."""
    shape = [
        *[(width, 4, 2)] * (side // 64).bit_length(),
        (width, 3, 1),
        (2 * width, 4, 2),
        (2 * width, 3, 1),
        (4 * width, 4, 2),
        (2 * width, 3, 1),
        (width, 3, 1),
    ]
    layers: list[nn.Module] = []
    channels = colours
    for wide, kernel, stride in shape:
        layers += [nn.Conv2d(channels, wide, kernel, stride, 1), nn.LeakyReLU(SLOPE)]
        channels = wide
    return nn.Sequential(*layers, nn.Conv2d(channels, outputs, 8))


def decoder(side: int, width: int, latent: int, colours: int = 3) -> nn.Sequential:
    """[B,latent,1,1] → pictures [B,colours,side,side], values 0 to 1."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, width, 8), nn.LeakyReLU(SLOPE)]
    channels = width
    for wide, is_larger in (
        (2 * width, False),
        (4 * width, False),
        (2 * width, True),
        (2 * width, False),
        (width, True),
        (width, False),
        *[(width, True)] * ((side // 64).bit_length() - 1),
        (colours, True),
    ):
        layer = nn.ConvTranspose2d(channels, wide, 4, 2, 1) if is_larger else nn.Conv2d(channels, wide, 3, 1, 1)
        layers += [layer, nn.LeakyReLU(SLOPE)]
        channels = wide
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def autoencoder(side: int, width: int, latent: int, colours: int = 3) -> nn.Sequential:
    """Pictures [B,colours,side,side] → what is left of them after passing through `latent` numbers."""
    return nn.Sequential(encoder(side, width, latent, colours), decoder(side, width, latent, colours))
