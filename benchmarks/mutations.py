"""What becomes of damaged picture files: each is read, or refused with a PictureError, and nothing else may happen.

    python benchmarks/mutations.py [--count 100000] [--seed 0]

Small drawn pictures are saved in every format and kind of pixel that flawsight reads. Of each mutation one to four places are
changed: a bit flipped, a byte drawn anew, a stretch cut out, doubled or zeroed, or the end cut off.
"""

from __future__ import annotations

import argparse
import collections
import io
import warnings

import numpy as np
from PIL import Image

from flawsight.errors import PictureError
from flawsight.images import image
from flawsight.types import Pixels


def seeds() -> dict[str, bytes]:
    """Name → a picture file."""
    drawn = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    drawn[4:20, 4:28] = 120
    picture, grey = Image.fromarray(drawn), Image.fromarray(drawn[..., 0])
    deep = Image.fromarray(drawn[..., 0].astype(np.uint16) << 4)
    kinds = {"RGB": picture, "grey": grey, "palette": picture.quantize(16), "1 bit": grey.convert("1")}
    wanted = {name: list(kinds.items()) for name in ("PNG", "TIFF", "BMP", "GIF")}
    wanted["PNG"] += [("alpha", picture.convert("RGBA")), ("16 bits", deep)]
    wanted["TIFF"] += [("CMYK", picture.convert("CMYK")), ("16 bits", deep)]
    wanted |= {"JPEG": [("RGB", picture), ("grey", grey), ("CMYK", picture.convert("CMYK"))], "WEBP": [("RGB", picture)]}
    wanted["PPM"] = [("RGB", picture), ("grey", grey), ("1 bit", grey.convert("1"))]
    found = {f"{container}, {kind}": saved(one, container) for container, ones in wanted.items() for kind, one in ones}
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        found[f"TIFF, {compression}"] = saved(picture, "TIFF", compression=compression)
    return found | {
        "JPEG, progressive": saved(picture, "JPEG", progressive=True),
        "WEBP, lossless": saved(picture, "WEBP", lossless=True),
    }


def saved(picture: Image.Image, container: str, **options: object) -> bytes:
    """The bytes of a picture file."""
    held = io.BytesIO()
    picture.save(held, container, **options)
    return held.getvalue()


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with one to four places changed."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(max(1, len(changed))))
        end = at + int(rng.integers(1, 17))
        match int(rng.integers(6)):
            case 0:
                changed[at : at + 1] = bytes(byte ^ 1 << int(rng.integers(8)) for byte in changed[at : at + 1])
            case 1:
                changed[at : at + 1] = rng.bytes(1)
            case 2:
                del changed[at:end]
            case 3:
                changed[at:at] = changed[at:end]
            case 4:
                changed[at:end] = bytes(len(changed[at:end]))
            case _:
                del changed[len(changed) - int(rng.integers(1, 65)) :]
    return bytes(changed)


def outcome(data: bytes, bits: int, whole: Pixels) -> str:
    """What reading a mutation gives: "unchanged" or "other pixels", "refused", or the name of a foreign exception."""
    try:
        found = image.read(data, bits=bits)
    except PictureError:
        return "refused"
    except Exception as error:
        return f"foreign: {type(error).__name__}: {error}"
    return "unchanged" if np.array_equal(found, whole) else "other pixels"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's, of damaged files
    rng, files = np.random.default_rng(wanted.seed), seeds()
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in files}
    wholes = {(name, bits): image.read(data, bits=bits) for name, data in files.items() for bits in (12, 16)}
    names = list(files)
    for number in range(wanted.count):
        name, bits = names[number % len(names)], (12, 16)[number // len(names) % 2]
        counts[name][outcome(mutated(files[name], rng), bits, wholes[name, bits])] += 1
    columns = ("refused", "unchanged", "other pixels")
    print("| picture | " + " | ".join(columns) + " | foreign exceptions |")
    print("|---|" + "---:|" * 4)
    for name, found in [*counts.items(), ("all", sum(counts.values(), collections.Counter()))]:
        foreign = sum(n for what, n in found.items() if what not in columns)
        print(f"| {name} | " + " | ".join(f"{found[column]:,}" for column in columns) + f" | {foreign:,} |")
    for what in sorted({what for found in counts.values() for what in found if what not in columns}):
        print(what)


if __name__ == "__main__":
    main()
