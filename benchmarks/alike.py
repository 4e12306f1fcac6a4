"""Whether near copies of good pictures are found, and how many pictures are linked that nobody copied.

    python benchmarks/alike.py FOLDER_OF_SETS [--only NAMES] [--copies 10]

Of each set's good pictures (MVTec AD layout) some are copied in one way at a time: re-encoded, brighter, darker, moved, turned,
mirrored; the last three are re-encoded too. Prints how many copies are linked with their picture, in how many series the pictures
are as they came, and seconds of the search. Links among pictures as they came may be true: some sets hold copies and series.
"""

from __future__ import annotations

import argparse
import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from timing import machine, table

from flawsight.fitting import good_pictures, series
from flawsight.images import image
from flawsight.types import Pixels


def encoded(picture: Pixels, quality: int) -> Pixels:
    """As JPEG and back."""
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held))


def lit(picture: Pixels, share: float) -> Pixels:
    """Brighter or darker by that share."""
    return np.clip(share * picture.astype(np.float32), 0, 255).astype(np.uint8)


def moved(picture: Pixels, by: int) -> Pixels:
    """Down and to the right by so many pixels, the rim repeated."""
    return np.pad(picture, ((by, 0), (by, 0), (0, 0)), "edge")[:-by, :-by]


WAYS: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG 60": lambda one: encoded(one, 60),
    "+3 % light": lambda one: lit(one, 1.03),
    "−3 % light": lambda one: lit(one, 0.97),
    "moved 2 px": lambda one: encoded(moved(one, 2), 85),
    "turned 90°": lambda one: encoded(np.rot90(one).copy(), 85),
    "turned 180°": lambda one: encoded(np.rot90(one, 2).copy(), 85),
    "mirrored": lambda one: encoded(one[:, ::-1].copy(), 85),
}


def row(folder: Path, n_copies: int) -> list[object]:
    """The cells behind the set's name."""
    samples = good_pictures(folder / "train" / "good")
    pictures = [image.read(one.path, one.name) for one in samples]
    looks = np.stack([series.small(one) for one in pictures])
    names = [one.name for one in samples]
    n = len(names)
    started = time.perf_counter()
    as_came = series.found(looks, names)
    seconds = time.perf_counter() - started
    copied = random.Random(0).sample(range(n), min(n_copies, n))
    cells = []
    for way in WAYS.values():
        more = np.stack([series.small(way(pictures[i])) for i in copied])
        found = series.found(np.concatenate([looks, more]), [*names, *(f"z{7919 * i}" for i in range(len(copied)))])
        hits = sum(found[i] == found[n + k] for k, i in enumerate(copied))
        cells.append(f"{hits} of {len(copied)}")
    return [n, len(set(as_came.tolist())), *cells, f"{seconds:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="names of sets, separated by commas")
    parser.add_argument("--copies", type=int, default=10)
    chosen = parser.parse_args()
    names = chosen.only.split(",") if chosen.only else sorted(one.name for one in chosen.folder.iterdir() if one.is_dir())
    print(f"{machine('numpy', 'pillow')}\n\n{table(('set', 'good pictures', 'series', *WAYS, 's'), ())}", flush=True)
    for name in names:
        print(f"| {' | '.join(map(str, [name, *row(chosen.folder / name, chosen.copies)]))} |", flush=True)


if __name__ == "__main__":
    main()
