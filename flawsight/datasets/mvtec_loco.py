"""The layout of MVTec LOCO AD, whose defects are structural or logical.

    <category>/train/good/*.png   <category>/validation/good/*.png
    <category>/test/{good,logical_anomalies,structural_anomalies}/*.png
    <category>/ground_truth/<kind>/<name>/000.png, 001.png, …: each file one region of that picture

Bergmann et al., "Beyond Dents and Scratches", IJCV 2022; the data are CC BY-NC-SA 4.0, from mvtec.com.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flawsight.datasets import tree
from flawsight.datasets.base import DataSet, Layout

NAMES = ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors")
KINDS = ("logical_anomalies", "structural_anomalies")


def categories(root: Path) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return tree.categories(root, _is_one)


def recognises(root: Path) -> bool:
    """Whether the folder is a category or holds some."""
    return _is_one(root) or bool(categories(root))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    data = tree.read(LAYOUT, root, use_masks)
    why = "since held-out training pictures set the threshold"
    return replace(data, notes=[*data.notes, *tree.unused(root, ("validation/good",), why)])


def _is_one(root: Path) -> bool:
    return any((root / part / kind).is_dir() for part in ("test", "ground_truth") for kind in KINDS)


LAYOUT = Layout(
    name="mvtec_loco",
    title="MVTec LOCO AD",
    description="as MVTec AD, with logical_anomalies and structural_anomalies, and a folder of masks for each picture",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="mvtec.com, research, datasets, MVTec LOCO AD",
    counts={name: {} for name in NAMES},
    about={"": {"train": 1772, "test": 1568}},
)
