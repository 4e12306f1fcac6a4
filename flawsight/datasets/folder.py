"""A plain folder of pictures.

    only good pictures:  <root>/*.png
    good and defective:  <root>/good/*.png   <root>/<kind>/*.png   and, if there are any, <root>/masks/<kind>/<name>.png

The folder of good pictures may also be called ok or normal, in capitals or not, and have folders in it, as that of a kind may.
Masks may lie in a folder by any usual name (masks, ground_truth, gt, labels, annotations), sorted by kind or not; in one for each
kind (`NG_mask`); in a folder in the kind's; or beside their pictures (`007_mask.png`). Where nothing says which good pictures to
learn from, every fourth is kept for the test.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets import names
from flawsight.datasets.base import DataSet, Layout, left_aside, samples, title
from flawsight.datasets.finding import find_folders, find_pictures, look
from flawsight.datasets.pairing import Masks, defective_samples, split
from flawsight.errors import DataError
from flawsight.types import Sample

TEST_EVERY = 4


def recognises(root: Path) -> bool:
    """Whether it holds pictures, or a folder of good ones."""
    return any(names.is_good(folder.name) for folder in find_folders(root)) or bool(find_pictures(root))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """Train and test Samples. Raises DataError where there is nothing good to learn from."""
    parts = split(root)
    good_folder = _only([folder for folder in parts.kinds if names.is_good(folder.name)], root, "good pictures")
    if use_masks:
        _only([folder for folder in parts.masks if find_pictures(folder, recursive=True)], root, "masks")
    inside = look(good_folder or root, recursive=good_folder is not None)
    if not inside.pictures:
        message = " ".join(inside.notes("taken"))
        raise DataError(
            f"{root}: no pictures of good parts; looked for pictures in it and in good/. {message or 'Check the path.'}"
        )
    good = samples(root, inside.pictures, 0, "good")
    if good_folder is None:
        return left_aside(DataSet(title(root), root, good, []))
    test: list[Sample] = []
    notes = list(parts.notes)
    masks = Masks.around(root) if use_masks else None
    for folder in parts.kinds:
        if folder != good_folder:
            found, said = defective_samples(root, folder, masks)
            test, notes = test + found, notes + said
    notes += masks.unused(good) if masks else []
    learned, kept, how = kept_for_the_test(good)
    return left_aside(DataSet(title(root), root, learned, kept + test, [*notes, how]))


def kept_for_the_test(good: list[Sample]) -> tuple[list[Sample], list[Sample], str]:
    """Good pictures to learn from, those kept to be judged, and a note on it."""
    kept = good[TEST_EVERY - 1 :: TEST_EVERY]
    if not kept:
        return good, [], f"With fewer than {TEST_EVERY} good pictures, none was kept for the test."
    learned = [sample for i, sample in enumerate(good) if i % TEST_EVERY != TEST_EVERY - 1]
    return learned, kept, f"Every {TEST_EVERY}th good picture was kept for the test; the model learned from the others."


def _only(found: list[Path], root: Path, what: str) -> Path | None:
    """The one folder of its sort, if there is any."""
    if len(found) > 1:
        listed = " and ".join(folder.name for folder in found)
        raise DataError(f"{root}: one folder of {what} was needed; came {listed}. Merge or rename them.")
    return found[0] if found else None


LAYOUT = Layout(
    name="folder",
    title="plain folder",
    description="good pictures; or good/ and one folder for each kind of defect, with or without masks/<kind>/<name>.png",
    recognises=recognises,
    categories=lambda root: {},
    read=read,
)
