"""Drawing: the one colour scale, heat over a picture, outlines, patches."""

import math

import numpy as np
import pytest

from flawsight.errors import UsageError
from flawsight.report import pictures
from flawsight.report.pictures import HOT, Scale


def test_scale_has_typical_good_at_the_cold_end_and_the_threshold_in_the_middle() -> None:
    scale = Scale(cold=2.0, middle=3.0)
    assert scale.position([2.0, 3.0, 3.0 + HOT]).tolist() == [0.0, 0.5, 1.0]
    assert scale.position([-9.0, 2.5, 99.0, math.inf]).tolist() == [0.0, 0.25, 1.0, 1.0]
    assert np.isnan(scale.position([math.nan])).all()


def test_scale_is_the_same_for_pictures_of_different_range() -> None:
    """A pixel's colour depends on its score alone, not on what else is in its picture."""
    scale, image = Scale(0.0, 1.0), np.full((4, 4, 3), 100, np.uint8)
    calm, wild = np.full((4, 4), 0.1, np.float32), np.full((4, 4), 50.0, np.float32)
    calm[1, 1] = wild[1, 1] = 1.0
    drawn = [pictures.overlay(image, heat, scale) for heat in (calm, wild)]
    assert drawn[0][1, 1].tolist() == drawn[1][1, 1].tolist()
    assert np.abs(drawn[0][0, 0] - image[0, 0].astype(int)).max() <= 6
    assert np.abs(drawn[1][0, 0] - image[0, 0].astype(int)).max() > 50


@pytest.mark.parametrize("middle", [1.0, 0.5, 0.0])
def test_scale_becomes_a_step_where_the_threshold_is_no_higher_than_typical_good(middle: float) -> None:
    assert Scale(1.0, middle).position([middle - 0.1, middle, middle + 0.1]).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("ends", [(math.nan, 1.0), (0.0, math.inf)])
def test_scale_refuses_what_is_no_number(ends: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="needs two numbers"):
        Scale(*ends)


@pytest.mark.parametrize(("scale", "text"), [(Scale(0, 1), "0.12"), (Scale(0, 0.01), "0.1235"), (Scale(0, 5000), "0")])
def test_scores_are_told_with_the_decimals_that_matter(scale: Scale, text: str) -> None:
    assert scale.text(0.123456) == text


