"""From a picture to what the network sees, and from the network's map back to the picture.

Two ways, chosen once at fit and kept in the model file:
  whole: the whole picture, its aspect ratio kept to within rounding; about `size`² pixels, each side a multiple of 16.
  crop:  the paper's way: the shorter side to `resize`, then the central `size` × `size`. What lies outside nobody looks at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flawsight.errors import UsageError
from flawsight.types import Float, Pixels

MULTIPLE = 16  # of the input's sides: the coarsest stride of the embedded backbones
MIN_SIDE = 4 * MULTIPLE  # a side of fewer patches says little
FILTERS = ("bilinear", "bicubic", "lanczos", "box", "hamming")  # Pillow's, all with antialiasing

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Preprocess:
    """size, resize: pixels, see the module. mean, std: per channel, on the 0–255 scale; the network sees (x − mean) / std."""

    size: int = 320
    resize: int | None = None
    filter: str = "bilinear"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        if self.size < MIN_SIDE:
            raise UsageError(f"preprocess: size must be at least {MIN_SIDE} pixels; got {self.size}.")
        if self.filter not in FILTERS:
            raise UsageError(f"preprocess: filter must be one of {', '.join(FILTERS)}; got '{self.filter}'.")
        if self.resize is not None and (self.resize < self.size or self.size % MULTIPLE):
            raise UsageError(
                f"preprocess: to crop, size must be a multiple of {MULTIPLE} and at most resize; got {self.size} and {self.resize}."
            )
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))

    def input_hw(self, picture_hw: tuple[int, int]) -> tuple[int, int]:
        """The network's input (high, wide) for a picture of (high, wide) pixels."""
        if self.resize is not None:
            return self.size, self.size
        high, wide = picture_hw
        ideal = (self.size * (high / wide) ** 0.5, self.size * (wide / high) ** 0.5)
        return (_to_multiple(ideal[0]), _to_multiple(ideal[1]))

    def seen_xyxy(self, picture_hw: tuple[int, int]) -> Box:
        """The part of the picture that the network sees, in the picture's pixels."""
        high, wide = picture_hw
        if self.resize is None:
            return 0, 0, wide, high
        side = self.size * min(high, wide) / self.resize
        x0, y0 = round((wide - side) / 2), round((high - side) / 2)
        return x0, y0, x0 + round(side), y0 + round(side)

    def apply(self, image: Pixels) -> Float:
        """The network's input, float32 [3,h,w], of uint8 [H,W,3]."""
        from PIL import Image

        high, wide = self.input_hw(image.shape[:2])
        # The crop is cut out by the resize itself: fractional corners, and no pixel is computed that is thrown away.
        side = None if self.resize is None else self.size * min(image.shape[:2]) / self.resize
        box = None if side is None else _centred(image.shape[:2], side)
        resized = Image.fromarray(image).resize((wide, high), Image.Resampling[self.filter.upper()], box)
        pixels: Float = np.asarray(resized, np.float32)
        pixels -= np.array(self.mean, np.float32)
        pixels /= np.array(self.std, np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def restore(self, heat: Float, picture_hw: tuple[int, int]) -> Float:
        """A map [h,w] of the network's input at the picture's own pixels, float32 [H,W]; NaN where nobody looked."""
        from PIL import Image

        x0, y0, x1, y1 = self.seen_xyxy(picture_hw)
        seen = np.asarray(Image.fromarray(heat).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR), np.float32)
        if self.resize is None:
            return seen
        whole = np.full(picture_hw, np.nan, np.float32)
        whole[y0:y1, x0:x1] = seen
        return whole

    def box_xyxy(self, shares: Float, picture_hw: tuple[int, int]) -> Box:
        """The picture's pixels under a box given as top, left, bottom, right, each a share of the input's side: float32 [4]."""
        x0, y0, x1, y1 = self.seen_xyxy(picture_hw)
        top, left, bottom, right = (float(share) for share in shares)
        high, wide = y1 - y0, x1 - x0
        return round(x0 + left * wide), round(y0 + top * high), round(x0 + right * wide), round(y0 + bottom * high)


def _to_multiple(side: float) -> int:
    return max(MIN_SIDE, MULTIPLE * round(side / MULTIPLE))


def _centred(picture_hw: tuple[int, int], side: float) -> tuple[float, float, float, float]:
    high, wide = picture_hw
    return (wide - side) / 2, (high - side) / 2, (wide + side) / 2, (high + side) / 2
