"""KolektorSDD2, a surface with scratches, spots and other defects in colour.

    train/<id>.png and train/<id>_GT.png   test/<id>.png and test/<id>_GT.png: a good one's mask is all 0

The defective pictures of its training part are left out, and two stray copies that its archive holds, 10301 (copy).png and
10301_GT (copy).png. Bozic et al., Computers in Industry 2021; the data are CC BY-NC-SA 4.0,
from vicos.si.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets.base import COPY, DataSet, Layout, labelled, title
from flawsight.datasets.finding import find_pictures

MARK = "_GT"


def recognises(root: Path) -> bool:
    """Whether masks lie beside pictures in its parts."""
    parts = [root / part for part in ("train", "test") if (root / part).is_dir()]
    return any(path.stem.endswith(MARK) for part in parts for path in find_pictures(part))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """Both parts. Raises DataError where one, or a mask, is missing."""
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise LAYOUT.lacks(root, part)
    train, test = (labelled(LAYOUT, root, root / part, MARK, use_masks) for part in ("train", "test"))
    good = [sample for sample in train if not sample.label]
    if not good or not test:
        raise LAYOUT.found_none(root, "test" if good else "train")
    left = len(train) - len(good)
    return DataSet(title(root), root, good, test, [f"{left} defective training pictures are left out."] if left else [])


def _has_numbers(layout: Layout, root: Path) -> bool:
    """Whether the pictures are called by numbers, as those of the set are."""
    parts = [root / part for part in ("train", "test") if (root / part).is_dir()]
    return all(path.stem.removesuffix(COPY).removesuffix(MARK).isdigit() for part in parts for path in find_pictures(part))


LAYOUT = Layout(
    name="kolektor2",
    title="KolektorSDD2",
    description="train/<id>.png and test/<id>.png, each with <id>_GT.png",
    recognises=recognises,
    categories=lambda root: {},
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="vicos.si, resources, KolektorSDD2",
    counts={"": {"good": 2979}},
    about={"": {"train": 2085, "test good": 894, "defective": 110}},
    is_public=_has_numbers,
)
