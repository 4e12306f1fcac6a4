"""Pictures drawn at random for training (extra `torch`): cut out, turned, shifted, mirrored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from flawsight.parts.windows import AT_ONCE, padded
from flawsight.types import Float


@dataclass(frozen=True)
class Variety:
    """What may differ between a good picture and what is drawn from it. angle: degrees it may be turned by, either way. shift: the
    share of the cut's side that it may be moved by, where it is as large as the picture. flips: whether it may be mirrored.
    """

    angle: float = 0.0
    shift: float = 0.0
    flips: bool = False


class Pool:
    """Pictures float32 [C,h,w], values 0 to 1, to draw from. They are kept in 8 bits, as they came from their files.

    side: of what is cut from them; smaller pictures are continued as in a mirror, and so is what lies beyond a picture's rim.
    """

    def __init__(self, pictures: Sequence[Float], side: int, variety: Variety, device: str) -> None:
        self._pictures = [torch.from_numpy(np.rint(padded(one, side) * 255).astype(np.uint8)).to(device) for one in pictures]
        self._side, self._variety = side, variety

    def draw(self, rng: np.random.Generator, n: int) -> torch.Tensor:
        """float32 [n,C,side,side], each from a picture drawn at random."""
        return torch.stack([self._one(rng) for _ in range(n)])

    def some(self, seed: int, n: int) -> Iterator[torch.Tensor]:
        """At least n of them, [B,C,side,side] at a time, that depend on the seed alone."""
        rng = np.random.default_rng(seed)
        for _ in range(0, n, AT_ONCE):
            yield self.draw(rng, AT_ONCE)

    def _one(self, rng: np.random.Generator) -> torch.Tensor:
        picture = self._pictures[rng.integers(len(self._pictures))]
        side, variety = self._side, self._variety
        top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[1:])
        turned = math.radians(rng.uniform(-variety.angle, variety.angle))
        down, right = rng.uniform(-variety.shift, variety.shift, 2) * side
        flips = [axis for axis, flipped in zip((1, 2), rng.integers(2, size=2), strict=True) if flipped and variety.flips]
        if variety.angle or variety.shift:
            cut = _turned(picture, side, (top + side / 2 + down, left + side / 2 + right), turned)
        else:
            cut = picture[:, top : top + side, left : left + side].float() / 255
        return cut.flip(flips) if flips else cut


def _turned(picture: torch.Tensor, side: int, centre: tuple[float, float], angle: float) -> torch.Tensor:
    """A square cut out of a picture around a centre (down, right), turned by an angle in radians: float32 [C,side,side]."""
    cos, sin = math.cos(angle), math.sin(angle)
    reach = side / 2 * (abs(cos) + abs(sin)) + 2
    (top, high), (left, wide) = (
        (max(0, math.floor(at - reach)), min(length, math.ceil(at + reach)))
        for at, length in zip(centre, picture.shape[1:], strict=True)
    )
    near = picture[None, :, top:high, left:wide].float() / 255
    down, right = 2 * (centre[0] - top) / (high - top) - 1, 2 * (centre[1] - left) / (wide - left) - 1
    scale_y, scale_x = side / (high - top), side / (wide - left)
    affine = torch.tensor(
        [[[cos * scale_x, -sin * scale_x, right], [sin * scale_y, cos * scale_y, down]]], dtype=near.dtype, device=near.device
    )
    grid = functional.affine_grid(affine, [1, 1, side, side], align_corners=False)
    return functional.grid_sample(near, grid, padding_mode="reflection", align_corners=False)[0]
