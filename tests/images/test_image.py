"""Reading pictures and masks: what is accepted and as what, what is refused and why."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from flawsight.errors import PictureError, UsageError
from flawsight.images import decoding, image, maskfiles
from flawsight.types import Pixels

CORNERS = np.array([[200, 50, 90], [10, 130, 250]], np.uint8)  # 2 high, 3 wide, no two pixels alike: every turn shows
MARKS = CORNERS.repeat(16, axis=0).repeat(16, axis=1)  # the same for JPEG, whose blocks are 16 wide
BLOB = np.zeros((6, 8), np.bool_)
BLOB[2:4, 3:6] = True
UPRIGHT = {  # what makes a picture upright, by the EXIF standard: where its first row and first column were, as the camera saw them
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: lambda a: np.rot90(a, 1),
}


def saved(picture: Image.Image | np.ndarray, container: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(out, container, **options)
    return out.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(wide: int, high: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def noise(high: int = 20, wide: int = 30) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (high, wide, 3)).astype(np.uint8)


def grey(picture: Pixels) -> Pixels:
    """Its one channel; fails where the three differ."""
    assert (picture == picture[..., :1]).all()
    return picture[..., 0]


def mask_of(folder: Path, data: bytes) -> np.ndarray:
    path = folder / "mask"
    path.write_bytes(data)
    mask = maskfiles.read(path)
    assert mask.dtype == np.bool_
    assert mask.shape == image.size_hw(path)
    return mask


# What is accepted


@pytest.mark.parametrize("container", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("channels", ["RGB", "L"])
def test_a_lossless_file_gives_the_pixels_that_were_written(container, channels, tmp_path):
    pixels = noise() if channels == "RGB" else noise()[..., 0]
    path = tmp_path / "picture.any"
    path.write_bytes(saved(pixels, container))
    expected = pixels if channels == "RGB" else np.dstack([pixels] * 3)
    for source in (path, str(path), path.read_bytes(), Image.open(io.BytesIO(path.read_bytes())), pixels):
        found = image.read(source)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.uint8
        assert image.is_grey(found) == (channels == "L")
        assert found[..., 0].flags.c_contiguous if channels == "L" else found.flags.c_contiguous


@pytest.mark.parametrize(
    "view",
    [noise()[:, ::2], noise()[::-1], noise().transpose(1, 0, 2), noise()[..., ::-1], noise()[..., :1], noise()[..., 0].T, noise()],
)
def test_any_layout_of_an_array_gives_a_picture_of_its_own(view):
    expected = np.broadcast_to(view if view.ndim == 3 else view[..., None], (*view.shape[:2], 3)).copy()
    found = image.read(view)
    assert found.flags.c_contiguous or image.is_grey(found)
    assert not np.shares_memory(found, view)
    view[...] = 0
    np.testing.assert_array_equal(found, expected)


def test_a_picture_cannot_be_written_to_wherever_it_came_from(tmp_path):
    picture = Image.fromarray(noise())
    picture.save(tmp_path / "a.png")
    for source in (noise(), noise()[..., 0], picture, saved(noise()), tmp_path / "a.png"):
        assert not image.read(source).flags.writeable


def test_a_pillow_picture_is_left_as_it_was():
    picture = Image.fromarray(CORNERS)
    picture.getexif()[0x0112] = 6
    found = image.read(picture)
    np.testing.assert_array_equal(grey(found), np.rot90(CORNERS, -1))
    assert (picture.size, picture.mode, picture.getexif()[0x0112]) == ((3, 2), "L", 6)
    picture.putpixel((0, 0), 1)
    np.testing.assert_array_equal(grey(found), np.rot90(CORNERS, -1))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "I;16B"]
)
def test_every_kind_of_pillow_picture_gives_rgb(mode):
    found = image.read(Image.new(mode, (5, 4)))
    assert (found.shape, found.dtype) == ((4, 5, 3), np.uint8)


def test_a_palette_gives_its_colours():
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 1, 2, 3])
    for container in ("PNG", "GIF", "BMP", "TIFF"):
        assert image.read(saved(picture, container)).tolist() == [[[255, 0, 0], [0, 255, 0]], [[1, 2, 3], [0, 255, 0]]], container


def test_what_is_transparent_is_black_and_what_is_half_so_is_half_as_bright():
    rgba = np.full((1, 3, 4), 200, np.uint8)
    rgba[0, :, 3] = (255, 128, 0)
    grey_alpha = Image.fromarray(rgba).convert("LA")
    for source in (saved(rgba), saved(rgba, "TIFF"), Image.fromarray(rgba), saved(grey_alpha), grey_alpha):
        np.testing.assert_allclose(grey(image.read(source)), [[200, 100, 0]], atol=1)


def test_a_transparent_colour_is_black():
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 1, 2, 3])
    assert image.read(saved(picture, transparency=1)).tolist() == [[[255, 0, 0], [0, 0, 0], [1, 2, 3]]]
    assert image.read(saved(picture, transparency=bytes([0, 255, 255]))).tolist() == [[[0, 0, 0], [0, 255, 0], [1, 2, 3]]]
    assert image.read(saved(picture, "GIF", transparency=2)).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 0]]]
    values = np.array([[7, 200, 90]], np.uint8)
    assert grey(image.read(saved(values, transparency=200))).tolist() == [[7, 0, 90]]
    assert grey(image.read(saved(values.astype(np.uint16) * 256, transparency=200 * 256))).tolist() == [[7, 0, 90]]


def test_one_bit_is_black_and_white():
    for container in ("PNG", "TIFF", "BMP", "PPM"):
        np.testing.assert_array_equal(grey(image.read(saved(BLOB, container))), BLOB * np.uint8(255))


def test_cmyk_is_ink():
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[..., 0] = 255  # all cyan: no red
    red, green, blue = image.read(saved(Image.frombytes("CMYK", (16, 16), ink.tobytes()), "JPEG", quality=100))[8, 8].tolist()
    assert red < 10
    assert min(green, blue) > 245


VALUES = np.array([[0, 255, 256], [0x1234, 0x80FF, 65535]], np.uint16)
HIGH = [[0, 0, 1], [0x12, 0x80, 255]]


@pytest.mark.parametrize(
    "source",
    [
        saved(VALUES),
        saved(VALUES, "TIFF"),
        saved(VALUES, "PPM"),
        saved(Image.frombytes("I;16B", (3, 2), VALUES.astype(">u2").tobytes()), "TIFF"),
        saved(VALUES.astype(np.int32), "TIFF"),
        Image.fromarray(VALUES),
        Image.fromarray(VALUES.astype(np.int32)),
    ],
)
def test_of_16_bits_the_high_byte_counts_whatever_the_pictures_range(source):
    assert grey(image.read(source)).tolist() == HIGH


def test_a_tiff_is_indeed_big_endian():
    data = saved(Image.frombytes("I;16B", (3, 2), VALUES.astype(">u2").tobytes()), "TIFF")
    assert data[:2] == b"MM"
    assert VALUES.astype(">u2").tobytes() in data


def test_of_16_bit_colours_the_high_byte_counts():
    row = b"\0" + struct.pack(">6H", 0x1234, 0x56FF, 0x9A00, 0xFFFF, 0, 0x100)
    assert image.read(png(2, 1, 16, 2, row)).tolist() == [[[0x12, 0x56, 0x9A], [255, 0, 1]]]
    row = b"\0" + struct.pack(">8H", 0x1234, 0x56FF, 0x9A00, 0xFFFF, 0xFFFF, 0, 0x100, 0)
    assert image.read(png(2, 1, 16, 6, row)).tolist() == [[[0x12, 0x56, 0x9A], [0, 0, 0]]]


def tiff(row: bytes) -> bytes:
    """An uncompressed little-endian TIFF, one row of RGB with 16 bits a channel: Pillow does not write such."""
    values = {256: (3, 1, len(row) // 6), 257: (3, 1, 1), 258: (3, 3, 122), 259: (3, 1, 1), 262: (3, 1, 2), 273: (4, 1, 128)}
    values |= {277: (3, 1, 3), 278: (3, 1, 1), 279: (4, 1, len(row))}
    entries = b"".join(struct.pack("<HHII", tag, *value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + struct.pack("<I3H", 0, 16, 16, 16) + row


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_of_fewer_bits_in_use_the_highest_eight_count(bits):
    top = (1 << bits) - 1
    values = np.array([[0, 1 << (bits - 8), top // 2, top]], np.uint16)
    expected = [0, 1, 127, 255]
    for container in ("PNG", "TIFF"):
        pixels, found = image.examine(saved(values, container), bits=bits)
        assert grey(pixels)[0].tolist() == expected
        assert (found.depth, found.bits, found.format) == (16, bits, container)
    channels = [int(value) for value in values[0] for _ in range(3)]
    coloured = png(4, 1, 16, 2, b"\0" + struct.pack(">12H", *channels))
    opaque = png(4, 1, 16, 6, b"\0" + b"".join(struct.pack(">4H", *[int(value)] * 3, 65535) for value in values[0]))
    for source in (coloured, opaque, tiff(struct.pack("<12H", *channels))):
        assert grey(image.read(source, bits=bits))[0].tolist() == expected
        assert image.examine(source)[1].bits == bits


@pytest.mark.parametrize("coloured", [False, True])
def test_a_picture_beyond_the_bits_in_use_is_refused_by_name(coloured, tmp_path):
    path = tmp_path / "new.png"
    row = struct.pack(">3H", 4096, 0, 0)
    path.write_bytes(png(1, 1, 16, 2, b"\0" + row) if coloured else saved(np.array([[4096, 0]], np.uint16)))
    with pytest.raises(PictureError, match=r"new\.png: holds values above 4095, the highest of the 12 bits"):
        image.read(path, bits=12)
    assert image.read(path).max() == 16


def test_few_bits_span_the_whole_range():
    assert grey(image.read(png(4, 1, 2, 0, b"\0\x1b"))).tolist() == [[0, 85, 170, 255]]


def test_the_main_picture_of_a_phones_file_counts():
    first, second = (Image.fromarray(a) for a in (MARKS, 255 - MARKS))
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    np.testing.assert_allclose(grey(image.read(data)).astype(int), MARKS, atol=6)


# Turned pictures


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("container", "pixels"),
    [
        ("PNG", CORNERS),
        ("PNG", CORNERS.astype(np.uint16) << 8),
        ("TIFF", CORNERS),
        ("TIFF", CORNERS.astype(np.uint16) << 8),
        ("JPEG", MARKS),
    ],
)
def test_pictures_are_turned_upright(orientation, container, pixels, tmp_path):
    path = tmp_path / "turned"
    path.write_bytes(saved(pixels, container, exif=exif(orientation)))
    found = image.read(path)
    expected = UPRIGHT[orientation](pixels if pixels.dtype == np.uint8 else CORNERS)
    np.testing.assert_allclose(grey(found).astype(int), expected, atol=6 if container == "JPEG" else 0)
    assert found.flags.c_contiguous or image.is_grey(found)
    assert image.size_hw(path) == found.shape[:2]


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_masks_are_turned_as_their_pictures(orientation, tmp_path):
    for mask in (BLOB, BLOB * np.uint8(255), BLOB * np.uint16(65535), Image.fromarray(BLOB * np.uint8(255)).convert("P")):
        found = mask_of(tmp_path, saved(mask, exif=exif(orientation)))
        np.testing.assert_array_equal(found, UPRIGHT[orientation](BLOB))


@pytest.mark.parametrize("orientation", [0, 9, 255])
@pytest.mark.parametrize("container", ["PNG", "JPEG", "TIFF"])
def test_an_orientation_that_is_none_turns_nothing(orientation, container, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(saved(MARKS, container, exif=exif(orientation)))
    assert image.read(path).shape[:2] == image.size_hw(path) == MARKS.shape


def test_an_orientation_after_the_pixels_counts(tmp_path):
    data = saved(CORNERS)
    path = tmp_path / "late.png"
    path.write_bytes(data[:-12] + chunk(b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0")) + data[-12:])
    np.testing.assert_array_equal(grey(image.read(path)), np.rot90(CORNERS, -1))
    assert image.size_hw(path) == (3, 2)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("message", [b'tiff:Orientation="6"', b""])
def test_an_orientation_in_a_png_s_xmp_counts(message, compressed, tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + message + b"</x:xmpmeta>"
    text = b"XML:com.adobe.xmp\0" + bytes([compressed, 0, 0, 0]) + (zlib.compress(xmp) if compressed else xmp)
    data = saved(CORNERS)
    path = tmp_path / "xmp.png"
    path.write_bytes(data[:-12] + chunk(b"iTXt", text) + data[-12:])
    assert image.size_hw(path) == image.read(path).shape[:2] == ((3, 2) if message else (2, 3))


def test_exif_that_cannot_be_read_counts_as_none(tmp_path):
    path = tmp_path / "odd.webp"
    path.write_bytes(saved(noise(), "WEBP", exif=b"no EXIF at all"))
    assert image.read(path).shape[:2] == image.size_hw(path) == (20, 30)


# What is refused


def refusal(source: Any, name: str | None = None) -> PictureError:
    with pytest.raises(PictureError) as caught:
        image.read(source, name)
    error = caught.value
    assert str(error) == f"{error.name}: {error.reason}"
    assert error.reason.endswith(".")
    return error


@pytest.mark.parametrize("container", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM"])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.5, 0.9, 0.98])
def test_a_file_cut_short_is_refused(container, share, tmp_path):
    data = saved(noise(60, 80), container)
    path = tmp_path / "cut.png"
    path.write_bytes(data[: max(1, int(share * len(data)))])
    for read in (image.read, maskfiles.read):
        with pytest.raises(PictureError, match=r"cut\.png: (is damaged or cut short|is not a picture) \(.*\)\. .*save"):
            read(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", r"the file is empty \(0 bytes\)\. Copy it again or delete it\."),
        ("notes.png", b"Camera 3 was cleaned on Monday.\n", r"is not a picture \(its content is text\)\. Remove it"),
        ("page.jpg", b"<!DOCTYPE html>\n<title>404 \xe2\x80\x93 Not found</title>", r"is not a picture \(its content is text\)"),
        ("cut.txt.png", "ä".encode() * 400, r"its content is text"),
        ("random.png", np.random.default_rng(1).bytes(5000), r"is not a picture \(its content is of no known format, or damaged"),
        ("head.png", b"\x89PNG", r"is not a picture \(its content is of no known format, or damaged"),
        ("printed.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", r"is not a picture"),
    ],
)
def test_a_file_that_is_no_picture_is_refused_by_name(name, content, reason, tmp_path):
    (tmp_path / name).write_bytes(content)
    for read in (image.read, maskfiles.read, image.size_hw):
        with pytest.raises(PictureError, match=reason) as caught:
            read(tmp_path / name)
        assert caught.value.name == (tmp_path / name).as_posix()


@pytest.mark.parametrize(("depth", "colour", "row"), [(8, 0, 4), (8, 2, 12), (8, 6, 16), (16, 0, 8), (1, 0, 1)])
def test_pixels_that_end_before_the_last_row_are_refused(depth, colour, row):
    rows = b"\0" + bytes([255] * row)  # one of 4 pixels, with what says how it was filtered
    assert image.read(png(4, 9, depth, colour, 9 * rows)).shape == (9, 4, 3)
    assert (
        refusal(png(4, 9, depth, colour, 8 * rows)).reason
        == "is cut short: its pixels end before its last row. Copy or save it again."
    )


def test_damaged_pixels_are_refused():
    data = bytearray(saved(noise()))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    assert "is damaged or cut short" in refusal(bytes(data)).reason


@pytest.mark.parametrize(("wide", "high"), [(60_000, 60_000), (13_000, 13_000), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_claims_a_huge_picture_is_refused_before_memory_is_taken(wide, high):
    reason = refusal(png(wide, high, 8, 0, b"\0")).reason
    assert reason == "has more than 89 million pixels, as a decompression bomb would. Crop or reduce it first."


def test_the_limit_is_the_same_for_files_arrays_and_pillow_pictures(monkeypatch, tmp_path):
    pixels = noise(20, 30)
    path = tmp_path / "a.png"
    path.write_bytes(saved(pixels))
    sources = (path, path.read_bytes(), pixels, pixels[..., 0], Image.fromarray(pixels))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 600)
    for source in sources:
        assert image.read(source).shape == (20, 30, 3)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 599)
    for source in sources:
        assert refusal(source).reason.startswith("has more than 599 pixels")
    for read in (maskfiles.read, image.size_hw):
        with pytest.raises(PictureError, match="has more than 599 pixels"):
            read(path)


@pytest.mark.parametrize("container", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_and_pages_are_refused_with_their_number(container, tmp_path):
    frames = [Image.new("RGB", (5, 4), (80 * i, 0, 0)) for i in range(3)]
    path = tmp_path / "many"
    path.write_bytes(saved(frames[0], container, save_all=True, append_images=frames[1:]))
    reason = "holds 3 frames or pages. Export the one to inspect as a picture of its own."
    assert refusal(path).reason == reason
    assert refusal(Image.open(io.BytesIO(path.read_bytes()))).reason == reason
    with pytest.raises(PictureError, match="holds 3 frames or pages"):
        maskfiles.read(path)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((3, 4), np.float32), "holds floating-point values, which have no fixed range. Save it with 8 or 16 bits."),
        (np.full((3, 4), 65536, np.int32), "holds 32-bit values, which have no fixed range. Save it with 8 or 16 bits."),
        (np.full((3, 4), -1, np.int32), "holds 32-bit values, which have no fixed range. Save it with 8 or 16 bits."),
    ],
)
def test_values_without_a_fixed_range_are_refused(pixels, reason, tmp_path):
    path = tmp_path / "depth.tif"
    path.write_bytes(saved(pixels, "TIFF"))
    assert refusal(path).reason == reason
    assert refusal(Image.fromarray(pixels)).reason == reason
    with pytest.raises(PictureError, match="no fixed range"):
        maskfiles.read(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int64, np.bool_])
def test_arrays_of_other_types_are_refused(dtype):
    assert f"needs uint8 values 0–255; got {np.dtype(dtype)}. Convert" in refusal(np.zeros((4, 5, 3), dtype)).reason


@pytest.mark.parametrize("shape", [(5,), (4, 5, 2), (4, 5, 4), (3, 4, 5), (1, 4, 5, 3), (0, 5, 3), (4, 0), ()])
def test_arrays_of_other_shapes_are_refused(shape):
    assert f"needs shape [H,W], [H,W,1] or [H,W,3]; got {list(shape)}. Convert" in refusal(np.zeros(shape, np.uint8)).reason


@pytest.mark.parametrize("source", [None, 7, [[0, 1]], io.BytesIO()])
def test_other_sources_are_a_wrong_call(source):
    with pytest.raises(UsageError, match=rf"needs a path, bytes, a Pillow picture or a uint8 array; got {type(source).__name__}\."):
        image.read(source)


def test_errors_name_the_picture(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    for source, name in ((path, path.as_posix()), (str(path), path.as_posix()), (b"", "bytes"), (np.zeros(3, np.uint8), "array")):
        assert refusal(source).name == name
        assert refusal(source, "camera 1").name == "camera 1"
    assert refusal(Image.new("F", (2, 2))).name == "picture"
    Image.new("F", (2, 2)).save(tmp_path / "f.tif")
    with Image.open(tmp_path / "f.tif") as picture:
        assert refusal(picture).name == (tmp_path / "f.tif").as_posix()


def test_a_name_that_is_no_text_is_written_out():
    name = os.fsdecode(b"caf\xe9.png")
    assert refusal(name).name == r"caf\udce9.png"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.png", r"there is no such file\. Check the path\."),
        ("none/none.png", r"there is no such file\. Check the path\."),
        ("folder.png", r"is a folder\. Name a picture in it\."),
        ("n" * 256 + ".png", r"cannot be opened \(File name too long\)\. Check the path and its permissions\."),
        ("a\0b.png", r"cannot be opened \(embedded null byte\)\. Check the path and its permissions\."),
    ],
)
def test_paths_that_lead_to_no_file(name, reason, tmp_path):
    (tmp_path / "folder.png").mkdir()
    for read in (image.read, maskfiles.read, image.size_hw):
        with pytest.raises(PictureError, match=reason):
            read(tmp_path / name)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(saved(noise()))
    if os.geteuid():
        path.chmod(0)
    else:  # root may read all

        def refuse(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "read_bytes", refuse)
    assert refusal(path).reason == "cannot be opened (Permission denied). Check the path and its permissions."


@pytest.mark.parametrize(
    "name", ["Prüfling 3 – ä.png", "検査.png", "n" * 251 + ".png", "ü" * 125 + ".png", "two\nlines.png", "🔩.png"]
)
def test_names_of_every_kind_are_read(name, tmp_path):
    pixels = noise()
    image.write(tmp_path / name, pixels)
    np.testing.assert_array_equal(image.read(tmp_path / name), pixels)


@pytest.mark.parametrize("pixels", [noise(), noise()[..., 0]], ids=["RGB", "grey"])
@pytest.mark.parametrize("options", [{}, {"compress_level": 9}, {"dpi": (300, 300)}, {"icc_profile": b"any"}])
def test_a_plain_png_is_decoded_without_pillow(pixels, options, monkeypatch):
    data = saved(pixels, **options)
    expected = image.read(Image.fromarray(pixels))
    monkeypatch.delattr(decoding, "opened")
    found = image.read(data)
    np.testing.assert_array_equal(found, expected)
    assert found.strides == expected.strides


@settings(deadline=None)
@given(st.data())
def test_a_damaged_png_is_read_as_pillow_alone_reads_it(data):
    content = bytearray(data.draw(st.sampled_from([saved(noise(3, 4)), saved(noise(3, 4)[..., 0])])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    found = image._plain_png(bytes(content))
    if found is not None:
        with Image.open(io.BytesIO(content)) as picture:
            np.testing.assert_array_equal(found, image.read(picture))


@pytest.mark.parametrize("kind", ["RGB", "grey", "16 bits", "palette"])
def test_no_flipped_bit_near_the_end_of_a_png_is_read(kind):
    pixels = noise(40, 40)
    picture: Any = {
        "grey": pixels[..., 0],
        "16 bits": pixels[..., 0].astype(np.uint16) << 8,
        "palette": Image.fromarray(pixels).quantize(16),
    }.get(kind, pixels)
    whole = saved(picture)
    image.read(whole)
    rng = np.random.default_rng(3)
    for _ in range(60):
        at = len(whole) - 1 - int(rng.integers(600))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(rng.integers(8))
        assert "damaged or cut short" in refusal(bytes(flipped)).reason


@pytest.mark.parametrize("place", ["before the pixels", "after the pixels"])
def test_the_checksum_of_every_chunk_counts(place, tmp_path):
    whole, text = saved(noise()), bytearray(chunk(b"tEXt", b"Comment\0camera 3"))
    at = 33 if place == "before the pixels" else len(whole) - 12
    path = tmp_path / "a.png"
    path.write_bytes(whole[:at] + bytes(text) + whole[at:])
    np.testing.assert_array_equal(image.read(path), noise())
    text[-5] ^= 1
    path.write_bytes(whole[:at] + bytes(text) + whole[at:])
    for read in (image.read, maskfiles.read, image.size_hw):
        with pytest.raises(PictureError, match=r"a\.png: .*\(its tEXt chunk does not match its checksum\)"):
            read(path)


def test_a_png_without_its_end_is_refused_and_one_with_more_behind_it_is_read():
    whole = saved(noise())
    assert "(its end is missing)" in refusal(whole[:-12]).reason
    assert "(its IEND chunk is cut short)" in refusal(whole[:-1]).reason
    np.testing.assert_array_equal(image.read(whole + b"appended by a camera"), noise())


@settings(deadline=None)
@given(st.data())
def test_no_damage_gets_past_as_anything_but_a_picture_error(data):
    name = data.draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = image.read(bytes(content))
    except PictureError:
        return
    assert (found.dtype, found.ndim, found.shape[2]) == (np.uint8, 3, 3)


SEEDS = {
    "png": saved(noise(3, 4), exif=exif(6)),
    "plain png": saved(noise(3, 4)),
    "plain png, grey": saved(noise(3, 4)[..., 0]),
    "palette": saved(Image.fromarray(noise(3, 4)).quantize(4), transparency=1),
    "jpeg": saved(noise(8, 8), "JPEG", exif=exif(6)),
    "tiff": saved(noise(3, 4), "TIFF", exif=exif(6)),
    "tiff, 16 bits": saved(VALUES, "TIFF", exif=exif(3)),
    "pages": saved(Image.new("L", (3, 2)), "TIFF", save_all=True, append_images=[Image.new("L", (3, 2))]),
    "webp": saved(noise(3, 4), "WEBP", exif=exif(6)),
    "gif": saved(Image.new("L", (3, 2)), "GIF", save_all=True, append_images=[Image.new("L", (3, 2), 9)]),
    "bmp": saved(noise(3, 4), "BMP"),
}


# Masks


@pytest.mark.parametrize("value", [1, 2, 100, 127, 128, 255])
@pytest.mark.parametrize("container", ["PNG", "TIFF", "BMP"])
def test_a_mask_of_two_values_marks_the_larger_whatever_it_is(value, container, tmp_path):
    np.testing.assert_array_equal(mask_of(tmp_path, saved(BLOB * np.uint8(value), container)), BLOB)


@pytest.mark.parametrize("value", [1, 255, 256, 32767, 32768, 65535])
def test_so_does_a_mask_of_16_bits(value, tmp_path):
    for dtype in (np.uint16, np.int32):
        np.testing.assert_array_equal(mask_of(tmp_path, saved((BLOB * value).astype(dtype), "TIFF")), BLOB)


def test_class_numbers_all_count_as_defects(tmp_path):
    classes = np.kron(np.array([[0, 1, 2], [3, 0, 127]], np.uint8), np.ones((4, 4), np.uint8))
    np.testing.assert_array_equal(mask_of(tmp_path, saved(classes)), classes > 0)


def two_classes(low: int, high: int) -> np.ndarray:
    classes = np.zeros((64, 64), np.uint8)
    classes[5:20, 5:20], classes[40:60, 40:60] = low, high
    return classes


@pytest.mark.parametrize(("low", "high"), [(85, 170), (100, 200), (60, 255), (40, 255), (1, 255), (126, 127)])
def test_every_class_but_the_background_is_a_defect(low, high, tmp_path):
    classes = two_classes(low, high)
    for pixels in (classes, np.dstack([classes, classes * 0, classes * 0]), classes.astype(np.uint16)):
        np.testing.assert_array_equal(mask_of(tmp_path, saved(pixels, "PNG" if pixels.dtype == np.uint8 else "TIFF")), classes > 0)


@pytest.mark.parametrize(("low", "high"), [(85, 170), (100, 200), (60, 255)])
def test_so_it_is_in_jpeg_and_where_classes_touch(low, high, tmp_path):
    classes = two_classes(low, high).repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(mask_of(tmp_path, saved(classes, "JPEG", quality=75)), classes > 0)
    classes[80:100, 20:80] = high
    np.testing.assert_array_equal(mask_of(tmp_path, saved(classes)), classes > 0)


def test_numbers_of_many_instances_are_classes(tmp_path):
    block = np.pad(np.ones((5, 5), np.uint8), 2)
    numbers = np.kron(np.arange(200, dtype=np.uint8).reshape(10, 20), block)
    np.testing.assert_array_equal(mask_of(tmp_path, saved(numbers)), numbers > 0)


def test_thin_lines_of_a_class_are_no_edge(tmp_path):
    lines = np.zeros((32, 32), np.uint8)
    lines[10], lines[:, 20] = 100, 220
    np.testing.assert_array_equal(mask_of(tmp_path, saved(lines)), lines > 0)


@pytest.mark.parametrize("times", [2, 4, 8])
def test_the_values_of_a_softened_edge_are_no_classes(times, tmp_path):
    sharp = np.zeros((64 * times, 64 * times), np.uint8)
    y, x = np.ogrid[: 64 * times, : 64 * times]
    sharp[(y - 30 * times) ** 2 + (x - 33 * times) ** 2 < (14 * times) ** 2] = 255
    soft = np.asarray(Image.fromarray(sharp).resize((64, 64), Image.Resampling.BOX))
    np.testing.assert_array_equal(mask_of(tmp_path, saved(soft)), soft > 127)
    large = np.asarray(Image.fromarray(soft).resize((256, 256), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(mask_of(tmp_path, saved(large)), large > 127)


def test_where_nothing_is_black_the_most_common_colour_is_the_background(tmp_path):
    classes = two_classes(1, 2)
    paper = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255]], np.uint8)[classes]
    np.testing.assert_array_equal(mask_of(tmp_path, saved(paper)), classes > 0)
    np.testing.assert_array_equal(mask_of(tmp_path, saved(np.where(classes, 255, 3).astype(np.uint8))), classes > 0)


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".JFIF", ".avif", ".pnm"])
def test_more_endings_are_those_of_pictures(ending, tmp_path):
    container = {".avif": "AVIF", ".pnm": "PPM"}.get(ending, "JPEG")
    path = tmp_path / f"a{ending}"
    path.write_bytes(saved(np.full((40, 60, 3), 90, np.uint8), container))
    assert ending.lower() in image.EXTENSIONS
    assert abs(image.read(path).astype(int) - 90).max() <= 2
    assert image.size_hw(path) == (40, 60)


@pytest.mark.skipif(".heic" in image.EXTENSIONS, reason="a decoder is installed")
def test_heic_without_its_decoder_says_what_to_install():
    with pytest.raises(PictureError, match=r"cannot be read here: HEIC needs a decoder\. Run: pip install 'flawsight\[heic\]'"):
        image.read(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def test_a_soft_edge_is_cut_at_half(tmp_path):
    edge = np.array([[0, 1, 60, 127, 128, 200, 255]], np.uint8)
    np.testing.assert_array_equal(mask_of(tmp_path, saved(edge)), edge > 127)
    np.testing.assert_array_equal(mask_of(tmp_path, saved(edge.astype(np.uint16) * 257)), edge > 127)


def test_a_jpeg_mask_is_cut_at_half(tmp_path):
    blob = BLOB.repeat(16, axis=0).repeat(16, axis=1)
    np.testing.assert_array_equal(mask_of(tmp_path, saved(blob * np.uint8(255), "JPEG")), blob)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16])
def test_an_empty_mask_is_empty_and_a_full_one_full(dtype, tmp_path):
    assert not mask_of(tmp_path, saved(np.zeros((4, 5), dtype))).any()
    assert mask_of(tmp_path, saved(np.ones((4, 5), dtype))).all()


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (200, 0, 200), (60, 0, 0)])
def test_a_mask_in_colour_marks_what_is_not_black(colour, tmp_path):
    painted = BLOB[..., None] * np.array(colour, np.uint8)
    np.testing.assert_array_equal(mask_of(tmp_path, saved(painted)), BLOB)
    laid_over = np.dstack([painted, BLOB * np.uint8(255)])
    np.testing.assert_array_equal(mask_of(tmp_path, saved(laid_over)), BLOB)
    hidden_white = np.where(BLOB[..., None], laid_over, np.array([255, 255, 255, 0], np.uint8))
    np.testing.assert_array_equal(mask_of(tmp_path, saved(hidden_white)), BLOB)


def test_a_palette_mask_marks_every_index_but_the_background(tmp_path):
    classes = BLOB.astype(np.uint8)
    classes[0, :3] = 2
    numbered = Image.fromarray(classes).convert("P")
    for palette in ([0, 0, 0, 128, 0, 0, 9, 0, 0], [255, 255, 255, 200, 0, 0, 0, 60, 0], [0] * 9, [0, 0, 0, 1, 1, 1, 2, 2, 2]):
        numbered.putpalette(palette)
        np.testing.assert_array_equal(mask_of(tmp_path, saved(numbered)), classes > 0, err_msg=str(palette))


def test_a_palette_that_begins_with_white_does_not_turn_the_mask_inside_out(tmp_path):
    reduced = Image.fromarray(BLOB * np.uint8(255)).quantize(2)
    assert reduced.getpalette()[:3] == [255, 255, 255]
    np.testing.assert_array_equal(mask_of(tmp_path, saved(reduced)), BLOB)


def test_a_mask_in_several_files_is_all_they_show_each_read_by_its_own_values(tmp_path):
    image.write(tmp_path / "a.png", BLOB.astype(np.uint8) * 255)
    image.write(tmp_path / "b.png", BLOB[::-1].astype(np.uint8) * 3)
    files = (tmp_path / "a.png", tmp_path / "b.png")
    np.testing.assert_array_equal(maskfiles.read(files), BLOB | BLOB[::-1])
    np.testing.assert_array_equal(maskfiles.read(files[1:]), BLOB[::-1])
    image.write(tmp_path / "b.png", np.zeros((8, 6), np.uint8))
    with pytest.raises(PictureError, match=r"b\.png: differs in size from a\.png, a mask of the same picture"):
        maskfiles.read(files)


def test_an_empty_palette_mask_is_empty(tmp_path):
    assert not mask_of(tmp_path, saved(Image.new("P", (5, 4)))).any()


# Writing


@pytest.mark.parametrize("ending", [".png", ".PNG", ".jpg", ".jpeg", ".webp"])
def test_what_is_written_is_read_again(ending, tmp_path):
    for pixels in (MARKS, np.dstack([MARKS, MARKS[::-1], MARKS])):
        image.write(tmp_path / f"a{ending}", pixels)
        found = image.read(tmp_path / f"a{ending}").astype(int)
        difference = np.abs(found - (pixels if pixels.ndim == 3 else pixels[..., None]))
        assert difference.mean() < (1e-9 if ending.lower() == ".png" else 12)


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"a\.bmp: pictures are written as \.png, \.jpg, \.jpeg, \.webp"):
        image.write(tmp_path / "a.bmp", noise())
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for read in (image.read, maskfiles.read, image.size_hw):
        with pytest.raises(PictureError, match=r"pipe\.png: is a pipe or a device"):
            read(tmp_path / "pipe.png")


@pytest.mark.parametrize("mode", ["grey", "colour", "16 bits", "palette"])
def test_the_value_of_a_mask_is_its_largest(mode: str, tmp_path: Path) -> None:
    value = 40_000 if mode == "16 bits" else 237
    levels = (BLOB * value).astype(np.uint16 if mode == "16 bits" else np.uint8)
    if mode == "palette":
        picture = Image.fromarray(levels).convert("L").convert("P")
        picture.putdata(levels.ravel().tolist())
    else:
        picture = Image.fromarray(np.repeat(levels[:, :, None], 3, 2) if mode == "colour" else levels)
    (tmp_path / "mask.png").write_bytes(saved(picture))
    assert maskfiles.largest_value(tmp_path / "mask.png") == value
    with pytest.raises(PictureError, match="there is no such file"):
        maskfiles.largest_value(tmp_path / "other.png")
