"""From a picture to what the network sees, and from the network's map back to the picture.

Two ways, chosen once at fit and kept in the model file:
  whole: the whole picture, its aspect ratio kept to within rounding; about `size`² pixels, each side a multiple of `multiple`. Of
         strips so long that a side would fall below MIN_SIDE the ratio is given up, and the pixels stay below twice `size`².
  crop:  the paper's way: the shorter side to `resize`, then the central `size` × `size`. What lies outside nobody looks at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flawsight.errors import UsageError
from flawsight.images.image import is_grey
from flawsight.types import Float, Pixels

MULTIPLE = 16  # of the input's sides, of networks that need no larger one
CROP_MULTIPLE = 8  # of a crop's, as the paper has one of 280: cells of stride 16 may then reach over its rim by half
MIN_SIDE = 4 * MULTIPLE  # a side of fewer patches says little
SMALLEST_MARGIN = 8  # pixels of a picture around a patch that is shown
MAX_SIZE = 4096  # one picture's feature maps then take gigabytes: more is a slip of the finger
FILTERS = ("bilinear", "bicubic", "lanczos", "box", "hamming")  # Pillow's, all with antialiasing

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Preprocess:
    """size, resize, multiple: pixels, see the module. mean, std: per channel, on the 0–255 scale; the network sees
    (x − mean) / std.
    """

    size: int = 320
    resize: int | None = None
    filter: str = "bilinear"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    multiple: int = MULTIPLE

    def __post_init__(self) -> None:
        for name in ("size", "resize", "multiple"):
            value = getattr(self, name)
            if not isinstance(value, int) and not (name == "resize" and value is None):
                raise UsageError(f"preprocess: {name} must be a whole number of pixels; got {value!r}.")
        if not MIN_SIDE <= self.size <= MAX_SIZE:
            raise UsageError(f"preprocess: size must be {MIN_SIDE} to {MAX_SIZE} pixels; got {self.size}.")
        if self.filter not in FILTERS:
            raise UsageError(f"preprocess: filter must be one of {', '.join(FILTERS)}; got '{self.filter}'.")
        if self.resize is not None and (self.resize < self.size or self.size % CROP_MULTIPLE):
            needed = f"a multiple of {CROP_MULTIPLE} and at most resize"
            raise UsageError(f"preprocess: to crop, size must be {needed}; got {self.size} and {self.resize}.")
        if self.multiple < 1 or MIN_SIDE % self.multiple:
            raise UsageError(f"preprocess: multiple must divide {MIN_SIDE}; got {self.multiple}.")
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not np.isfinite(values).all() or (name == "std" and min(values) <= 0):
                kind = "positive" if name == "std" else "finite"
                raise UsageError(f"preprocess: {name} must be three {kind} numbers; got {values}.")

    def input_hw(self, picture_hw: tuple[int, int]) -> tuple[int, int]:
        """The network's input (high, wide) for a picture of (high, wide) pixels."""
        if self.resize is not None:
            return self.size, self.size
        high, wide = picture_hw
        ideal = (self.size * (high / wide) ** 0.5, self.size * (wide / high) ** 0.5)
        longest = 2 * self.size**2 / MIN_SIDE
        return self._side(min(ideal[0], longest)), self._side(min(ideal[1], longest))

    def _side(self, ideal: float) -> int:
        return max(MIN_SIDE, self.multiple * round(ideal / self.multiple))

    def seen_xyxy(self, picture_hw: tuple[int, int]) -> Box:
        """The part of the picture that the network sees, in the picture's pixels."""
        high, wide = picture_hw
        if self.resize is None:
            return 0, 0, wide, high
        side = self.size * min(high, wide) / self.resize
        x0, y0 = round((wide - side) / 2), round((high - side) / 2)
        side_px = max(1, round(side))
        return x0, y0, x0 + side_px, y0 + side_px

    def apply(self, image: Pixels) -> Float:
        """The network's input, float32 [3,h,w], of uint8 [H,W,3]."""
        return self.normalise(self.reduce(image))

    def reduce(self, image: Pixels) -> Pixels:
        """What the network sees of uint8 [H,W,3], still as uint8: [h,w,3], or [h,w,1] of a picture known to be grey."""
        from PIL import Image

        high, wide = self.input_hw(image.shape[:2])
        # The crop is cut out by the resize itself: fractional corners, and no pixel is computed that is thrown away.
        side = None if self.resize is None else self.size * min(image.shape[:2]) / self.resize
        box = None if side is None else _centred(image.shape[:2], side)
        source = Image.fromarray(image[:, :, 0] if is_grey(image) else image)
        return np.atleast_3d(np.asarray(source.resize((wide, high), Image.Resampling[self.filter.upper()], box)))

    def normalise(self, resized: Pixels) -> Float:
        """The network's input, float32 [3,h,w], of what `reduce` gave."""
        pixels: Float = np.empty((3, *resized.shape[:2]), np.float32)
        np.subtract(resized.transpose(2, 0, 1), np.array(self.mean, np.float32)[:, None, None], out=pixels)
        pixels /= np.array(self.std, np.float32)[:, None, None]
        return pixels

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
        x_from, x_to = _span(x0, x1, left, right)
        y_from, y_to = _span(y0, y1, top, bottom)
        return x_from, y_from, x_to, y_to


def window(box_xyxy: Box, bounds_xyxy: Box) -> Box:
    """A patch with its own width around it on every side: enough to know the place again on the part.

    It is moved to lie within the bounds, and is a square unless these are narrower.
    """
    x0, y0, x1, y1 = box_xyxy
    left, top, right, bottom = bounds_xyxy
    longest = max(x1 - x0, y1 - y0)
    side = longest + 2 * max(longest, SMALLEST_MARGIN)
    across, down = min(side, right - left), min(side, bottom - top)
    x = min(max((x0 + x1 - across) // 2, left), right - across)
    y = min(max((y0 + y1 - down) // 2, top), bottom - down)
    return x, y, x + across, y + down


def _span(start: int, end: int, first: float, last: float) -> tuple[int, int]:
    """A stretch of [start, end), given by shares of it; of at least one pixel, however small the picture."""
    low = min(round(start + first * (end - start)), end - 1)
    return low, max(low + 1, round(start + last * (end - start)))


def _centred(picture_hw: tuple[int, int], side: float) -> tuple[float, float, float, float]:
    high, wide = picture_hw
    return (wide - side) / 2, (high - side) / 2, (wide + side) / 2, (high + side) / 2
