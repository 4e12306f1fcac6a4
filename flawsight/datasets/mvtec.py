"""The layout of MVTec AD, and of the many data sets that follow it.

    <category>/train/good/*.png   <category>/test/<kind>/*.png   <category>/ground_truth/<kind>/<name>_mask.png

Bergmann et al., "MVTec AD", CVPR 2019; the data are CC BY-NC-SA 4.0, from mvtec.com.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets.base import GOOD_NAMES, DataSet, defective_samples, find_folders, find_pictures, samples, title
from flawsight.errors import DataError
from flawsight.types import Sample

DESCRIPTION = "MVTec AD: train/good, test/<kind>, ground_truth/<kind>/<name>_mask.png; a category or a folder of categories"


def recognises(root: Path) -> bool:
    """Whether the folder is a category or holds some."""
    return _is_category(root) or bool(categories(root))


def categories(root: Path) -> list[str]:
    """The names of the categories in the folder; none where it is one itself."""
    return [] if _is_category(root) else [p.name for p in find_folders(root) if _is_category(p)]


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    for part in ("train/good", "test"):
        if not (root / part).is_dir():
            raise DataError(f"{root}: the MVTec AD layout needs {part}; there is none. Check the path, or finish unpacking.")
    train = samples(root, find_pictures(root / "train/good"), 0, "good")
    test: list[Sample] = []
    notes: list[str] = []
    for folder in find_folders(root / "test"):
        if folder.name.lower() in GOOD_NAMES:
            test += samples(root, find_pictures(folder), 0, "good")
            continue
        found, said = defective_samples(root, folder, root / "ground_truth" / folder.name if use_masks else None)
        test, notes = test + found, notes + said
    if not train or not test:
        raise DataError(f"{root}: no pictures in {'train/good' if not train else 'test'}. Check the path, or finish unpacking.")
    return DataSet(title(root), root, train, test, notes)


def _is_category(root: Path) -> bool:
    """Whether enough is there to tell: a part that is missing is then named by `read`."""
    return (root / "train/good").is_dir() or sum((root / part).is_dir() for part in ("train", "test", "ground_truth")) > 1
