"""DAGM 2007, ten drawn textures.

    Class1/Train/0001.PNG   Class1/Test/0001.PNG   Class1/{Train,Test}/Label/0001_label.PNG, of defective pictures alone

The labels are coarse ellipses, so pixel metrics of it mean little. The defective pictures of the training part are left out.
Wieler and Hahn, DAGM symposium 2007; for research, from the Heidelberg Collaboratory for Image Processing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from flawsight.datasets.base import DataSet, Layout, marked, samples, title
from flawsight.datasets.finding import find_folders, find_pictures
from flawsight.types import Sample


def categories(root: Path) -> dict[str, Path]:
    """The textures in the folder; none where it is one itself."""
    return {} if _is_one(root) else {folder.name: folder for folder in find_folders(root) if _is_one(folder)}


def recognises(root: Path) -> bool:
    """Whether the folder is a texture or holds some."""
    return _is_one(root) or bool(categories(root))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One texture. Raises DataError where a part is missing."""
    train, test = (_part(root, part, use_masks) for part in ("Train", "Test"))
    good = [sample for sample in train if not sample.label]
    if not good or not test:
        raise LAYOUT.found_none(root, "Test" if good else "Train")
    notes = ["Its masks are coarse ellipses around the defects: pixel metrics only hint."] if use_masks else []
    notes += [f"{len(train) - len(good)} defective training pictures are left out."] if len(good) < len(train) else []
    return DataSet(title(root), root, good, test, notes)


def _part(root: Path, part: str, use_masks: bool) -> list[Sample]:
    """Samples of a part; those that have a label are defective, which is why the folder of labels must be there."""
    for needed in (part, f"{part}/Label"):
        if not (root / needed).is_dir():
            raise LAYOUT.lacks(root, needed)
    _, masks = marked(find_pictures(root / part / "Label"), "_label")
    every = samples(root, find_pictures(root / part), 0, "good")
    return [
        replace(sample, label=1, kind="defective", mask=mask if use_masks else None) if mask else sample
        for sample, mask in ((sample, masks.get(sample.path.stem)) for sample in every)
    ]


def _is_one(root: Path) -> bool:
    return re.fullmatch(r"Class\d+", title(root)) is not None and any((root / part).is_dir() for part in ("Train", "Test"))


LAYOUT = Layout(
    name="dagm",
    title="DAGM 2007",
    description="Class<n>/{Train,Test}/<nnnn>.PNG, of defects with Label/<nnnn>_label.PNG",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="for research",
    source="hci.iwr.uni-heidelberg.de, DAGM 2007 competition",
    counts={f"Class{n}": {"good": 1000} if n < 7 else {} for n in range(1, 11)},
    about={f"Class{n}": {"good": 2000} for n in range(7, 11)},
)
