"""Whether the light differs between the pictures of a data set, and what that does to methods: each also with the light evened.

    python benchmarks/light.py DATA [--category NAME] [--methods mahalanobis_ad,ocsvm] [--size 320]

A picture's light is the mean of its rim, a twenty-fifth of its side wide, which shows the background. To even it, a picture is
multiplied by what brings its rim to the mean over the good pictures of the fit. Prints the light by kind, the image AUROC that
the light alone has, and a Markdown table of the methods' image AUROC.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from timing import table

import flawsight as fs
from flawsight.datasets import open_dataset
from flawsight.fitting import Plan
from flawsight.images import image
from flawsight.metrics import auroc
from flawsight.types import Pixels, Sample


def light(pixels: Pixels) -> float:
    """The mean of the rim."""
    rim = np.ones(pixels.shape[:2], np.bool_)
    wide = max(1, min(rim.shape) // 25)
    rim[wide:-wide, wide:-wide] = False
    return float(pixels[rim].mean())


def evened(pixels: Pixels, wanted: float) -> Pixels:
    """The picture as it would be with that light."""
    return np.clip(np.rint(pixels * (wanted / max(light(pixels), 1.0))), 0, 255).astype(np.uint8)


def read(sample: Sample) -> Pixels:
    return image.read(sample.path, sample.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--category")
    parser.add_argument("--methods", default="mahalanobis_ad,ocsvm")
    parser.add_argument("--size", type=int, default=320)
    chosen = parser.parse_args()
    dataset = open_dataset(chosen.data, chosen.category)
    labels = [int(sample.label or 0) for sample in dataset.test]
    learned = [light(read(sample)) for sample in dataset.train]
    judged = np.array([light(read(sample)) for sample in dataset.test])
    wanted = float(np.mean(learned))
    for what, lights in (
        ("good, learned from", np.array(learned)),
        ("good, judged", judged[np.array(labels) == 0]),
        ("defective, judged", judged[np.array(labels) == 1]),
    ):
        print(f"light of {what}: {lights.mean():.1f} ± {lights.std():.1f} ({len(lights)} pictures)")
    print(
        f"image AUROC of the light alone: {100 * auroc(judged, labels):.1f}, of its distance from the good pictures' mean: ", end=""
    )
    print(f"{100 * auroc(np.abs(judged - wanted), labels):.1f}\n")

    def score(method: str, even: bool) -> float:
        def prepared(samples: list[Sample]) -> list[Any]:
            return [evened(read(sample), wanted) for sample in samples] if even else list(samples)

        model = fs.fit(prepared(dataset.train), Plan(method=method, size=chosen.size))
        return auroc([one.score for one in model.predict_batch(prepared(dataset.test))], labels)

    rows = [(method, *(f"{100 * score(method, even):.1f}" for even in (False, True))) for method in chosen.methods.split(",")]
    print(table(("method", "image AUROC", "with the light evened"), rows))


if __name__ == "__main__":
    main()
