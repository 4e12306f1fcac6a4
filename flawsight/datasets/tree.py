"""Categories laid out as MVTec AD's, with folders by other names: what it and many later data sets share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flawsight.datasets import names
from flawsight.datasets.base import DataSet, Layout, samples, title
from flawsight.datasets.finding import find_folders, look
from flawsight.datasets.pairing import Masks, defective_samples, split
from flawsight.types import Sample

PARTS = ("train", "test", "ground_truth")


def part(root: Path, name: str) -> Path:
    """The folder of this path below another, in whatever case it is written there."""
    for step in name.split("/"):
        there = root / step
        if not there.is_dir() and root.is_dir():
            there = next((one for one in find_folders(root) if one.name.lower() == step.lower()), there)
        root = there
    return root


def looks_like_one(root: Path) -> bool:
    """Whether the folder is a category: enough is there to tell, so that a part that is missing can be named by `read`."""
    return part(root, "train/good").is_dir() or sum(part(root, name).is_dir() for name in PARTS) > 1


def categories(root: Path, is_one: Callable[[Path], bool]) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return {} if is_one(root) else {folder.name: folder for folder in find_folders(root) if is_one(folder)}


def is_of(root: Path, is_one: Callable[[Path], bool], known: tuple[str, ...]) -> bool:
    """Whether the folder is a category of a public set, or holds some and no others, but perhaps unfinished ones of known names."""
    found = categories(root, is_one)
    others = set(categories(root, looks_like_one)) - set(found) if found else set()
    return is_one(root) or (bool(found) and others <= set(known))


def holds(root: Path, known: tuple[str, ...]) -> bool:
    """Whether the folder is a category of one of these names, or holds categories and all have one of these names."""
    if looks_like_one(root):
        return title(root) in known
    found = categories(root, looks_like_one)
    return bool(found) and found.keys() <= set(known)


def read(
    layout: Layout, root: Path, use_masks: bool, good: str = "train/good", test: str = "test", masks: str = "ground_truth"
) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    learned_from, judged_in = _good_folder(root, good), part(root, test)
    for name, folder in ((good, learned_from), (test, judged_in)):
        if not folder.is_dir():
            raise layout.lacks(root, name)
    train = samples(root, look(learned_from, recursive=learned_from.name != "train").pictures, 0, "good")
    judged: list[Sample] = []
    parts = split(judged_in)
    finder = Masks.around(root, judged_in, named=part(root, masks)) if use_masks else None
    notes = list(parts.notes)
    for folder in parts.kinds:
        if names.is_good(folder.name):
            judged += samples(root, look(folder, recursive=True).pictures, 0, "good")
            continue
        found, said = defective_samples(root, folder, finder)
        judged, notes = judged + found, notes + said
    if not train or not judged:
        raise layout.found_none(root, test if train else good)
    notes += finder.unused(sample for sample in judged if not sample.label) if finder else []
    return DataSet(title(root), root, train, judged, notes)


def _good_folder(root: Path, good: str) -> Path:
    """The folder of good pictures to learn from, which may be the one above where that holds none of any such name."""
    folder = part(root, good)
    above = folder.parent
    if folder.is_dir() or not above.is_dir():
        return folder
    named = [one for one in find_folders(above) if names.is_good(one.name)]
    return named[0] if named else above if look(above).pictures else folder


def unused(root: Path, parts: tuple[str, ...], why: str) -> list[str]:
    """A note on the parts whose pictures are left aside, if they are there."""
    there = [name for name in parts if (root / name).is_dir()]
    return [f"{', '.join(there)}: left aside, {why}."] if there else []