def test_overlay_leaves_good_surfaces_as_they_are(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    heat = np.full((10, 15), 0.2, np.float16)
    heat[5, 7] = 300.0
    before = image.copy()
    drawn = pictures.overlay(image, heat, Scale(0.2, 1.0))
    *hot, opacity = pictures.COLOURS[-1][1:]
    assert drawn.dtype == np.uint8
    assert drawn.shape == image.shape
    assert (drawn[:12] == image[:12]).all()
    assert np.abs(drawn[22, 30] - (opacity * np.array(hot) + (1 - opacity) * image[22, 30])).max() <= 1
    assert (image == before).all()


def test_overlay_grows_more_opaque_with_the_score() -> None:
    image = np.full((1, 5, 3), 255, np.uint8)
    heat = np.linspace(0, 2, 5, dtype=np.float32)[None]
    changed = np.abs(pictures.overlay(image, heat, Scale(0, 1)).astype(int) - 255).sum(2)[0]
    assert (np.diff(changed) > 0).all()


def test_overlay_hatches_what_nobody_looked_at() -> None:
    image = np.full((32, 32, 3), (200, 30, 30), np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[:, :3] = np.nan
    drawn = pictures.overlay(image, heat, Scale(0, 1))
    unseen = drawn[:, :12]
    assert {tuple(colour) for colour in unseen.reshape(-1, 3).tolist()} == {(200, 149, 149), (120, 120, 120)}
    assert (drawn[:, 12:] == image[:, 12:]).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_overlay_of_heat_without_a_number(value: float) -> None:
    drawn = pictures.overlay(np.full((20, 20, 3), 90, np.uint8), np.full((5, 5), value, np.float16), Scale(0, 1))
    assert (drawn[0, 0] != 90).any()


def test_outline_surrounds_the_mask_and_touches_nothing_else() -> None:
    image = np.full((30, 30, 3), 50, np.uint8)
    mask = np.zeros((30, 30), bool)
    mask[10:20, 10:20] = True
    drawn = pictures.outline(image, mask, (255, 0, 0))
    red = (drawn == (255, 0, 0)).all(2)
    assert red[9:21, 9:21].sum() == red.sum() == 12 * 12 - 8 * 8
    assert (drawn[11:19, 11:19] == 50).all()
    assert (drawn[:8] == 50).all()
    assert (image == 50).all()


def test_the_heat_layer_laid_over_a_picture_is_the_overlay(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (1100, 60, 3), dtype=np.uint8)  # more than one strip
    heat = rng.random((11, 6), np.float32)
    heat[:2, :3] = np.nan
    layer = pictures.heat_layer(heat, Scale(0.2, 0.5), (1100, 60)).astype(float)
    laid = image + layer[..., 3:] / 255 * (layer[..., :3] - image)
    assert np.abs(laid - pictures.overlay(image, heat, Scale(0.2, 0.5))).max() <= 1.5


def test_what_was_drawn_comes_off_as_a_layer() -> None:
    image = np.full((30, 40, 3), 50, np.uint8)
    drawn = pictures.framed(image, (10, 10, 20, 20))
    layer = pictures.line_layer(drawn, image)
    lit = layer[..., 3] == 255
    assert ((layer[..., 3] == 0) | lit).all()
    assert (np.where(lit[..., None], layer[..., :3], image) == drawn).all()
    assert 0 < lit.sum() < lit.size


@pytest.mark.parametrize("box", [(100, 100, 108, 108), (0, 0, 1, 1), (990, 590, 1000, 600), (100, 100, 300, 300)])
def test_a_frame_is_found_at_a_glance_and_leaves_its_inside_as_it_is(box: tuple[int, int, int, int]) -> None:
    image = np.full((600, 1000, 3), 90, np.uint8)
    drawn = pictures.framed(image, box)
    assert (drawn[box[1] : box[3], box[0] : box[2]] == 90).all()
    rows, columns = np.nonzero((drawn == 255).all(2))
    assert max(np.ptp(rows), np.ptp(columns)) >= 0.4 * 1000 / pictures.LEAST_FRAME
    assert (image == 90).all()


def test_lines_grow_with_the_picture() -> None:
    widths = []
    for side in (200, 2400):
        mask = np.zeros((side, side), bool)
        mask[side // 4 : side // 2, side // 4 : side // 2] = True
        drawn = pictures.outline(np.zeros((side, side, 3), np.uint8), mask)
        widths.append((drawn[side // 3] == pictures.TRUTH).all(1).sum() // 2)
    assert widths == [2, 8]


def test_outline_of_nothing_and_of_everything() -> None:
    image = np.full((8, 8, 3), 50, np.uint8)
    for full in (False, True):
        assert (pictures.outline(image, np.full((8, 8), full)) == image).all()


@pytest.mark.parametrize("box", [(20, 20, 28, 28), (0, 0, 8, 8), (52, 40, 64, 48), (-4, 40, 4, 52)])
def test_crop_is_square_and_shows_the_box(box: tuple[int, int, int, int]) -> None:
    image = np.full((48, 64, 3), 128, np.uint8)
    crop = pictures.crop_square(image, box, side=96)
    assert crop.shape == (96, 96, 3)
    assert (crop == 255).all(2).any()
    assert (image == 128).all()


def test_crop_centres_the_box() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[20:40, 20:40] = (0, 200, 0)
    crop = pictures.crop_square(image, (20, 20, 40, 40), side=120)
    white = np.argwhere((crop == 255).all(2))
    assert white.min(0).tolist() == [39, 39]
    assert white.max(0).tolist() == [80, 80]
    assert crop[60, 60].tolist() == [0, 200, 0]


def test_crop_of_a_box_larger_than_the_picture() -> None:
    assert pictures.crop_square(np.zeros((10, 20, 3), np.uint8), (0, 0, 20, 10)).shape == (144, 144, 3)


def test_fit_keeps_the_shape_and_never_enlarges(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (300, 900, 3), dtype=np.uint8)
    assert pictures.fit(image, 320).shape == (107, 320, 3)
    assert pictures.fit(image[:50, :60], 320).shape == (50, 60, 3)
    assert pictures.fit(np.zeros((1, 4000, 3), np.uint8), 320).shape == (1, 320, 3)


def test_a_thin_defect_survives_the_thumbnail() -> None:
    mask = np.zeros((1000, 1000), bool)
    mask[500] = True
    assert pictures.fit_mask(mask, (100, 100))[50].all()
    assert pictures.fit_mask(mask, (1000, 1000)) is mask


def test_colour_bar_names_the_two_fixed_points() -> None:
    bar = pictures.colour_bar(Scale(0.4, 1.0))
    assert "typical good 0.400" in bar
    assert "threshold 1.000" in bar
    assert bar.count("<svg") == bar.count("</svg>") == 1


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)
