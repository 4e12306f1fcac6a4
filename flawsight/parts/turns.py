"""Pictures turned about their centre."""

from __future__ import annotations

import numpy as np

from flawsight.types import Float


def turned(image: Float, degrees: float, beyond: float) -> Float:
    """The picture [C,h,w] turned counterclockwise, of the same size: float32 [C,h,w]. beyond: the value of what was outside it."""
    from PIL import Image

    return np.stack(
        [
            np.asarray(Image.fromarray(channel).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=beyond), np.float32)
            for channel in np.asarray(image, np.float32)
        ]
    )


def evenly(n: int, angle: float) -> list[float]:
    """n angles, evenly spaced over −angle to angle, in degrees: the middles of n equal parts. Of 180 it is the whole circle."""
    return [angle * ((2 * number + 1) / n - 1) for number in range(n)]
