"""What the network sees of a picture, and how its map comes back to the picture's pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from flawsight.errors import UsageError
from flawsight.images import image
from flawsight.preprocess import FILTERS, MIN_SIDE, MULTIPLE, Preprocess
from flawsight.types import Float, Pixels

WHOLE = Preprocess(320)
CROP = Preprocess(224, 256)
SIZES_HW = [(700, 500), (480, 640), (1024, 1024), (301, 997), (150, 130), (1500, 400), (90, 400)]
ways = st.one_of(
    st.builds(Preprocess, st.integers(MIN_SIDE, 700)),
    st.builds(lambda n, extra: Preprocess(n * MULTIPLE, n * MULTIPLE + extra), st.integers(4, 40), st.integers(0, 400)),
)
sizes_hw = st.tuples(st.integers(1, 6000), st.integers(1, 6000))


def spot(size_hw: tuple[int, int], centre_yx: tuple[float, float], radius: float) -> Pixels:
    """A bright, soft spot on black."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    light = np.exp(-((y - centre_yx[0]) ** 2 + (x - centre_yx[1]) ** 2) / (2 * radius**2))
    return np.repeat((250 * light).round().astype(np.uint8)[..., None], 3, axis=2)


def centre(light: Float) -> tuple[float, float]:
    """The centre of light, in pixels from the upper left corner; what is NaN is dark."""
    light = np.nan_to_num(light - np.nanmin(light))
    y, x = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return float((y * light).sum() / light.sum()), float((x * light).sum() / light.sum())


def paper(picture: Pixels, resize: int, size: int) -> Pixels:
    """Resize(resize) and CenterCrop(size) as torchvision does them to a Pillow picture."""
    high, wide = picture.shape[:2]
    high, wide = (resize, int(resize * wide / high)) if high <= wide else (int(resize * high / wide), resize)
    resized = np.asarray(Image.fromarray(picture).resize((wide, high), Image.Resampling.BILINEAR))
    top, left = round((high - size) / 2.0), round((wide - size) / 2.0)
    return resized[top : top + size, left : left + size]


def plain(network: Float) -> Float:
    """The network's input on the scale 0–255, [h,w,3]; undoes the default mean and std."""
    return (network * 127.5 + 127.5).transpose(1, 2, 0)


# The whole picture


@given(sizes_hw, st.integers(MIN_SIDE, 700), st.sampled_from([MULTIPLE, 32]))
def test_the_input_has_whole_patches_a_least_side_and_a_bounded_area(picture_hw, size, multiple):
    high, wide = Preprocess(size, multiple=multiple).input_hw(picture_hw)
    assert high % multiple == wide % multiple == 0
    assert min(high, wide) >= MIN_SIDE
    assert high * wide <= 2.3 * size**2  # twice, and rounding


@given(sizes_hw, st.integers(MIN_SIDE, 700))
def test_the_aspect_ratio_is_kept_to_within_rounding(picture_hw, size):
    scale = size / math.sqrt(picture_hw[0] * picture_hw[1])
    sides = [scale * side for side in picture_hw]
    if min(sides) >= MIN_SIDE:
        np.testing.assert_allclose(Preprocess(size).input_hw(picture_hw), sides, atol=MULTIPLE / 2)


@pytest.mark.parametrize(
    ("picture_hw", "input_hw"),
    [
        ((500, 500), (320, 320)),
        ((640, 480), (368, 272)),
        ((480, 640), (272, 368)),
        ((10, 10), (320, 320)),
        ((4000, 1000), (640, 160)),
    ],
)
def test_the_input_of_common_pictures(picture_hw, input_hw):
    assert WHOLE.input_hw(picture_hw) == input_hw


def test_the_input_of_an_endless_strip_is_bounded():
    high, wide = WHOLE.input_hw((1, 80_000_000))
    assert high == MIN_SIDE
    assert high * wide <= 2 * 320**2


@given(sizes_hw)
def test_the_whole_picture_is_seen(picture_hw):
    assert WHOLE.seen_xyxy(picture_hw) == (0, 0, picture_hw[1], picture_hw[0])


