"""KolektorSDD, commutators with cracks.

    kos01/Part0.jpg and kos01/Part0_label.bmp, …: fifty items, eight pictures of each; a good one's label is all 0

It comes without a split: the good pictures of a fifth of the items, drawn by their names, are judged and not learned from, so that
no item is on both sides. Tabernik et al., JIM 2020; the data are CC BY-NC-SA 4.0, from vicos.si.
"""

from __future__ import annotations

import re
from pathlib import Path

from flawsight.datasets.base import DataSet, Layout, held_back, labelled, title
from flawsight.datasets.finding import find_folders


def recognises(root: Path) -> bool:
    """Whether the folder holds items."""
    return bool(_items(root))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """All items. Raises DataError where labels are missing."""
    items = _items(root)
    if not items:
        raise LAYOUT.lacks(root, "kos01 and so on")
    every = [(item.name, sample) for item in items for sample in labelled(LAYOUT, root, item, "_label", use_masks)]
    kept = held_back([item.name for item in items])
    train = [sample for item, sample in every if not sample.label and item not in kept]
    test = [sample for item, sample in every if sample.label or item in kept]
    if not train:
        raise LAYOUT.found_none(root, "its items")
    note = f"Good pictures of {len(kept)} of {len(items)} items were kept for the test; the model learned from those of the others."
    return DataSet(title(root), root, train, test, [note])


def _items(root: Path) -> list[Path]:
    return [folder for folder in find_folders(root) if re.fullmatch(r"kos\d+", folder.name)]


LAYOUT = Layout(
    name="kolektor",
    title="KolektorSDD",
    description="kos<nn>/Part<n>.jpg with Part<n>_label.bmp; good items split 4 to 1",
    recognises=recognises,
    categories=lambda root: {},
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="vicos.si, resources, KolektorSDD",
    counts={"": {"pictures": 399, "good": 347, "defective": 52}},
)
