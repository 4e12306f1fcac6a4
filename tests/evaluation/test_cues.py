"""Notes on what tells pictures apart without a look at the part."""

from __future__ import annotations

from pathlib import Path

import pytest

from flawsight.evaluation import cues
from flawsight.evaluation.cues import Judged
from flawsight.images.traits import Learned, Traits
from flawsight.types import Row, Sample

PNG = Traits("PNG", brightness=100.0)
LEARNED = Learned(16, {"PNG": 9}, {"8-bit": 9}, {"colour": 9}, (), (98.0, 102.0))


def judged(label: int | None, traits: Traits = PNG, rejected: bool = False, size: int = 64) -> Judged:
    return Judged(Row(Sample(Path("a"), "a", label), 1.0, rejected, (size, size), (0, 0, size, size), None), traits)


def notes(*pictures: Judged, learned: Learned = LEARNED) -> str:
    return "\n".join(cues.notes_on(learned, pictures))


def test_pictures_like_those_learned_from_get_no_note() -> None:
    assert notes(judged(0), judged(1, rejected=True), judged(None)) == ""


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (PNG._replace(format="JPEG"), "1 of 2 judged pictures is JPEG; the model learned from PNG only"),
        (PNG._replace(is_grey=True), "1 of 2 judged pictures is grey; the model learned from colour only"),
        (PNG._replace(depth=16, bits=16), "1 of 2 judged pictures is 16-bit; the model learned from 8-bit only"),
        (PNG._replace(depth=16, bits=12), "No value in the judged 16-bit pictures exceeds 4095"),
    ],
)
def test_pictures_stored_otherwise_are_noted(other: Traits, message: str) -> None:
    assert message in notes(judged(None), judged(None, other))
    assert notes(judged(None), judged(None, other), learned=Learned()) == ""  # an older model does not know
    assert notes(judged(None), judged(None, Traits())) == ""  # an array has no format


@pytest.mark.parametrize(("quality", "noted"), [(85, False), (60, True)])
def test_another_jpeg_quality_is_noted(quality: int, noted: bool) -> None:
    learned = Learned(16, {"JPEG": 9}, {"8-bit": 9}, {"colour": 9}, (88, 92))
    found = notes(judged(None, PNG._replace(format="JPEG", quality=quality)), learned=learned)
    assert found.startswith("1 of 1 judged pictures is JPEG of a quality of about 60; the model learned") == noted


def test_where_all_are_rejected_light_camera_and_encoding_are_suspected() -> None:
    dark = PNG._replace(brightness=60.0)
    message = (
        "have light, camera or encoding changed? Their brightness is 60 of 255; that of the pictures learned from is 98 to 102."
    )
    assert notes(judged(None, dark, True), judged(None, dark, True)) == f"All 2 pictures were rejected: {message}"
    assert "All 2 good pictures were rejected" in notes(judged(0, rejected=True), judged(0, rejected=True), judged(1))
    assert notes(judged(None, dark, True)) == ""  # one defective part is no sign
    assert notes(judged(None, dark, True), judged(None, dark)) == ""


def test_a_way_of_storing_that_separates_good_from_defective_is_measured() -> None:
    both = Learned(16, {"PNG": 5, "JPEG": 4}, LEARNED.depths, LEARNED.colours)
    good, bad = [judged(0)] * 4, [judged(1, PNG._replace(format="JPEG"))] * 3
    assert notes(*good, *bad, learned=both).startswith(
        "Format alone separates good from defective pictures with an AUROC of 1.00 (PNG (4) of good pictures, JPEG (3) of defective"
    )
    assert notes(*good, *bad, judged(1), judged(1), judged(1), learned=both) == ""  # 0.75
    assert "Size alone" in notes(*good, judged(1, size=128))


def test_brightness_counts_where_it_cannot_be_luck() -> None:
    def set_of(n: int) -> str:
        good = [judged(0, PNG._replace(brightness=100.0 + k)) for k in range(n)]
        return notes(*good, *[judged(1, PNG._replace(brightness=70.0 + k)) for k in range(n)])

    assert set_of(3) == ""
    assert "Brightness alone separates good from defective pictures with an AUROC of 1.00 (105 of good pictures, 75 of" in set_of(
        11
    )
