"""What reading a JPEG at half its scale would save, and what it would change in what the network sees and in the scores.

    python benchmarks/jpeg.py [--pictures GOOD_DIR] [--good 24] [--size 1024] [--rounds 5]

A JPEG decoder can leave out the finest waves of each block of 8 × 8 pixels and give a picture of half the size for less work.
flawsight does not: this is why. The pictures are drawn plates unless a folder is named; of either a JPEG of quality 92 is
read. A model learns from all but the last quarter, which both ways then judge.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
from pathlib import Path

import growth
import numpy as np
import timing
from PIL import Image

from flawsight.fitting import Plan, fit, good_pictures
from flawsight.images import image
from flawsight.types import Pixels

QUALITY = 92


def halved(data: bytes) -> Pixels:
    """The picture at half its scale, uint8 [H/2,W/2,3], as the decoder makes it."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft(picture.mode, (picture.width // 2, picture.height // 2))
        return image.read(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of good pictures")
    parser.add_argument("--good", type=int, default=24, help="plates drawn, or pictures taken")
    parser.add_argument("--size", type=int, default=1024, help="of the drawn plates, on each side")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if not chosen.pictures:
            growth.write_pictures({chosen.good: Path(temporary)}, chosen.size)
        samples = good_pictures(chosen.pictures or Path(temporary))[: chosen.good]
        files = [image.encode(image.read(sample.path), "jpeg", QUALITY) for sample in samples]
    judged = files[-max(1, len(files) // 4) :]
    model = fit(files[: -len(judged)], Plan("patchcore"))
    reduce = model.preprocess.reduce
    seconds = timing.in_turns(
        {
            "whole": lambda: [reduce(image.read(data)) for data in judged],
            "halved": lambda: [reduce(halved(data)) for data in judged],
        },
        chosen.rounds,
    )
    seen = [np.abs(reduce(image.read(data)).astype(float) - reduce(halved(data))) for data in judged]
    scores = [(model.predict(data).score, model.predict(halved(data)).score) for data in judged]
    moved = [100 * abs(half / whole - 1) for whole, half in scores]
    high, wide = image.read(judged[0]).shape[:2]
    print(f"{timing.machine('pillow')}. JPEG of quality {QUALITY}, {wide}×{high} px, {len(judged)} judged.\n")
    print(timing.comparison({name: [one / len(judged) for one in times] for name, times in seconds.items()}, "whole"))
    print("\nHalved against whole, what the network sees differs by", end=" ")
    print(f"{statistics.mean(one.mean() for one in seen):.2f} grey levels in the mean,", end=" ")
    print(f"{max(one.max() for one in seen):.0f} at most,", end=" ")
    print(f"the score by {statistics.median(moved):.2f} % in the median and {max(moved):.2f} % at most.")


if __name__ == "__main__":
    main()
