"""A plain folder of pictures.

    only good pictures:  <root>/*.png
    good and defective:  <root>/good/*.png   <root>/<kind>/*.png   and, if there are any, <root>/masks/<kind>/<name>.png

Where nothing says which good pictures to learn from, every fourth is kept for the test.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets.base import GOOD_NAMES, MASK_FOLDERS, DataSet, defective_samples, find_pictures, samples
from flawsight.errors import DataError
from flawsight.types import Sample

DESCRIPTION = (
    "plain folder: good pictures; or good/ and one folder for each kind of defect, with or without masks/<kind>/<name>.png"
)
TEST_EVERY = 4


def recognises(root: Path) -> bool:
    """Whether it holds pictures, or a folder of good ones."""
    return _good_folder(root) is not None or bool(find_pictures(root))


def read(root: Path) -> DataSet:
    """Train and test Samples. Raises DataError where there is nothing good to learn from."""
    good_folder = _good_folder(root)
    good = find_pictures(good_folder or root)
    if not good:
        raise DataError(f"{root}: no pictures of good parts; looked for pictures in it and in good/. Check the path.")
    if good_folder is None:
        return DataSet(root.name, root, samples(root, good, 0, "good"), [])
    test: list[Sample] = []
    notes: list[str] = []
    masks = next((root / name for name in MASK_FOLDERS if (root / name).is_dir()), root / MASK_FOLDERS[0])
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p not in (good_folder, masks)):
        found, said = defective_samples(root, find_pictures(folder), folder.name, masks / folder.name)
        test, notes = test + found, notes + said
    notes.append(f"Every {TEST_EVERY}th good picture was kept for the test; the model learned from the others.")
    kept = samples(root, good[TEST_EVERY - 1 :: TEST_EVERY], 0, "good")
    learned = samples(root, [p for i, p in enumerate(good) if i % TEST_EVERY != TEST_EVERY - 1], 0, "good")
    return DataSet(root.name, root, learned, kept + test, notes)


def _good_folder(root: Path) -> Path | None:
    return next((root / name for name in GOOD_NAMES if (root / name).is_dir()), None)
