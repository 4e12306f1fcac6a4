"""A judged picture in the page: the picture itself, and layers over it that the reader can switch on and off.

Also what of a long picture is shown first, and how a thumbnail is written.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Literal

from flawsight.images import image
from flawsight.report import marks, pictures
from flawsight.report.pictures import Scale
from flawsight.types import Mask, Pixels, Row

SIDES = {True: 960, False: 480}  # longest side in pixels, of a rejected picture and of a passed one
LONG = 2.5  # pictures more than so many times as long as wide are shown close to their worst place first
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Thumbnail:
    """A picture in the page. uri: the picture itself. alt: for those who do not see it. wide, high: its pixels."""

    uri: str
    alt: str
    wide: int
    high: int


@dataclass(frozen=True)
class View:
    """A picture, or a part of one, and its layers, all of the same shape: the heat map, outlines of what was found and of the true
    defect. None where there is nothing to show.
    """

    picture: Thumbnail
    heat: Thumbnail | None = None
    found: Thumbnail | None = None
    truth: Thumbnail | None = None


def view(row: Row, pixels: Pixels, scale: Scale, truth: Mask | None, alt: str) -> View:
    """The whole picture [H,W,3] of a row. truth: bool [H,W] of the true defect, if known."""
    small = pictures.fit(pixels, SIDES[bool(row.is_defective)])
    size_hw = (small.shape[0], small.shape[1])
    marked = marks.marked(small, row, row.heat) if row.is_defective else small
    true = None if truth is None else pictures.outline(small, pictures.fit_mask(truth, size_hw))
    return View(
        picture=encoded(small, alt),
        heat=None if row.heat is None else encoded(pictures.heat_layer(row.heat, scale, _half(size_hw)), ""),
        found=_layer(marked, small),
        truth=None if true is None else _layer(true, small),
    )


def close_up(row: Row, pixels: Pixels, scale: Scale, truth: Mask | None, alt: str) -> View | None:
    """The surroundings of the most anomalous place of a long picture; None of others, which show it well enough as they are."""
    high, wide = row.size_hw
    if max(high, wide) < LONG * min(high, wide):
        return None
    window = _window(row)
    return view(_part(row, window), pixels[window], scale, None if truth is None else truth[window], alt)


def encoded(pixels: Pixels, alt: str, format: Literal["webp", "png"] = "webp") -> Thumbnail:  # noqa: A002
    """uint8 [H,W,3], or [H,W,4] with opacity, as a thumbnail; PNG keeps thin lines as they are."""
    data = base64.b64encode(image.encode(pixels, format, quality=80)).decode("ascii")
    return Thumbnail(f"data:image/{format};base64,{data}", alt, pixels.shape[1], pixels.shape[0])


def _layer(drawn: Pixels, plain: Pixels) -> Thumbnail | None:
    """What was drawn over the plain picture; None where nothing was."""
    return encoded(pictures.line_layer(drawn, plain), "", "png") if (drawn != plain).any() else None


def _half(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Enough for a heat map, which is blurred."""
    return max(1, size_hw[0] // 2), max(1, size_hw[1] // 2)


def _window(row: Row) -> Window:
    """As high and wide as the picture is narrow, around its most anomalous place, or in its middle; in whole pixels of the map."""
    side = min(row.size_hw)
    x0, y0, x1, y1 = marks.worst_box(row, row.size_hw) or (0, 0, row.size_hw[1], row.size_hw[0])
    starts = []
    for middle, length, n in zip(((y0 + y1) // 2, (x0 + x1) // 2), row.size_hw, _cells(row), strict=True):
        start = min(max(middle - side // 2, 0), length - side)
        starts.append(round(start * n / length) * length // n)
    down, across = starts
    return slice(down, down + side), slice(across, across + side)


def _part(row: Row, window: Window) -> Row:
    """The row as if its picture were only that part of it."""
    top, left = window[0].start, window[1].start
    evidence, regions = row.evidence, row.regions
    if evidence is not None:
        x0, y0, x1, y1 = evidence.box_xyxy
        evidence = replace(evidence, box_xyxy=(x0 - left, y0 - top, x1 - left, y1 - top))
    if regions:  # of which only the highest place is marked
        x, y = regions[0].peak_xy
        regions = (replace(regions[0], peak_xy=(x - left, y - top)),)
    heat = None if row.heat is None else row.heat[_of_heat(window, row)]
    size_hw = window[0].stop - top, window[1].stop - left
    return replace(row, size_hw=size_hw, heat=heat, evidence=evidence, regions=regions)


def _of_heat(window: Window, row: Row) -> Window:
    """The same part of the row's heat."""
    down, across = (
        slice(round(part.start * n / length), max(round(part.start * n / length) + 1, round(part.stop * n / length)))
        for part, n, length in zip(window, _cells(row), row.size_hw, strict=True)
    )
    return down, across


def _cells(row: Row) -> tuple[int, int]:
    return row.size_hw if row.heat is None else (row.heat.shape[0], row.heat.shape[1])
