"""BTAD, beanTech's three products.

    {01,02,03}/train/ok/*   {01,02,03}/test/{ok,ko}/*   {01,02,03}/ground_truth/ko/*: masks by the pictures' names, .bmp or .png

Mishra et al., "VT-ADL", ISIE 2021; the data are CC BY-NC-SA 4.0, from avires.dimi.uniud.it.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets import tree
from flawsight.datasets.base import DataSet, Layout

NAMES = ("01", "02", "03")


def categories(root: Path) -> dict[str, Path]:
    """The products in the folder; none where it is one itself."""
    return tree.categories(root, _is_one)


def recognises(root: Path) -> bool:
    """Whether the folder is a product or holds some, and no others."""
    return tree.is_of(root, _is_one, NAMES)


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One product. Raises DataError where a part is missing."""
    return tree.read(LAYOUT, root, use_masks, good="train/ok")


def _is_one(root: Path) -> bool:
    return any((root / part).is_dir() for part in ("train/ok", "test/ko", "ground_truth/ko"))


LAYOUT = Layout(
    name="btad",
    title="BTAD",
    description="01, 02 and 03, each with train/ok, test/ok, test/ko, ground_truth/ko/<name>",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="avires.dimi.uniud.it, papers, btad",
    counts={name: {} for name in NAMES},
    about={"01": {"train": 400, "test": 70}, "02": {"train": 399, "test": 230}, "03": {"train": 1000, "test": 441}},
)
