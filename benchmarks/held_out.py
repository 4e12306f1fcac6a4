"""Whether held-out scores of one bank are like those of pictures never seen: each beside that of a model refitted without the
picture.

    python benchmarks/held_out.py GOOD_DIR [--pictures 20] [--seed 0]

A ratio above 1 says that held-out scores are too high: the threshold that comes from them rejects fewer good parts than promised.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import flawsight as fs
from flawsight.fitting import Plan, good_pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("good_dir", type=Path)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    pictures, plan = good_pictures(chosen.good_dir), Plan("patchcore")
    held_out = fs.fit(pictures, plan).training.held_out
    tried = np.random.default_rng(chosen.seed).choice(len(pictures), min(chosen.pictures, len(pictures)), replace=False)
    ratios = []
    for i in tried:
        without = fs.fit([*pictures[:i], *pictures[i + 1 :]], plan)
        ratios.append(held_out[i] / without.predict(pictures[i]).score)
    low, middle, high = np.quantile(ratios, (0.05, 0.5, 0.95))
    print(f"{len(pictures)} good pictures, {len(tried)} refitted without: held-out score over unseen score")
    print(f"median {middle:.3f}, 5th to 95th percentile {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