def test_the_whole_picture_is_what_pillow_resizes():
    picture = np.random.default_rng(0).integers(0, 256, (300, 420, 3)).astype(np.uint8)
    high, wide = WHOLE.input_hw((300, 420))
    expected = np.asarray(Image.fromarray(picture).resize((wide, high), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(plain(WHOLE.apply(picture)), expected, atol=1e-4)


# The crop


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize(("size", "resize"), [(224, 256), (280, 320), (320, 366), (64, 200), (256, 256)])
def test_the_crop_shows_things_where_the_papers_does(size_hw, size, resize):
    way = Preprocess(size, resize)
    side = size * min(size_hw) / resize
    for dy, dx in ((0, 0), (0.2, -0.25), (-0.3, 0.1)):
        at = (size_hw[0] / 2 + dy * side, size_hw[1] / 2 + dx * side)
        picture = spot(size_hw, at, side / 25)
        ours, theirs = centre(plain(way.apply(picture))[..., 0]), centre(paper(picture, resize, size)[..., 0].astype(np.float32))
        np.testing.assert_allclose(
            ours, theirs, atol=0.75
        )  # theirs rounds the resized picture and the crop to whole pixels, ours not


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_the_crop_looks_as_the_papers_does(size_hw):
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] / (min(size_hw) / 40)
    waves = 127 + 60 * np.sin(y + 0.5 * x) + 60 * np.cos(0.7 * x - y)
    picture = np.repeat(waves.astype(np.uint8)[..., None], 3, axis=2)
    difference = np.abs(plain(CROP.apply(picture)) - paper(picture, 256, 224))
    # A wave is 40 pixels long: shifted by the half pixel that rounding may cost, a level changes by up to 10.
    assert difference.mean() < 5
    assert np.quantile(difference, 0.99) < 13


def test_where_nothing_is_to_be_rounded_the_crop_is_the_papers():
    picture = np.random.default_rng(0).integers(0, 256, (256, 300, 3)).astype(np.uint8)
    np.testing.assert_allclose(plain(CROP.apply(picture)), picture[16:240, 38:262], atol=1e-4)
    np.testing.assert_allclose(paper(picture, 256, 224), picture[16:240, 38:262])


@given(sizes_hw, ways)
def test_what_is_seen_lies_centred_in_the_picture(picture_hw, way):
    high, wide = picture_hw
    x0, y0, x1, y1 = way.seen_xyxy(picture_hw)
    assert 0 <= x0 < x1 <= wide
    assert 0 <= y0 < y1 <= high
    assert abs((x0 + x1) - wide) <= 2
    assert abs((y0 + y1) - high) <= 2
    if way.resize is not None:
        side = max(1, min(high, wide) * way.size / way.resize)
        np.testing.assert_allclose((x1 - x0, y1 - y0), side, atol=0.5)


def test_the_crop_of_a_known_picture():
    assert CROP.seen_xyxy((512, 512)) == (32, 32, 480, 480)
    assert CROP.seen_xyxy((512, 1024)) == (288, 32, 736, 480)
    assert Preprocess(256, 256).seen_xyxy((300, 500)) == (100, 0, 400, 300)


# Values


@pytest.mark.parametrize("way", [WHOLE, CROP, Preprocess(65)])
@pytest.mark.parametrize("size_hw", [(40, 60), (500, 333), (1, 1)])
def test_the_input_is_contiguous_float32_of_the_announced_size(way, size_hw):
    found = way.apply(np.zeros((*size_hw, 3), np.uint8))
    assert found.shape == (3, *way.input_hw(size_hw))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


def test_mean_and_std_are_those_of_each_channel():
    way = Preprocess(64, mean=(10, 20, 30), std=(1, 2, 4))
    picture = np.full((64, 64, 3), (15, 10, 30), np.uint8)
    np.testing.assert_allclose(way.apply(picture).mean(axis=(1, 2)), [5, -5, 0])


def test_the_picture_is_left_as_it_was():
    picture = spot((90, 130), (40, 50), 9)
    before = picture.copy()
    picture.flags.writeable = False
    CROP.apply(picture)
    WHOLE.apply(picture)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_keeps_a_plain_picture_plain(name):
    found = Preprocess(64, filter=name).apply(np.full((300, 200, 3), 90, np.uint8))
    np.testing.assert_allclose(plain(found), 90, atol=1)


def test_the_filters_differ():
    picture = np.random.default_rng(0).integers(0, 256, (150, 140, 3)).astype(np.uint8)
    found = [Preprocess(64, filter=name).apply(picture) for name in FILTERS]
    assert all(np.abs(a - b).mean() > 0.01 for i, a in enumerate(found) for b in found[:i])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"size": MIN_SIDE - 1}, "size must be 64 to 4096 pixels; got 63"),
        ({"size": -1}, "size must be 64 to 4096"),
        ({"filter": "nearest"}, r"filter must be one of bilinear, .*; got 'nearest'"),
        ({"filter": "Bilinear"}, "filter must be one of"),
        ({"size": 256, "resize": 255}, "size must be a multiple of 8 and at most resize; got 256 and 255"),
        ({"size": 100, "resize": 200}, "size must be a multiple of 8"),
        ({"size": 64, "resize": 0}, "at most resize"),
        ({"mean": (1, 2)}, "mean must be three finite numbers"),
        ({"mean": (1, 2, math.nan)}, "mean must be three finite numbers"),
        ({"std": (1, 2, 0)}, r"std must be three positive numbers; got \(1, 2, 0\)"),
        ({"std": (1, 2, -3)}, "std must be three positive numbers"),
        ({"std": (1, 2, math.inf)}, "std must be three positive numbers"),
        ({"std": (1,)}, "std must be three positive numbers"),
        ({"multiple": 0}, "multiple must divide 64; got 0"),
        ({"multiple": 24}, "multiple must divide 64; got 24"),
    ],
)
def test_wrong_params_are_refused(wrong, reason):
    with pytest.raises(UsageError, match=f"preprocess: .*{reason}"):
        Preprocess(**wrong)


