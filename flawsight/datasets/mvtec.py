"""The layout of MVTec AD, and of the many data sets that follow it.

    <category>/train/good/*.png   <category>/test/<kind>/*.png   <category>/ground_truth/<kind>/<name>_mask.png

Bergmann et al., "MVTec AD", CVPR 2019; the data are CC BY-NC-SA 4.0, from mvtec.com. The archive keeps permissions that may have
to be widened (chmod) after unpacking.
"""

from __future__ import annotations

from pathlib import Path

from flawsight.datasets import tree
from flawsight.datasets.base import DataSet, Layout, has_known_names, left_aside, title
from flawsight.datasets.finding import find_folders

# category: pictures to learn from, good ones to judge, defective ones to judge by kind
_TABLE = """
bottle: 209 20 broken_large 20 broken_small 22 contamination 21
cable: 224 58 bent_wire 13 cable_swap 12 combined 11 cut_inner_insulation 14 cut_outer_insulation 10 missing_cable 12
    missing_wire 10 poke_insulation 10
capsule: 219 23 crack 23 faulty_imprint 22 poke 21 scratch 23 squeeze 20
carpet: 280 28 color 19 cut 17 hole 17 metal_contamination 17 thread 19
grid: 264 21 bent 12 broken 12 glue 11 metal_contamination 11 thread 11
hazelnut: 391 40 crack 18 cut 17 hole 18 print 17
leather: 245 32 color 19 cut 19 fold 17 glue 19 poke 18
metal_nut: 220 22 bent 25 color 22 flip 23 scratch 23
pill: 267 26 color 25 combined 17 contamination 21 crack 26 faulty_imprint 19 pill_type 9 scratch 24
screw: 320 41 manipulated_front 24 scratch_head 24 scratch_neck 25 thread_side 23 thread_top 23
tile: 230 33 crack 17 glue_strip 18 gray_stroke 16 oil 18 rough 15
toothbrush: 60 12 defective 30
transistor: 213 60 bent_lead 10 cut_lead 10 damaged_case 10 misplaced 10
wood: 247 19 color 8 combined 11 hole 10 liquid 10 scratch 21
zipper: 240 32 broken_teeth 19 combined 16 fabric_border 17 fabric_interior 16 rough 17 split_teeth 18 squeezed_teeth 16
"""


def categories(root: Path) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return tree.categories(root, tree.looks_like_one)


def recognises(root: Path) -> bool:
    """Whether the folder is a category or holds some."""
    return tree.looks_like_one(root) or bool(categories(root))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    return left_aside(tree.read(LAYOUT, root, use_masks))


def _is_public(layout: Layout, root: Path) -> bool:
    """Whether category and kinds of defects, so far as they are there, are called as published ones are."""
    if not has_known_names(layout, root):
        return False
    kinds = {folder.name for folder in find_folders(root / "test")} - {"good"} if (root / "test").is_dir() else set()
    published = set(layout.counts.get(title(root), {})) - {"train", "test good"}
    return not (kinds and published) or bool(kinds & published)


def _counts() -> dict[str, dict[str, int]]:
    counts = {}
    for line in _TABLE.strip().replace("\n    ", " ").splitlines():
        category, _, published = line.partition(":")
        train, good, *kinds = published.split()
        by_kind = zip(kinds[::2], kinds[1::2], strict=True)
        counts[category] = {"train": int(train), "test good": int(good), **{kind: int(n) for kind, n in by_kind}}
    return counts


LAYOUT = Layout(
    name="mvtec",
    title="MVTec AD",
    description="train/good, test/<kind>, ground_truth/<kind>/<name>_mask.png; a category or a folder of categories",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="mvtec.com, research, datasets, MVTec AD",
    counts=_counts(),
    is_public=_is_public,
)
