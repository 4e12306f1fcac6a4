"""What pictures are like apart from what they show."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from flawsight.images import image, traits
from flawsight.images.traits import Learned, Traits


@pytest.mark.parametrize(("highest", "bits"), [(0, 8), (255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (16384, 16)])
def test_bits_are_the_fewest_of_those_that_cameras_use(highest: int, bits: int) -> None:
    assert traits.bits_for(highest) == bits


def test_bits_used_are_the_most_of_any_16_bit_picture() -> None:
    assert traits.bits_used([Traits(depth=16, bits=10), Traits(depth=16, bits=12), Traits()]) == 12
    assert traits.bits_used([Traits()]) == 16


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95])
def test_the_quality_of_a_jpeg_is_estimated(quality: int) -> None:
    held = io.BytesIO()
    Image.new("RGB", (16, 16)).save(held, "JPEG", quality=quality)
    found = image.examine(held.getvalue())[1]
    assert (found.format, found.depth) == ("JPEG", 8)
    assert abs(found.quality - quality) <= 1


def test_a_picture_without_colours_is_grey_however_it_is_stored() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (40, 50, 1)).astype(np.uint8)
    assert image.examine(np.repeat(levels, 3, 2))[1].is_grey
    assert image.examine(levels)[1].is_grey
    assert not image.examine(np.dstack([levels, levels, levels // 2]))[1].is_grey


def test_brightness_hardly_follows_a_small_defect() -> None:
    plain = np.full((96, 96, 3), 100, np.uint8)
    plain[::2] = 110
    stained = plain.copy()
    stained[:20, :20] = 255
    assert image.examine(plain)[1].brightness == 105
    assert abs(image.examine(stained)[1].brightness - 105) < 0.5


def test_what_was_learned_is_kept_and_said() -> None:
    pictures = [Traits("PNG", 16, 12, 0, True, 90.123), Traits("JPEG", 8, 8, 80, False, 120.0)]
    learned = traits.learned_from(pictures, 12)
    assert Learned(**json.loads(json.dumps(dataclasses.asdict(learned)))) == learned
    assert learned.in_words() == {
        "formats": "JPEG (1), PNG (1)",
        "colours": "colour (1), grey (1)",
        "bits": "16-bit (1), 8-bit (1), of 16 bits 12 used",
        "brightness": "90 to 120 of 255",
        "JPEG quality": "about 80",
    }
    assert Learned().in_words() == {}
