"""Categories laid out as MVTec AD's, with folders by other names: what it and many later data sets share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flawsight.datasets.base import GOOD_NAMES, DataSet, Layout, defective_samples, find_folders, find_pictures, samples, title
from flawsight.types import Sample


def looks_like_one(root: Path) -> bool:
    """Whether the folder is a category: enough is there to tell, so that a part that is missing can be named by `read`."""
    return (root / "train/good").is_dir() or sum((root / part).is_dir() for part in ("train", "test", "ground_truth")) > 1


def categories(root: Path, is_one: Callable[[Path], bool]) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return {} if is_one(root) else {folder.name: folder for folder in find_folders(root) if is_one(folder)}


def holds(root: Path, names: tuple[str, ...]) -> bool:
    """Whether the folder is a category of one of these names, or holds categories and all have one of these names."""
    if looks_like_one(root):
        return title(root) in names
    found = categories(root, looks_like_one)
    return bool(found) and found.keys() <= set(names)


def read(
    layout: Layout, root: Path, use_masks: bool, good: str = "train/good", test: str = "test", masks: str = "ground_truth"
) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    for part in (good, test):
        if not (root / part).is_dir():
            raise layout.lacks(root, part)
    train = samples(root, find_pictures(root / good), 0, "good")
    judged: list[Sample] = []
    notes: list[str] = []
    for folder in find_folders(root / test):
        if folder == root / masks:
            continue
        if folder.name.lower() in GOOD_NAMES:
            judged += samples(root, find_pictures(folder), 0, "good")
            continue
        found, said = defective_samples(root, folder, root / masks / folder.name if use_masks else None)
        judged, notes = judged + found, notes + said
    if not train or not judged:
        raise layout.found_none(root, test if train else good)
    return DataSet(title(root), root, train, judged, notes)


def unused(root: Path, parts: tuple[str, ...], why: str) -> list[str]:
    """A note on the parts whose pictures are left aside, if they are there."""
    there = [part for part in parts if (root / part).is_dir()]
    return [f"{', '.join(there)}: left aside, {why}."] if there else []
