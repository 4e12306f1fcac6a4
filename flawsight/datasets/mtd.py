"""MTD, surfaces of magnetic tiles; pictures of many sizes.

    MT_Free/Imgs/<name>.jpg   MT_{Blowhole,Break,Crack,Fray,Uneven}/Imgs/<name>.jpg, each with a mask <name>.png beside it

It comes without a split: the good pictures of a fifth of the tiles, drawn by their names, are judged and not learned from. Each
tile was taken under up to six exposures, exp1 to exp6 in the names; all of a tile are on one side, as any other split flatters.
Huang et al., "Surface defect saliency of magnetic tile", The Visual Computer 2020; without a licence, from GitHub,
abin24/Magnetic-tile-defect-datasets.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from flawsight.datasets.base import DataSet, Layout, held_back, samples, some, title
from flawsight.datasets.finding import find_folders, find_pictures
from flawsight.types import Sample

GOOD = "MT_Free"
DEFECTIVE = {"Blowhole": 115, "Break": 85, "Crack": 57, "Fray": 32, "Uneven": 103}


def recognises(root: Path) -> bool:
    """Whether it holds folders of these names."""
    names = {folder.name for folder in find_folders(root)}
    return GOOD in names or len(names & {f"MT_{kind}" for kind in DEFECTIVE}) > 1


def read(root: Path, use_masks: bool = True) -> DataSet:
    """All kinds. Raises DataError where good pictures or masks are missing."""
    if not (root / GOOD / "Imgs").is_dir():
        raise LAYOUT.lacks(root, f"{GOOD}/Imgs")
    good = [sample for sample, _ in _kind(root, GOOD, 0)]
    if not good:
        raise LAYOUT.found_none(root, f"{GOOD}/Imgs")
    kept = held_back(sorted({_tile(sample) for sample in good}))
    test = [sample for sample in good if _tile(sample) in kept]
    train = [sample for sample in good if _tile(sample) not in kept]
    split = (
        f"It comes without a split: {len(test)} of {len(good)} good pictures, those of tiles drawn by name, were kept for the test."
    )
    for folder in find_folders(root):
        if folder.name.startswith("MT_") and folder.name != GOOD:
            found = _kind(root, folder.name, 1)
            bare = [sample.name for sample, mask in found if mask is None]
            if bare and use_masks:
                raise LAYOUT.lacks(root, f"a mask <name>.png beside each defective picture; of {some(bare)}")
            test += [replace(sample, mask=mask if use_masks else None) for sample, mask in found]
    return DataSet(title(root), root, train, test, [split])


def _tile(sample: Sample) -> str:
    return re.sub(r"^exp\d+_", "", sample.path.stem)


def _kind(root: Path, folder: str, label: int) -> list[tuple[Sample, Path | None]]:
    """Samples of a kind, and their masks."""
    files = find_pictures(root / folder / "Imgs") if (root / folder / "Imgs").is_dir() else []
    masks = {path.stem: path for path in files if path.suffix.lower() == ".png"}
    kind = folder.removeprefix("MT_") if label else "good"
    found = samples(root, [path for path in files if path.suffix.lower() != ".png"], label, kind)
    return [(sample, masks.get(sample.path.stem)) for sample in found]


LAYOUT = Layout(
    name="mtd",
    title="MTD",
    description="MT_Free/Imgs/<name>.jpg, MT_<kind>/Imgs/<name>.jpg with <name>.png; good tiles split 4 to 1",
    recognises=recognises,
    categories=lambda root: {},
    read=read,
    licence="no licence is stated",
    source="GitHub, abin24/Magnetic-tile-defect-datasets",
    counts={"": {"good": 952, **DEFECTIVE}},
)
