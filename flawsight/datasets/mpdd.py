"""MPDD, painted and bare metal parts; MVTec AD's layout, recognised by the names of its categories.

    <category>/train/good/*.png   <category>/test/<kind>/*.png   <category>/ground_truth/<kind>/<name>_mask.png

Jezek et al., "Deep learning-based defect detection of metal parts", ICUMT 2021; the data are CC BY-NC-SA 4.0, from GitHub,
stepanje/MPDD.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets import tree
from flawsight.datasets.base import DataSet, Layout, left_aside

NAMES = ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes")


def categories(root: Path) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return tree.categories(root, tree.looks_like_one)


def recognises(root: Path) -> bool:
    """Whether the folder is one of its categories or holds some, and none but those."""
    return tree.holds(root, NAMES)


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    return left_aside(tree.read(LAYOUT, root, use_masks))


LAYOUT = Layout(
    name="mpdd",
    title="MPDD",
    description=f"as MVTec AD, with the categories {', '.join(NAMES)}",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="GitHub, stepanje/MPDD",
    counts={name: {} for name in NAMES},
    about={"": {"train": 888, "test": 458}},
)
