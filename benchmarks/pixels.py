"""Pixel AUROC and PRO at full resolution: flawsight's one sort and its bins, beside the loop over 200 thresholds.

    python benchmarks/pixels.py [--pictures 160] [--size 1024] [--thresholds 200] [--timed 4]

Each way runs in a process of its own, whose peak memory is its own, on the same drawn maps. The loop is what most code does: at
each threshold binarise every map, find the regions of its mask, and take the share of each that is found. A careful loop finds the
regions once. Both cost the same at every threshold; `--timed` of them are run and the time is that times their number.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import timing
from scipy import ndimage

from flawsight.metrics import PixelTally
from flawsight.system.record import peak_rss_mb

WAYS = {"one sort": 10**12, "bins": 0}  # pixels up to which it is exact
LOOPS = {"loop over thresholds": True, "the same, regions found once": False}


def drawn(n: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Maps float32 and masks: three in four pictures have one to four round defects, where the map is higher on the whole."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:size, :size]
    for i in range(n):
        mask = np.zeros((size, size), np.bool_)
        for _ in range(rng.integers(1, 5) if i % 4 else 0):
            y, x, radius = *rng.integers(0, size, 2), size * rng.uniform(0.01, 0.06)
            mask |= (row - y) ** 2 + (column - x) ** 2 < radius**2 + 1
        heat = rng.standard_normal((size, size), np.float32)
        heat += 2 * mask
        yield heat, mask


def regions_of(mask: np.ndarray) -> list[tuple[tuple[slice, ...], np.ndarray]]:
    """Where each region lies, and its pixels there."""
    numbers, _ = ndimage.label(mask, np.ones((3, 3)))
    return [(place, numbers[place] == k) for k, place in enumerate(ndimage.find_objects(numbers), 1)]


def by_thresholds(pictures: list[tuple[np.ndarray, np.ndarray]], n: int, timed: int, anew: bool) -> float:
    """Seconds of the loop over n thresholds. anew: the regions are found at each of them."""
    started = time.perf_counter()
    known = [regions_of(mask) for _, mask in pictures]
    good = [~mask for _, mask in pictures]
    n_good = sum(int(one.sum()) for one in good)
    low, high = min(heat.min() for heat, _ in pictures), max(heat.max() for heat, _ in pictures)
    before = time.perf_counter() - started
    started = time.perf_counter()
    curve = []
    for threshold in np.linspace(low, high, timed):
        overlaps, false = [], 0
        for (heat, mask), regions, clear in zip(pictures, known, good, strict=True):
            found = heat >= threshold
            for place, region in regions_of(mask) if anew else regions:
                overlaps.append(np.count_nonzero(found[place] & region) / np.count_nonzero(region))
            false += np.count_nonzero(found & clear)
        curve.append((false / n_good, np.mean(overlaps)))
    return before + (time.perf_counter() - started) / timed * n


def measure(way: str, chosen: argparse.Namespace) -> dict[str, float]:
    """One way, in this process."""
    if way in LOOPS:
        pictures = list(drawn(chosen.pictures, chosen.size))
        return {"seconds": by_thresholds(pictures, chosen.thresholds, chosen.timed, LOOPS[way]), "mib": peak_rss_mb()}
    tally, seconds = PixelTally(exact_px=WAYS[way]), 0.0
    for heat, mask in drawn(chosen.pictures, chosen.size):
        started = time.perf_counter()
        tally.add(heat, mask)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    found = tally.metrics()
    seconds += time.perf_counter() - started
    return {"seconds": seconds, "mib": peak_rss_mb(), "auroc": found.auroc, "pro": found.pro, "error": found.error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=160)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--thresholds", type=int, default=200)
    parser.add_argument("--timed", type=int, default=4)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        print(json.dumps(measure(chosen.way, chosen)))
        return
    found = {}
    for way in (*WAYS, *LOOPS):
        done = subprocess.run([sys.executable, *sys.argv, "--way", way], check=True, stdout=subprocess.PIPE)
        found[way] = json.loads(done.stdout)
    size = f"{chosen.pictures} pictures of {chosen.size} × {chosen.size}, {chosen.thresholds} thresholds"
    print(f"{timing.machine('numpy', 'scipy')}. {size}.\n")
    print(
        timing.table(
            ("way", "seconds", "times the sort's", "peak MiB", "pixel AUROC", "PRO", "largest error"),
            [
                (
                    way,
                    f"{one['seconds']:.1f}",
                    f"{one['seconds'] / found['one sort']['seconds']:.2g}",
                    f"{one['mib']:.0f}",
                    *(f"{one[name]:.6f}" if name in one else "–" for name in ("auroc", "pro", "error")),
                )
                for way, one in found.items()
            ],
        )
    )


if __name__ == "__main__":
    main()
