"""Maps and masks brought to where published figures are compared."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flawsight.evaluation.frames import FULL, map_at, mask_at
from flawsight.prediction import Prediction
from flawsight.preprocess import Preprocess

CROP = Preprocess(size=224, resize=256)


def square(high: int, wide: int, top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((high, wide), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def prediction(preprocess: Preprocess, heat: np.ndarray, picture_hw: tuple[int, int]) -> Prediction:
    return Prediction("x", 1.0, 1.0, picture_hw, preprocess.seen_xyxy(picture_hw), heat, preprocess)


@pytest.mark.parametrize("side", [900, 1024])
def test_a_cropped_mask_is_the_mask_resized_to_256_then_cropped(side: int) -> None:
    """As published code does it with Pillow: bilinear, then the central 224; levels above half, or only full ones."""
    mask = square(side, side, 137, 201, 303)
    small = Image.fromarray(mask.astype(np.uint8) * 255).resize((256, 256), Image.Resampling.BILINEAR)
    levels = np.asarray(small.crop((16, 16, 240, 240))) / 255
    np.testing.assert_array_equal(mask_at("crop", mask, CROP, "half"), levels > 0.5)
    np.testing.assert_array_equal(mask_at("crop", mask, CROP, "trunc"), levels.astype(int) == 1)
    assert mask_at("crop", mask, CROP, "trunc").sum() < mask_at("crop", mask, CROP, "half").sum()


def test_a_defect_on_the_rim_is_lost_in_the_crop_but_not_at_256() -> None:
    mask = square(1024, 1024, 0, 0, 60)
    assert not mask_at("crop", mask, CROP).any()
    whole = mask_at("full256", mask, CROP)
    assert whole.shape == (FULL, FULL)
    assert whole.sum() == 15 * 15
    assert mask_at("native", mask, CROP) is mask


def test_the_map_of_the_crop_is_the_methods_own_and_lies_in_its_place_at_256() -> None:
    heat = np.random.default_rng(0).random((224, 224), dtype=np.float32)
    result = prediction(CROP, heat, (512, 512))
    assert map_at("crop", result) is heat
    assert map_at("native", result) is result.map
    whole = map_at("full256", result)
    assert whole is not None
    np.testing.assert_array_equal(whole[16:240, 16:240], heat)
    assert np.isnan(whole).sum() == FULL**2 - 224**2


def test_a_whole_picture_that_is_not_square_fills_the_256() -> None:
    preprocess = Preprocess(size=128)
    heat = np.random.default_rng(0).random(preprocess.input_hw((200, 100)), dtype=np.float32)
    whole = map_at("full256", prediction(preprocess, heat, (200, 100)))
    assert whole is not None
    assert whole.shape == (FULL, FULL)
    assert not np.isnan(whole).any()
    mask = square(200, 100, 50, 25, 50)  # a quarter of the height, half of the width
    assert mask_at("full256", mask, preprocess).sum() == pytest.approx(FULL**2 / 8, rel=0.01)
    assert mask_at("crop", mask, preprocess).shape == heat.shape
