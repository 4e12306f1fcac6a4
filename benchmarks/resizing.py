"""What resizing without antialiasing changes for MahalanobisAD, whose authors' code resizes so, on an embedded network.

    python benchmarks/resizing.py DATA ... [--train 100] [--size 384]

DATA are data sets whose pictures are larger than the network's input. Each is fitted and judged twice, the pictures brought to the
input's size beforehand: as the preset does it (Pillow's bilinear filter, which takes in all pixels), and by bilinear interpolation
between the four nearest pixels alone, as OpenCV's default is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from flawsight.datasets import open_dataset
from flawsight.fitting import Plan, fit
from flawsight.images import image
from flawsight.metrics.ranking import auroc
from flawsight.types import Pixels


def plain(pixels: Pixels, hw: tuple[int, int]) -> Pixels:
    """uint8 [H,W,3] at another size, each pixel from the four nearest: uint8 [*hw,3]."""
    found = pixels.astype(np.float64)
    for axis, n in enumerate(hw):
        at = np.clip((np.arange(n) + 0.5) * pixels.shape[axis] / n - 0.5, 0, pixels.shape[axis] - 1)
        first = np.minimum(at.astype(int), pixels.shape[axis] - 2)
        share = (at - first).reshape([-1 if i == axis else 1 for i in range(3)])
        found = found.take(first, axis) * (1 - share) + found.take(first + 1, axis) * share
    return np.rint(found).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--train", type=int, default=100)
    parser.add_argument("--size", type=int, default=384)
    args = parser.parse_args()
    plan = Plan(preset="mahalanobis_ad", backbone="efficientnet_lite0", size=args.size, options={"folds": 1}, needs_threshold=False)
    preprocess = plan.preprocess()
    print("| set | pictures, px | seen, px | AUROC antialiased | AUROC plain | scores differ, median | rank correlation |")
    print("|---|---|---|---|---|---|---|")
    for data in args.data:
        found = open_dataset(data)
        at = np.unique(np.linspace(0, len(found.train) - 1, args.train).round().astype(int))
        train, test = ([image.read(one.path) for one in some] for some in ([found.train[i] for i in at], found.test))
        labels = np.array([one.label for one in found.test])
        hw = preprocess.input_hw(train[0].shape[:2])
        scores = []
        for resized in (preprocess.reduce, lambda pixels, hw=hw: plain(pixels, hw)):
            good, judged = ([np.broadcast_to(resized(one), (*hw, 3)).copy() for one in some] for some in (train, test))
            model = fit(good, plan)
            scores.append(np.array([model.predict(one).score for one in judged]))
        reached = [100 * auroc(one, labels) for one in scores]
        moved = 100 * np.median(np.abs(scores[1] / scores[0] - 1))
        alike = np.corrcoef(rankdata(scores[0]), rankdata(scores[1]))[0, 1]
        sizes = " × ".join(map(str, train[0].shape[1::-1])), " × ".join(map(str, hw[::-1]))
        print(
            "|",
            " | ".join((data.name, *sizes, *(f"{one:.1f}" for one in reached), f"{moved:.1f} %", f"{alike:.3f}")),
            "|",
            flush=True,
        )


if __name__ == "__main__":
    main()
