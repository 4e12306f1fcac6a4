"""VisA, twelve objects; as published, split by a list, or as its authors' script lays it out, much like MVTec AD.

    split_csv/1cls.csv: object, split, label, image, mask; the paths are <category>/Data/Images/{Normal,Anomaly}/*.JPG and
    <category>/Data/Masks/Anomaly/*.png
    or: <category>/train/good/*.JPG   <category>/test/{good,bad}/*.JPG   <category>/ground_truth/bad/<name>.png

Masks hold numbers of kinds of defects, so all but 0 is defective. Zou et al., "SPot-the-Difference", ECCV 2022; the data are
CC BY 4.0, from GitHub, amazon-science/spot-diff.
"""

from __future__ import annotations

import csv
from pathlib import Path

from flawsight.datasets import tree
from flawsight.datasets.base import DataSet, Layout, above, left_aside, listed, title
from flawsight.errors import DataError
from flawsight.types import Sample, name_of

LIST = "split_csv/1cls.csv"
GOOD = {
    "candle": 1000,
    "capsules": 602,
    "cashew": 500,
    "chewinggum": 503,
    "fryum": 500,
    "macaroni1": 1000,
    "macaroni2": 1000,
    "pcb1": 1004,
    "pcb2": 1001,
    "pcb3": 1006,
    "pcb4": 1005,
    "pipe_fryum": 500,
}


def categories(root: Path) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return tree.categories(root, lambda folder: _is_as_published(folder) or tree.looks_like_one(folder))


def recognises(root: Path) -> bool:
    """Whether the folder is a category or holds some, of the one layout or the other."""
    published = _is_as_published(root) or (root / LIST).is_file() or tree.is_of(root, _is_as_published, tuple(GOOD))
    return published or tree.holds(root, tuple(GOOD))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    if not _is_as_published(root):
        return left_aside(tree.read(LAYOUT, root, use_masks))
    top, name = above(root), title(root)
    if not (top / LIST).is_file():
        raise LAYOUT.lacks(top, LIST)
    try:
        train, test = _split(top / LIST, root, name, use_masks)
    except (KeyError, ValueError, csv.Error) as error:  # ValueError: bytes that are no text too
        why = f"columns object, split (train or test), label, image and mask were needed; came something else ({error})"
        raise DataError(f"{top / LIST}: {why}. Unpack it again. {LAYOUT.where}") from None
    if not train or not test:
        raise LAYOUT.lacks(top, f"{LIST} with pictures of {name}")
    masks = [one.mask for one in test if isinstance(one.mask, Path)]
    listed(LAYOUT, root, [*(one.path for one in (*train, *test)), *masks], LIST)
    return DataSet(name, root, train, test)


def _split(file: Path, root: Path, name: str, use_masks: bool) -> tuple[list[Sample], list[Sample]]:
    """Good samples to learn from, and samples to judge."""
    split: dict[str, list[Sample]] = {"train": [], "test": []}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["object"] == name:
                below = Path(row["image"]).relative_to(name)
                bad = row["label"] != "normal"
                mask = root / Path(row["mask"]).relative_to(name) if bad and use_masks else None
                sample = Sample(root / below, name_of(below), int(bad), "defective" if bad else "good", mask)
                split[row["split"]].append(sample)
    return [sample for sample in split["train"] if not sample.label], split["test"]


def _is_as_published(root: Path) -> bool:
    return (root / "Data/Images").is_dir()


LAYOUT = Layout(
    name="visa",
    title="VisA",
    description=f"{LIST} and <category>/Data/Images/{{Normal,Anomaly}}; or as MVTec AD, with VisA's categories",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY 4.0",
    source="GitHub, amazon-science/spot-diff",
    counts={name: {"good": n, "defective": 100} for name, n in GOOD.items()},
)
