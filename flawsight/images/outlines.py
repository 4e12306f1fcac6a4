"""Defects drawn as polygons, as masks."""

from __future__ import annotations

import numpy as np

from flawsight.types import Mask, Outlines


def draw(outlines: Outlines) -> Mask:
    """Bool [H,W], True on and within each shape, as Labelme's own conversion to masks does it."""
    from PIL import Image, ImageDraw

    height, width = outlines.size_hw
    canvas = Image.new("1", (width, height))
    pen = ImageDraw.Draw(canvas)
    for kind, points in outlines.shapes:
        if kind == "polygon":
            pen.polygon(points, fill=1, outline=1)
        elif kind == "rectangle":
            (x1, y1), (x2, y2) = points
            pen.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), fill=1, outline=1)
        elif kind == "circle":
            (x, y), rim = points
            radius = float(np.hypot(rim[0] - x, rim[1] - y))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
        else:
            pen.line(points, fill=1, width=LINE_WIDTH)
    return np.array(canvas, np.bool_)


LINE_WIDTH = 10  # in pixels, as Labelme draws a line or a line strip
