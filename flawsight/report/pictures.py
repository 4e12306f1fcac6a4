"""Pictures for people: heat over a part, the outline of the true defect, a patch in its surroundings; the one colour scale.

Pixels in, pixels out: files are read and written by `flawsight.images` alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsight.errors import UsageError
from flawsight.preprocess import Box, window
from flawsight.types import Float, Mask, Pixels

# Place on the scale, red, green, blue, opacity. Told apart by eyes of every kind: it runs from clear over light to dark, and
# the hues are blue, yellow and magenta. Below "typical good" nothing is drawn, so that a good part looks like itself.
COLOURS = (
    (0.00, 38, 70, 150, 0.00),
    (0.25, 70, 120, 180, 0.18),
    (0.40, 190, 190, 120, 0.30),
    (0.50, 252, 208, 50, 0.50),
    (0.65, 240, 130, 40, 0.55),
    (0.82, 200, 30, 70, 0.58),
    (1.00, 110, 0, 90, 0.62),
)
HOT = 4.0  # the hot end lies this many times as far above the threshold as typical good lies below: defects are worse than slight
_STEPS = np.linspace(0, 1, 256)
_PALETTE = np.stack([np.interp(_STEPS, *np.array(COLOURS, np.float32)[:, [0, i]].T) for i in range(1, 5)], 1).astype(np.float32)
_DARK = (24, 24, 24)
_UNSEEN, _UNSEEN_LINE = (200, 200, 200, 0.7), (120, 120, 120, 1.0)
_STRIP = 512  # rows
TRUTH, REGION = (0, 225, 255), (255, 214, 40)  # of the outlines of true defects and of what was found
LEAST_FRAME = 16  # a frame is at least this share of a picture's longer side


@dataclass(frozen=True)
class Scale:
    """The one colour scale of a report. cold: typical good score, at 0. middle: the threshold, at 0.5; both as raw scores.

    Fixed for all pictures: stretched to each picture's own range, a good part would glow as brightly as a broken one.
    """

    cold: float
    middle: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cold) and math.isfinite(self.middle)):
            raise UsageError(
                f"report: the colour scale needs two numbers, typical good and threshold; got {self.cold} and {self.middle}. "
                "Fit with held-out good pictures or set a threshold."
            )

    @property
    def gap(self) -> float:
        """From typical good to the threshold; where the threshold lies no higher, so little that the scale is a step there."""
        return max(self.middle - self.cold, 1e-6 * max(abs(self.middle), 1e-6))

    def position(self, values: ArrayLike) -> Float:
        """float32 in [0,1], same shape: typical good 0, threshold 0.5, HOT times as far above it or farther 1. NaN stays NaN."""
        distance = np.asarray(values, np.float64) - self.middle
        step = np.where(distance > 0, HOT * self.gap, self.gap)
        return np.clip(0.5 + 0.5 * distance / step, 0, 1).astype(np.float32)

    def text(self, value: float) -> str:
        """A score with the decimals it takes to tell it from the threshold: the same number of them for a whole report."""
        return f"{value:.{min(max(2 - math.floor(math.log10(self.gap)), 0), 8)}f}"


def overlay(image: Pixels, heat: NDArray[np.floating], scale: Scale) -> Pixels:
    """uint8 [H,W,3]: the picture with heat [h,w] laid over it, hatched where the heat is NaN: nobody looked there."""
    drawn = image.copy()
    values = _resized(heat, image.shape[:2])
    for first in range(0, len(image), _STRIP):  # so that a large picture does not take many times its memory
        rows = slice(first, first + _STRIP)
        paint = _paint(values[rows], scale, first)
        drawn[rows] = np.rint(image[rows] + paint[..., 3:] * (paint[..., :3] - image[rows]))
    return drawn


def heat_layer(heat: NDArray[np.floating], scale: Scale, size_hw: tuple[int, int]) -> Pixels:
    """What `overlay` lays over a picture of that size, by itself: uint8 [H,W,4], with opacity."""
    return _with_opacity(_paint(_resized(heat, size_hw), scale))


def line_layer(drawn: Pixels, plain: Pixels) -> Pixels:
    """What was drawn over a picture, by itself: uint8 [H,W,4], clear where both [H,W,3] are the same."""
    changed = (drawn != plain).any(2)
    return np.dstack([np.where(changed[..., None], drawn, 0), changed.astype(np.uint8) * 255]).astype(np.uint8)


def above(heat: NDArray[np.floating], value: float, size_hw: tuple[int, int]) -> Mask:
    """Bool of that size, True where the heat [h,w] exceeds the value."""
    found: Mask = _resized(heat, size_hw) > value
    return found


def outline(image: Pixels, mask: Mask, colour: tuple[int, int, int] = TRUTH) -> Pixels:
    """A copy of image [H,W,3] with the contour of mask bool [H,W]: a line of colour, dark on its outer side.

    Up to 600 pixels the line is two wide; in larger pictures wider, so that it is seen when the whole picture is.
    """
    drawn = image.copy()
    if not mask.any():
        return drawn
    reach = _thickness(image)
    grown, wider, inside = _grown(mask, reach), _grown(mask, 2 * reach), ~_grown(~mask, reach)
    drawn[wider & ~grown] = _DARK
    drawn[grown & ~inside] = colour
    return drawn


def framed(image: Pixels, box_xyxy: tuple[int, int, int, int]) -> Pixels:
    """A copy of image [H,W,3] with a white frame, between dark lines, around a box, wide enough to be found at a glance."""
    from PIL import Image, ImageDraw

    line = _thickness(image)
    x0, y0, x1, y1 = box_xyxy
    away = max(4 * line, (max(image.shape[:2]) // LEAST_FRAME - max(x1 - x0, y1 - y0)) // 2)
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for inset, colour, wide in ((0, _DARK, 4 * line), (line, (255, 255, 255), 2 * line)):
        corners = (x0 - away + inset, y0 - away + inset, x1 - 1 + away - inset, y1 - 1 + away - inset)
        pen.rectangle(corners, outline=colour, width=wide)
    return np.array(drawn)


def colour_ramp(wide: int, high: int, ground: tuple[int, int, int]) -> Pixels:
    """uint8 [high,wide,3]: the colours of the scale over a ground."""
    paint = _PALETTE[np.linspace(0, 255, wide).astype(np.uint8)]
    line = np.rint(paint[:, :3] * paint[:, 3:] + np.array(ground) * (1 - paint[:, 3:])).astype(np.uint8)
    return np.broadcast_to(line, (high, wide, 3))


def crop_square(image: Pixels, box_xyxy: Box, side: int = 144) -> Pixels:
    """uint8 [side,side,3]: the box and its surroundings, see preprocess.window, the box drawn white on black.

    Only a picture narrower than the window stretches.
    """
    left, top, right, bottom = window(box_xyxy, (0, 0, image.shape[1], image.shape[0]))
    wide, high = right - left, bottom - top
    shares = (np.array(box_xyxy) - [left, top, left, top]) / [wide, high, wide, high]
    return boxed(image[top:bottom, left:right], shares, side)


def boxed(image: Pixels, shares: ArrayLike, side: int) -> Pixels:
    """uint8 [side,side,3]: the picture stretched to that, with a box, given in shares of its sides, drawn white on black."""
    from PIL import Image

    drawn = np.array(Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BICUBIC))
    corners = np.rint(np.asarray(shares) * side).astype(int)
    inward = np.array([1, 1, -1, -1])
    for inset, colour in ((-2, _DARK), (-1, (255, 255, 255)), (0, (255, 255, 255)), (1, _DARK)):
        _frame(drawn, corners + inset * inward, colour)
    return drawn


def fit(image: Pixels, side: int = 320) -> Pixels:
    """The picture [H,W,3] reduced until its long side is at most `side` pixels; never enlarged."""
    from PIL import Image

    size = _fitted(image.shape[:2], side)
    if size == image.shape[:2]:
        return image
    reduced = Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(reduced)


def fit_mask(mask: Mask, size_hw: tuple[int, int]) -> Mask:
    """Bool [H,W] at another size, True where any of what a pixel covers is: a hair-thin defect must not vanish."""
    from PIL import Image

    if mask.shape == size_hw:
        return mask
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size_hw[::-1], Image.Resampling.BOX)) > 0


def colour_bar(scale: Scale) -> str:
    """Inline SVG of the colours over grey, as they look over a picture, with the two fixed points named."""
    stops = "".join(
        f'<stop offset="{at:.0%}" stop-color="rgb({red},{green},{blue})" stop-opacity="{opacity}"/>'
        for at, red, green, blue, opacity in COLOURS
    )
    marks = "".join(
        f'<path class="axis" d="M{x} 20v6"/><text class="tick" x="{x}" y="39" text-anchor="{anchor}">{text}</text>'
        for x, anchor, text in (
            (2, "start", f"typical good {scale.text(scale.cold)}"),
            (190, "middle", f"threshold {scale.text(scale.middle)}"),
            (378, "end", "far above"),
        )
    )
    return (
        '<svg class="colour-bar" viewBox="0 0 380 44" role="img" aria-label="Colour scale: clear at the score of a typical '
        'good picture, yellow at the threshold, dark magenta far above it.">'
        f'<defs><linearGradient id="heat">{stops}</linearGradient></defs>'
        '<rect class="bar-ground" x="2" y="2" width="376" height="18"/>'
        f'<rect x="2" y="2" width="376" height="18" fill="url(#heat)"/>{marks}</svg>'
    )


def css_stops() -> str:
    """The scale as the stops of a CSS gradient."""
    return ", ".join(f"rgb({red} {green} {blue} / {opacity}) {at:.0%}" for at, red, green, blue, opacity in COLOURS)


def _fitted(size_hw: tuple[int, int], side: int) -> tuple[int, int]:
    share = min(1.0, side / max(size_hw))
    return max(1, round(size_hw[0] * share)), max(1, round(size_hw[1] * share))


def _resized(heat: NDArray[np.floating], size_hw: tuple[int, int]) -> Float:
    """float32 [H,W], bilinear. Unseen places take no part in the mean of their neighbours, and stay NaN."""
    values = np.asarray(heat, np.float32)
    if values.shape == size_hw:
        return values
    seen = (~np.isnan(values)).astype(np.float32)
    weight = _bilinear(seen, size_hw)
    total = _bilinear(np.nan_to_num(values, nan=0.0, posinf=1e30, neginf=-1e30), size_hw)
    return np.where(weight >= 0.5, total / np.maximum(weight, 0.5), np.nan).astype(np.float32)


def _bilinear(values: Float, size_hw: tuple[int, int]) -> Float:
    from PIL import Image

    return np.asarray(Image.fromarray(values).resize(size_hw[::-1], Image.Resampling.BILINEAR))


def _paint(values: Float, scale: Scale, first_row: int = 0) -> Float:
    """float32 [H,W,4], colour and an opacity of 0 to 1, of map values [H,W]; of NaN pale grey under diagonal lines.

    first_row: of these values in the whole picture, so that the lines go on.
    """
    place = scale.position(values)
    unseen = np.isnan(place)
    paint: Float = _PALETTE[(np.where(unseen, 0, place) * 255).astype(np.uint8)]
    if unseen.any():
        rows, columns = np.ogrid[: place.shape[0], : place.shape[1]]
        paint[unseen] = _UNSEEN
        paint[unseen & ((rows + first_row + columns) % 8 < 2)] = _UNSEEN_LINE
    return paint


def _with_opacity(paint: Float) -> Pixels:
    return np.rint(paint * [1, 1, 1, 255]).astype(np.uint8)


def _thickness(image: Pixels) -> int:
    longest = int(max(image.shape[:2]))
    return max(1, round(longest / 600))


def _grown(mask: Mask, reach: int) -> Mask:
    """The mask with so many pixels more on every side and corner."""
    from scipy import ndimage

    grown: Mask = ndimage.maximum_filter(mask, 2 * reach + 1, mode="constant")
    return grown


def _frame(image: Pixels, box_xyxy: NDArray[np.int_], colour: tuple[int, int, int]) -> None:
    """Draws, in place, the one-pixel rim of a box (x1, y1 just outside it), as far as it lies in the picture."""
    high, wide = image.shape[:2]
    x0, y0, x1, y1 = (int(v) for v in box_xyxy)
    across, down = slice(max(x0, 0), max(x1, 0)), slice(max(y0, 0), max(y1, 0))
    for y in (y0, y1 - 1):
        if 0 <= y < high:
            image[y, across] = colour
    for x in (x0, x1 - 1):
        if 0 <= x < wide:
            image[down, x] = colour
