"""The formats of pictures: which can be read here, and what the first bytes of a file say."""

from __future__ import annotations

import importlib.util
from functools import cache

HEIF_DECODERS = ("pi_heif", "pillow_heif")
HEIF_ENDINGS = (".heic", ".heif", ".hif")
PLAIN = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")  # no others are tried: Pillow would run Ghostscript for EPS
LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF")
EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".gif"),
    *(".pbm", ".pgm", ".ppm", ".pnm"),
    *(HEIF_ENDINGS if any(map(importlib.util.find_spec, HEIF_DECODERS)) else ()),
)
BEGINNINGS = (
    (b"\x89PNG\r\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"v/1\x01", "OpenEXR"),
)
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "camera's own raw"}
BRANDS |= dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIF")


@cache
def readable() -> tuple[str, ...]:
    """Pillow's names of the formats that are tried."""
    from PIL import features

    heif = next((name for name in HEIF_DECODERS if importlib.util.find_spec(name)), None)
    if heif:
        importlib.import_module(heif).register_heif_opener()
    return (*PLAIN, *(["AVIF"] if features.check("avif") else []), *(["HEIF"] if heif else []))


def kind(beginning: bytes) -> str:
    """The format of a picture file by its first bytes, at least 16 of them; nothing if it is none that is known."""
    if beginning[4:8] == b"ftyp":
        return BRANDS.get(beginning[8:12], "")
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WEBP"
    if beginning[:2] == b"BM" and beginning[6:10] == b"\0\0\0\0":
        return "BMP"
    return next((name for start, name in BEGINNINGS if beginning.startswith(start)), "")


def how_to_read(name: str) -> str:
    """What to do about a picture of a format by this name, which cannot be read or whose file's ending is not a picture's."""
    if name == "HEIF":
        return "HEIC needs a decoder. Run: pip install 'flawsight[heic]', or save the pictures as PNG or JPEG."
    if name in (*PLAIN, "AVIF"):
        return f"they hold {name} pictures under an ending of no picture. Rename them."
    return f"pictures of the format {name} cannot be read. Save them as PNG, TIFF or JPEG."