def test_params_from_a_file_are_those_that_were_written():
    assert Preprocess(64, mean=[1, 2, 3], std=[4, 5, 6]) == Preprocess(64, mean=(1, 2, 3), std=(4, 5, 6))


# The way back


@pytest.mark.parametrize("way", [WHOLE, CROP, Preprocess(128), Preprocess(320, 366, filter="lanczos")])
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_a_bright_square_comes_back_to_its_place(way, size_hw):
    x0, y0, x1, y1 = way.seen_xyxy(size_hw)
    for share_y, share_x in ((0.5, 0.5), (0.15, 0.8), (0.9, 0.3)):
        top, left = int(y0 + share_y * (y1 - y0 - 20)), int(x0 + share_x * (x1 - x0 - 20))
        picture = np.zeros((*size_hw, 3), np.uint8)
        picture[top : top + 20, left : left + 20] = 255
        restored = way.restore(way.apply(picture)[0], size_hw)
        assert restored.shape == size_hw
        assert restored.dtype == np.float32
        np.testing.assert_allclose(centre(restored), (top + 10, left + 10), atol=1)


@settings(deadline=None)
@given(sizes_hw.filter(lambda hw: hw[0] * hw[1] < 40_000), ways)
def test_a_map_is_nan_where_nobody_looked_and_nowhere_else(picture_hw, way):
    restored = way.restore(np.ones(way.input_hw(picture_hw), np.float32), picture_hw)
    x0, y0, x1, y1 = way.seen_xyxy(picture_hw)
    seen = np.zeros(picture_hw, np.bool_)
    seen[y0:y1, x0:x1] = True
    np.testing.assert_array_equal(np.isnan(restored), ~seen)
    np.testing.assert_allclose(restored[seen], 1, rtol=1e-6)


def test_a_map_keeps_its_scale():
    heat = np.linspace(-3, 1e6, 224 * 224, dtype=np.float32).reshape(224, 224)
    restored = CROP.restore(heat, (256, 256))
    np.testing.assert_array_equal(restored[16:240, 16:240], heat)  # one pixel to one: nothing to interpolate


# Boxes


@given(sizes_hw, ways)
def test_the_whole_inputs_box_is_what_is_seen(picture_hw, way):
    assert way.box_xyxy(np.array([0, 0, 1, 1], np.float32), picture_hw) == way.seen_xyxy(picture_hw)


@given(sizes_hw, ways, st.lists(st.integers(0, 40), min_size=4, max_size=4))
def test_a_box_lies_in_what_is_seen_and_has_pixels(picture_hw, way, edges):
    top, bottom = sorted((edges[0], edges[1]))
    left, right = sorted((edges[2], edges[3]))
    shares = np.array([top, left, bottom + 1, right + 1], np.float32) / 41
    x0, y0, x1, y1 = way.box_xyxy(shares, picture_hw)
    seen = way.seen_xyxy(picture_hw)
    assert seen[0] <= x0 < x1 <= seen[2]
    assert seen[1] <= y0 < y1 <= seen[3]
    wide, high = seen[2] - seen[0], seen[3] - seen[1]
    np.testing.assert_allclose((x0 - seen[0], x1 - seen[0]), (shares[1] * wide, shares[3] * wide), atol=1.5)
    np.testing.assert_allclose((y0 - seen[1], y1 - seen[1]), (shares[0] * high, shares[2] * high), atol=1.5)


@pytest.mark.parametrize("way", [WHOLE, CROP])
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_a_box_covers_what_the_map_shows(way, size_hw):
    high, wide = way.input_hw(size_hw)
    heat = np.zeros((high, wide), np.float32)
    heat[48:80, 16:64] = 1
    x0, y0, x1, y1 = way.box_xyxy(np.array([48 / high, 16 / wide, 80 / high, 64 / wide], np.float32), size_hw)
    bright = np.argwhere(way.restore(heat, size_hw) > 0.5)
    found = (*bright.min(axis=0), *(bright.max(axis=0) + 1))
    np.testing.assert_allclose((y0, x0, y1, x1), found, atol=1 + max(size_hw) / max(high, wide) / 2)


@pytest.mark.parametrize("way", [WHOLE, CROP], ids=["whole", "crop"])
@pytest.mark.parametrize("kind", ["L", "RGB"])
def test_a_grey_picture_gives_the_same_input_however_it_is_held(kind, way):
    grey = np.random.default_rng(0).integers(0, 256, (301, 403), np.uint8)
    held = image.read(grey if kind == "L" else np.dstack([grey] * 3))
    assert image.is_grey(held) == (kind == "L")
    np.testing.assert_array_equal(way.apply(held), way.apply(np.dstack([grey] * 3)))
