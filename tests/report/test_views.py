"""Views: the picture and its layers, and what of a long picture is shown first."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flawsight.images import image
from flawsight.report import cards, views
from flawsight.report.pictures import TRUTH, Scale
from flawsight.report.views import Thumbnail
from flawsight.types import Evidence, Report, Row

SCALE = Scale(0.4, 1.0)


def pixels_of(thumbnail: Thumbnail | None) -> NDArray[np.uint8]:
    assert thumbnail is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2]))).convert("RGBA"))


def test_layers_of_a_rejected_picture(make_row: Callable[..., Row]) -> None:
    row = make_row("a.png", 1, 2.5, "dent")
    truth = np.zeros((48, 64), bool)
    truth[30:40, 30:40] = True
    made = views.view(row, image.read(row.sample.path), SCALE, truth, "message")
    assert (made.picture.alt, made.picture.wide, made.picture.high) == ("message", 64, 48)
    found, heat, true = (pixels_of(layer) for layer in (made.found, made.heat, made.truth))
    assert found.shape == true.shape == (48, 64, 4)
    assert found[10:30, 10:32, 3].any()
    assert not found[32:, 40:, 3].any()
    peak = np.unravel_index(heat[..., 3].argmax(), heat.shape[:2])
    assert abs(peak[0] - 9) <= 2  # of 24 rows; heat [4, 5] of [12, 16]
    assert abs(peak[1] - 11) <= 2
    assert np.abs(true[29, 33, :3].astype(int) - TRUTH).max() == 0
    assert true[35, 35, 3] == 0


def test_layers_of_a_passed_picture(make_row: Callable[..., Row]) -> None:
    row = make_row("a.png", 0, 0.5, "good")
    made = views.view(row, image.read(row.sample.path), SCALE, None, "message")
    assert made.heat is not None
    assert made.found is None
    assert made.truth is None


@pytest.mark.parametrize(("high", "wide"), [(400, 100), (100, 400), (251, 100)])
def test_a_long_picture_is_shown_close_to_its_worst_place_first(make_row: Callable[..., Row], high: int, wide: int) -> None:
    pixels = np.full((high, wide, 3), 40, np.uint8)
    y, x = (high * 9 // 10, wide // 2) if high > wide else (high // 2, wide * 9 // 10)
    pixels[y : y + 4, x : x + 4] = 250
    heat = np.zeros((-(-high // 4), -(-wide // 4)), np.float16)
    heat[y // 4, x // 4] = 3.0
    evidence = Evidence((x, y, x + 4, y + 4), "good.png", (0, 0, 4, 4))
    row = replace(make_row("a.png", None, 2.0), size_hw=(high, wide), heat=heat, evidence=evidence)
    close = views.close_up(row, pixels, SCALE, None, "close")
    assert close is not None
    shown = pixels_of(close.picture)
    assert shown.shape[:2] == (100, 100), "the narrow side, in full"
    assert shown[..., 0].max() > 200, "with the worst place"
    bright = np.unravel_index(shown[..., 0].argmax(), (100, 100))
    warm = np.unravel_index(pixels_of(close.heat)[..., 3].argmax(), (50, 50))
    assert max(abs(2 * hot - lit) for hot, lit in zip(warm, bright, strict=True)) <= 8, "heat lies where the defect is"
    assert pixels_of(close.found)[..., 3].any()


def test_other_pictures_need_no_close_up(make_row: Callable[..., Row]) -> None:
    row = make_row("a.png", None, 2.0)
    assert views.close_up(row, image.read(row.sample.path), SCALE, None, "close") is None


def test_a_long_picture_without_a_worst_place(make_row: Callable[..., Row]) -> None:
    row = make_row("a.png", None, 0.5, heat=None, evidence=None, size_hw=(10, 100))
    close = views.close_up(row, np.zeros((10, 100, 3), np.uint8), SCALE, None, "close")
    assert close is not None
    assert (close.picture.wide, close.heat, close.found) == (10, None, None)


def test_the_card_of_a_long_picture_has_both(make_report: Callable[..., Report], make_row: Callable[..., Row]) -> None:
    row = make_row("a.png", None, 2.0, size_hw=(300, 40), heat=np.zeros((75, 10), np.float16))
    image.write(row.sample.path, np.zeros((300, 40, 3), np.uint8))
    card = cards.make([row], make_report(rows=[row]), 1.0, None)[0]
    assert card.close_up is not None
    assert card.view is not None
    assert (card.view.picture.wide, card.view.picture.high) == (40, 300)
