"""Pictures in: what their names, pixels and fingerprints are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawsight import loader
from flawsight.errors import PictureError, UsageError
from flawsight.images import image
from flawsight.types import Pixels, Sample


def picture(high: int = 6, wide: int = 8) -> Pixels:
    return np.arange(high * wide * 3, dtype=np.uint8).reshape(high, wide, 3)


def test_the_same_pixels_have_the_same_fingerprint_whatever_the_file(tmp_path):
    pixels = picture()
    for ending, options in (
        ("png", {}),
        ("bmp", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("ppm", {}),
        ("webp", {"lossless": True}),
    ):
        Image.fromarray(pixels).save(tmp_path / f"a.{ending}", **options)
    prints = {loader.fingerprint(image.read(path)) for path in tmp_path.iterdir()}
    assert prints == {loader.fingerprint(pixels)}
    assert prints == {loader.fingerprint(np.asfortranarray(pixels))}


def test_a_grey_picture_has_the_fingerprint_of_the_same_in_three_channels():
    grey = picture()[:, :, 0]
    read = image.read(grey)
    assert image.is_grey(read)
    assert loader.fingerprint(read) == loader.fingerprint(np.repeat(grey[:, :, None], 3, 2))


def test_other_pixels_or_another_size_have_another_fingerprint():
    changed = picture()
    changed[-1, -1, -1] ^= 1
    others = [changed, picture().reshape(8, 6, 3), picture().reshape(4, 12, 3), picture()[:-1], picture()[..., ::-1]]
    prints = [loader.fingerprint(pixels) for pixels in (picture(), *others)]
    assert len(set(prints)) == len(prints)


# Names


def test_pictures_are_called_by_their_name_or_path_or_position(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert loader.named(opened, 3) == (tmp_path / "a.png").as_posix()
    assert loader.named(Sample(tmp_path / "a.png", "test/a.png"), 3) == "test/a.png"
    assert loader.named(Path("b") / "a.png", 3) == "b/a.png"
    assert loader.named("b//a.png", 3) == "b/a.png"
    for source in (b"", picture(), Image.fromarray(picture())):
        assert loader.named(source, 3) == "picture 3"


def test_a_mapped_file_is_called_by_its_path(tmp_path):
    mapped = np.memmap(tmp_path / "raw", np.uint8, "w+", shape=(4, 5))
    assert loader.named(mapped, 1) == (tmp_path / "raw").as_posix()


@pytest.mark.parametrize("raw", [b"caf\xe9.png", b"\xff\xfe", "Prüfung 検査.png".encode(), b"two\nlines.png"])
def test_a_name_can_be_written_to_any_file(raw):
    name = loader.named(os.fsdecode(raw), 1)
    assert json.loads(json.dumps(name, ensure_ascii=False).encode()) == name
    assert name == loader.named(Path(os.fsdecode(raw)), 1)


def test_names_that_are_text_are_kept():
    assert loader.named("Prüfung 検査/🔩.png", 1) == "Prüfung 検査/🔩.png"


def test_bytes_that_are_no_text_stay_apart_in_names():
    assert loader.named(os.fsdecode(b"\xe9.png"), 1) != loader.named(os.fsdecode(b"\xe8.png"), 1)


# Reading and inspecting


def test_every_kind_of_picture_is_read(tmp_path):
    path = tmp_path / "a.png"
    image.write(path, picture())
    for source in (path, str(path), path.read_bytes(), picture(), Image.fromarray(picture()), Sample(path, "a")):
        np.testing.assert_array_equal(loader.read(source, 1), picture())
        found = loader.inspect(source, 1)
        assert isinstance(found, loader.Inspection)
        assert found[:4] == ((6, 8), loader.fingerprint(picture()), None, None)
        assert found.traits == image.examine(getattr(source, "path", source))[1]


def test_a_bad_picture_is_named_as_its_sample_or_by_its_position(tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(b"")
    for source, name in ((path, path.as_posix()), (Sample(path, "test/bad.png"), "test/bad.png"), (b"", "picture 7")):
        with pytest.raises(PictureError) as caught:
            loader.read(source, 7)
        assert caught.value.name == name
        found = loader.inspect(source, 7)
        assert isinstance(found, PictureError)
        assert (found.name, found.reason) == (name, caught.value.reason)


def test_the_upright_size_is_inspected(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=tags)
    found = loader.inspect(tmp_path / "a.png", 1)
    assert isinstance(found, loader.Inspection)
    assert found.size_hw == (8, 6)


def test_inspecting_what_is_no_picture_at_all_is_a_wrong_call():
    with pytest.raises(UsageError, match="got NoneType"):
        loader.inspect(None, 1)
