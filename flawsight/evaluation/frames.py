"""Where maps and masks are compared: at the picture's own pixels, at the network's input, or on the whole picture at 256 × 256.

Published figures are of the latter two kinds: of what the network sees ("crop": 224 × 224 of a picture reduced to 256, so that the
rim counts for nothing), or of the whole picture reduced ("full256"). A mask that is reduced gets grey levels, and a rule makes
them true or false again: "half" calls defective what is above half of full scale, "trunc" only what is still at full scale, as code
does that turns the levels into whole numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flawsight.prediction import Prediction
from flawsight.preprocess import Preprocess
from flawsight.types import Float, Mask, Pixels

PIXELS_AT = {
    "native": "each picture's own pixels",
    "crop": "the network's input",
    "full256": "the whole picture at 256 × 256",
}
MASK_RULES = {"half": "above half of full scale; where none is, not 0", "trunc": "at full scale"}
FULL = 256
WHITE = 255


def map_at(pixels_at: str, prediction: Prediction) -> Float | None:
    """The prediction's map float32 [h,w] in that frame, NaN where nobody looked; None of a method that gives no map."""
    if pixels_at == "native" or prediction.input_map is None:
        return prediction.map
    if pixels_at == "crop":
        return prediction.input_map
    from PIL import Image

    high, wide = prediction.size_hw
    x0, y0, x1, y1 = (round(at * FULL / side) for at, side in zip(prediction.seen_xyxy, (wide, high, wide, high), strict=True))
    seen = Image.fromarray(prediction.input_map).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
    whole = np.full((FULL, FULL), np.nan, np.float32)
    whole[y0:y1, x0:x1] = np.asarray(seen, np.float32)
    return whole


def mask_at(pixels_at: str, mask: Mask, preprocess: Preprocess, rule: str = "half") -> Mask:
    """The mask bool [H,W] of a picture in that frame, reduced bilinearly as the picture itself is; of several [n,H,W], each."""
    if pixels_at == "native":
        return mask
    if mask.ndim == 3:
        return np.stack([mask_at(pixels_at, one, preprocess, rule) for one in mask])
    levels: Pixels = mask.astype(np.uint8)[:, :, None] * np.uint8(WHITE)
    if pixels_at == "crop":
        small = replace(preprocess, filter="bilinear").reduce(np.broadcast_to(levels, (*mask.shape, 3)))
    else:
        from PIL import Image

        small = np.asarray(Image.fromarray(levels[:, :, 0]).resize((FULL, FULL), Image.Resampling.BILINEAR))[:, :, None]
    found: Mask = small[:, :, 0] >= (WHITE if rule == "trunc" else WHITE // 2 + 1)
    return found
