"""Whether a fit could choose by defects drawn onto good pictures, without a label: the weight of each of the two banks.

    python benchmarks/choosing.py FOLDER_OF_SETS [--sets NAME,…] [--good 60] [--held 20]

For each data set the default is fitted on `--good` of its good pictures. `--held` further good ones are judged as they are and with
defects drawn onto them, of KINDS in turn and of several sizes. The weight is chosen that tells the two apart best, the even one
where others are no better; then all weights are judged on the set's own test pictures. Printed are the image AUROC of every weight
on the test pictures, of the weight chosen, and the AUROC on drawn defects that it was chosen by.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from timing import machine, table

from flawsight.datasets import open_dataset
from flawsight.fitting import Plan, fit
from flawsight.images import image
from flawsight.methods.two_banks import TwoBanks
from flawsight.metrics import auroc
from flawsight.model import Model
from flawsight.types import Pixels, Sample

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the deep bank; the shallow one has the rest
SIZES = (0.04, 0.08, 0.16)  # of a defect, as a share of the shorter side


def pasted(picture: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A square from elsewhere in the picture, turned by a quarter."""
    (x, y), (u, v) = (rng.integers(0, np.array(picture.size) - side, 2) for _ in range(2))
    changed = picture.copy()
    changed.paste(picture.crop((u, v, u + side, v + side)).rotate(90), (int(x), int(y)))
    return changed


def scratched(picture: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A line, lighter or darker than the picture."""
    x, y = (int(rng.integers(side, edge - side)) for edge in picture.size)
    angle, changed = rng.uniform(0, np.pi), picture.copy()
    reach = np.array([np.cos(angle), np.sin(angle)]) * side
    shade = int(rng.choice([30, 225]))
    ImageDraw.Draw(changed).line([x - reach[0], y - reach[1], x + reach[0], y + reach[1]], (shade,) * 3, max(1, side // 12))
    return changed


def spotted(picture: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A soft spot, a fifth lighter or darker."""
    x, y = (int(rng.integers(0, edge - side)) for edge in picture.size)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse([x, y, x + side, y + side], fill=255)
    changed = picture.point([int(min(255, value * float(rng.choice([0.8, 1.2])))) for value in range(256)] * 3)
    return Image.composite(changed, picture, mask.filter(ImageFilter.GaussianBlur(side / 8)))


def smeared(picture: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A square in which all detail is blurred."""
    x, y = (int(rng.integers(0, edge - side)) for edge in picture.size)
    changed = picture.copy()
    changed.paste(picture.crop((x, y, x + side, y + side)).filter(ImageFilter.GaussianBlur(side / 6)), (x, y))
    return changed


KINDS: tuple[Callable[[Image.Image, int, np.random.Generator], Image.Image], ...] = (pasted, scratched, spotted, smeared)


def drawn(pixels: Pixels, i: int) -> Pixels:
    """A good picture with the i-th defect: kinds and sizes in turn."""
    picture = Image.fromarray(pixels)
    side = max(6, round(SIZES[i // len(KINDS) % len(SIZES)] * min(picture.size)))
    return np.asarray(KINDS[i % len(KINDS)](picture, side, np.random.default_rng(i)))


def of_banks(model: Model, pictures: list[Pixels]) -> NDArray[np.float64]:
    """Each bank's scores in its own units of held-out spread: [2,N]."""
    assert isinstance(model.method, TwoBanks)
    each = [model.method.each(model.preprocess.apply(picture)[None]) for picture in pictures]
    scores = np.array([[bank.image[0] for bank in one] for one in each], np.float64).T
    return scores / model.method.state()["image_scale"][:, 1:]


def measured(samples: list[Sample], test: list[Sample], good: int, held: int) -> dict[str, list[float]]:
    """By each weight the AUROC on drawn defects and on the test pictures."""
    order = np.random.default_rng(0).permutation(len(samples))
    held = min(held, len(samples) // 4)
    model = fit([samples[i] for i in order[held : held + good]], Plan())
    unseen = [image.read(samples[i].path) for i in order[:held]]
    clean = of_banks(model, unseen)
    faulty = np.concatenate(
        [of_banks(model, [drawn(one, i + k * len(KINDS)) for i, one in enumerate(unseen)]) for k in range(3)], 1
    )
    judged, labels = of_banks(model, [image.read(one.path) for one in test]), [one.label for one in test]
    found: dict[str, list[float]] = {"drawn": [], "test": []}
    for weight in WEIGHTS:
        joined = [(1 - weight) * scores[0] + weight * scores[1] for scores in (clean, faulty, judged)]
        found["drawn"].append(100 * auroc(np.concatenate(joined[:2]), [0] * clean.shape[1] + [1] * faulty.shape[1]))
        found["test"].append(100 * auroc(joined[2], labels))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", help="names of folders, separated by commas; all if left out")
    parser.add_argument("--good", type=int, default=60)
    parser.add_argument("--held", type=int, default=20)
    chosen = parser.parse_args()
    folders = [one for one in sorted(chosen.folder.iterdir()) if one.is_dir() and one.name in (chosen.sets or one.name).split(",")]
    rows, even, taken = [], [], []
    for folder in folders:
        dataset = open_dataset(folder)
        dataset = replace(dataset, train=sorted(dataset.train, key=lambda sample: sample.name))
        found = measured(dataset.train, dataset.test, chosen.good, chosen.held)
        middle = len(WEIGHTS) // 2
        best = max(range(len(WEIGHTS)), key=lambda i: (found["drawn"][i], -abs(i - middle)))
        even.append(found["test"][middle])
        taken.append(found["test"][best])
        rows.append(
            (
                folder.name,
                *(f"{value:.1f}" for value in found["test"]),
                WEIGHTS[best],
                f"{taken[-1]:.1f}",
                f"{found['drawn'][best]:.1f}",
            )
        )
    rows.append(("mean", "", "", f"{statistics.mean(even):.1f}", "", "", "", f"{statistics.mean(taken):.1f}", ""))
    heads = ("set", *(f"deep {weight:g}" for weight in WEIGHTS), "chosen", "its AUROC", "on drawn defects")
    print(f"{machine('numpy', 'onnxruntime')}\n\n{table(heads, rows)}")


if __name__ == "__main__":
    main()
