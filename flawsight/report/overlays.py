"""A prediction drawn: what Prediction.overlay gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flawsight import loader
from flawsight.errors import PictureError, UsageError
from flawsight.prediction import Prediction
from flawsight.report import marks, pictures

if TYPE_CHECKING:
    from PIL import Image


def overlay_of(prediction: Prediction, picture: Any = None) -> Image.Image:
    """See Prediction.overlay."""
    from PIL import Image

    source = prediction.path if picture is None else picture
    if prediction.input_map is None or prediction.map is None:
        raise UsageError(f"{prediction.name}: the method gives no map to draw. Choose one that does; `flawsight list methods`.")
    if source is None:
        raise UsageError(f"{prediction.name}: it did not come from a file, so the picture is needed: prediction.overlay(picture).")
    pixels = loader.read(source, 0, prediction.bits)
    if pixels.shape[:2] != prediction.size_hw:
        high, wide = prediction.size_hw
        raise PictureError(
            prediction.name, f"was {wide}×{high} when judged; got {pixels.shape[1]}×{pixels.shape[0]}. Give the same."
        )
    scale = pictures.Scale(prediction.typical_good, prediction.threshold)
    drawn = pictures.overlay(pixels, prediction.map, scale)
    return Image.fromarray(marks.marked(drawn, prediction, prediction.map) if prediction.is_defective else drawn)
