"""The same inputs for reference codes and for flawsight: weights drawn by their names, and pictures.

tools/run_reference_codes.py gives them to the codes and keeps what these make of them; test_references.py gives them to flawsight.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from flawsight.types import Float, Pixels

ARRAYS = Path(__file__).with_name("arrays.npz")
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
LEVEL_DIMS, TARGET_DIMS = 200, 160  # PatchCore's
GALLERY = 25  # good pictures that SPADE takes
FLOW_BLOCKS, FLOW_WIDTH, FLOW_SIDE = 8, 16, 256  # DifferNet's flow, and the side of its pictures
FLOW_LAST = 0.05  # of its last layers' arrays, so that eight blocks after each other stay in range
GAN_WIDTH, GAN_LATENT = 4, 10
SVDD_SIDE = 96

Shape = tuple[int, ...]


def fill(name: str, shape: Shape) -> Float:
    """An array of a network, drawn by a seed that follows from its name, of a size that keeps values in range."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).random_sample(shape)  # this generator's numbers never change
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        drawn = 0.5 + drawn
    elif len(shape) <= 1:
        drawn = 0.4 * drawn - 0.2
    else:
        drawn = (2 * drawn - 1) * np.sqrt(6 / np.prod(shape[1:]))
    return np.asarray(drawn, np.float32)


def variants(pictures: Pixels) -> Pixels:
    """Pictures [N,side,side,3] turned and mirrored in all eight ways: [8·N,side,side,3]."""
    turned = [np.rot90(pictures, times, (1, 2)) for times in range(4)]
    return np.concatenate([*turned, *(one[:, :, ::-1] for one in turned)])


def normalised(pictures: Pixels) -> Float:
    """What a network pre-trained on ImageNet sees of pictures [N,h,w,3]: float32 [N,3,h,w]."""
    values = (pictures.transpose(0, 3, 1, 2) - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
    return np.ascontiguousarray(values, np.float32)


def tiled(pictures: Pixels, side: int) -> Pixels:
    """Pictures repeated beside each other, cut to a side."""
    times = -(-side // pictures.shape[1])
    return np.tile(pictures, (1, times, times, 1))[:, :side, :side]
