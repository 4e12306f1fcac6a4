"""What is drawn of one judged picture into a file: heat map, regions, the most anomalous place, and under it score and scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import PictureError
from flawsight.images import image
from flawsight.prediction import Prediction
from flawsight.report import pictures
from flawsight.report.pictures import Scale
from flawsight.types import Pixels, Row

LONGEST_SIDE = 65_000  # pixels: a JPEG takes 65,500, and the caption some of them
LEAST_WIDTH = 400  # of the caption, in pixels
_GROUND, _BAR_GROUND, _TEXT = (24, 24, 24), (212, 216, 220), (240, 240, 240)


def jpeg(row: Row, scale: Scale) -> bytes:
    """The bytes of the overlay: the picture's own pixels, from the top left corner, over a caption. Raises PictureError."""
    pixels = image.read(row.sample.path, row.sample.name, row.bits)
    if max(pixels.shape[:2]) > LONGEST_SIDE:
        high, wide = pixels.shape[:2]
        raise PictureError(row.sample.name, f"{wide}×{high} pixels are more than the {LONGEST_SIDE} a side that fit into a JPEG.")
    drawn = pixels if row.heat is None else pictures.overlay(pixels, row.heat, scale)
    if row.is_defective:
        drawn = marked(drawn, row, row.heat)
    verdict = "rejected" if row.is_defective else "passed"
    return image.encode(captioned(drawn, f"{verdict}: score {scale.text(row.score)}", scale), "jpeg")


def marked(drawn: Pixels, judged: Row | Prediction, heat: NDArray[np.floating] | None) -> Pixels:
    """The picture [H,W,3], at any size, with its regions outlined and its most anomalous place framed. heat: [h,w], its map."""
    size_hw = (drawn.shape[0], drawn.shape[1])
    if heat is not None:
        drawn = pictures.outline(drawn, pictures.above(heat, judged.pixel_threshold, size_hw), pictures.REGION)
    box = worst_box(judged, size_hw)
    return drawn if box is None else pictures.framed(drawn, box)


def worst_box(judged: Row | Prediction, size_hw: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The most anomalous place of a picture in its pixels at that size; None where the method does not say where."""
    if judged.evidence is not None:
        box = judged.evidence.box_xyxy
    elif judged.regions:
        x, y = judged.regions[0].peak_xy
        box = (x, y, x + 1, y + 1)
    else:
        return None
    down, across = size_hw[0] / judged.size_hw[0], size_hw[1] / judged.size_hw[1]
    x0, y0, x1, y1 = box
    return round(x0 * across), round(y0 * down), round(x1 * across), round(y1 * down)


def captioned(drawn: Pixels, text: str, scale: Scale) -> Pixels:
    """The picture [H,W,3] over a strip with the text and the colour scale; as wide as the strip needs."""
    from PIL import Image, ImageDraw, ImageFont

    high, wide = drawn.shape[:2]
    across = max(wide, LEAST_WIDTH)
    em = int(np.clip(across // 45, 13, 64))
    strip = Image.new("RGB", (across, 5 * em), _GROUND)
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(em)
    pen.text((em, em // 2), text, _TEXT, font)
    left, right, top = em, min(across - em, 30 * em), 2 * em
    strip.paste(Image.fromarray(pictures.colour_ramp(right - left, em, _BAR_GROUND)), (left, top))
    for share, anchor, label in (
        (0.0, "lt", f"typical good {scale.text(scale.cold)}"),
        (0.5, "mt", f"threshold {scale.text(scale.middle)}"),
        (1.0, "rt", "far above"),
    ):
        pen.text((left + share * (right - left), top + em + em // 3), label, _TEXT, font, anchor)
    sheet = np.empty((high + 5 * em, across, 3), np.uint8)
    sheet[:] = _GROUND
    sheet[:high, :wide] = drawn
    sheet[high:] = np.asarray(strip)
    return sheet
