"""The layout of MVTec AD 2, taken under several lightings.

    <category>/train/good/<nnn>_<lighting>.png   <category>/validation/good/…
    <category>/test_public/{good,bad}/<nnn>_<lighting>.png   <category>/test_public/ground_truth/bad/<nnn>_<lighting>_mask.png
    <category>/test_private/…   <category>/test_private_mixed/…

The private parts have no labels; the publisher's server at benchmark.mvtec.com judges maps of them.
Heckler-Kram et al., "The MVTec AD 2 Dataset", 2025; the data are CC BY-NC-SA 4.0, from mvtec.com.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from flawsight.datasets import tree
from flawsight.datasets.base import DataSet, Layout
from flawsight.types import Sample, name_of

# category: pictures to learn from, good and bad ones to judge; with 302 to validate and 2 × 2,045 private ones 8,004 in all
TABLE = {
    "can": (412, 72, 90),
    "fabric": (387, 66, 90),
    "fruit_jelly": (263, 20, 60),
    "rice": (313, 42, 90),
    "sheet_metal": (137, 24, 90),
    "vial": (291, 35, 105),
    "wallplugs": (293, 60, 90),
    "walnuts": (432, 60, 90),
}


def categories(root: Path) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return tree.categories(root, _is_one)


def recognises(root: Path) -> bool:
    """Whether the folder is a category or holds some, and no others."""
    return tree.is_of(root, _is_one, tuple(TABLE))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    data = tree.read(LAYOUT, root, use_masks, test="test_public", masks="test_public/ground_truth")
    notes = [f"Lightings to learn from: {_lightings(data.train)}; to judge: {_lightings(data.test)}."]
    notes += tree.unused(root, ("validation/good",), "since held-out training pictures set the threshold")
    notes += tree.unused(root, ("test_private", "test_private_mixed"), "since only the publisher has their labels")
    return replace(data, notes=[*data.notes, *notes])


def _is_one(root: Path) -> bool:
    return (root / "test_public").is_dir()


def _lightings(samples: list[Sample]) -> str:
    """Each with its pictures: what follows the number in a file's name."""
    counted = Counter(name_of(sample.path.stem.partition("_")[2]) or "not stated" for sample in samples)
    return ", ".join(f"{lighting} ({n})" for lighting, n in sorted(counted.items()))


LAYOUT = Layout(
    name="mvtec_ad2",
    title="MVTec AD 2",
    description="train/good, test_public/{good,bad}, test_public/ground_truth/bad/<name>_mask.png; the lighting ends the name",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="mvtec.com, research, datasets, MVTec AD 2",
    counts={name: {} for name in TABLE},
    about={name: {"train": train, "test good": good, "bad": bad} for name, (train, good, bad) in TABLE.items()},
)
