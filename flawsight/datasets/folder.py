"""A plain folder of pictures.

    only good pictures:  <root>/*.png
    good and defective:  <root>/good/*.png   <root>/<kind>/*.png   and, if there are any, <root>/masks/<kind>/<name>.png

The folder of good pictures may also be called ok or normal, that of masks mask or ground_truth, in capitals or not. Where nothing
says which good pictures to learn from, every fourth is kept for the test.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets.base import (
    GOOD_NAMES,
    MASK_FOLDERS,
    DataSet,
    Layout,
    defective_samples,
    find_folders,
    find_pictures,
    samples,
    title,
)
from flawsight.errors import DataError
from flawsight.types import Sample

TEST_EVERY = 4


def recognises(root: Path) -> bool:
    """Whether it holds pictures, or a folder of good ones."""
    return bool(_named(root, GOOD_NAMES)) or bool(find_pictures(root))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """Train and test Samples. Raises DataError where there is nothing good to learn from."""
    good_folder = _only(root, GOOD_NAMES)
    masks = _only(root, MASK_FOLDERS) if use_masks else None
    good = find_pictures(good_folder or root)
    if not good:
        raise DataError(f"{root}: no pictures of good parts; looked for pictures in it and in good/. Check the path.")
    if good_folder is None:
        return DataSet(title(root), root, samples(root, good, 0, "good"), [])
    test: list[Sample] = []
    notes: list[str] = []
    for folder in find_folders(root):
        if folder.name.lower() not in (*GOOD_NAMES, *MASK_FOLDERS):
            found, said = defective_samples(root, folder, masks and masks / folder.name)
            test, notes = test + found, notes + said
    kept = samples(root, good[TEST_EVERY - 1 :: TEST_EVERY], 0, "good")
    if kept:
        notes.append(f"Every {TEST_EVERY}th good picture was kept for the test; the model learned from the others.")
    else:
        notes.append(f"With fewer than {TEST_EVERY} good pictures, none was kept for the test.")
    learned = samples(root, [p for i, p in enumerate(good) if i % TEST_EVERY != TEST_EVERY - 1], 0, "good")
    return DataSet(title(root), root, learned, kept + test, notes)


def _named(root: Path, names: tuple[str, ...]) -> list[Path]:
    return [folder for folder in find_folders(root) if folder.name.lower() in names]


def _only(root: Path, names: tuple[str, ...]) -> Path | None:
    """The one folder of these names, if there is any."""
    found = _named(root, names)
    if len(found) > 1:
        listed = " and ".join(folder.name for folder in found)
        raise DataError(f"{root}: one folder called {' or '.join(names)} was needed; came {listed}. Merge or rename them.")
    return found[0] if found else None


LAYOUT = Layout(
    name="folder",
    title="plain folder",
    description="good pictures; or good/ and one folder for each kind of defect, with or without masks/<kind>/<name>.png",
    recognises=recognises,
    categories=lambda root: {},
    read=read,
)
