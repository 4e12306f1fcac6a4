"""What the names of folders and files say: which pictures are good ones, which are masks, and of which picture.

Case, spaces, hyphens and underscores do not matter: `Ground Truth`, `ground-truth` and `GROUNDTRUTH` are one name.
"""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path

GOOD_NAMES = ("good", "ok", "normal")
MASK_NAMES = (
    "gt",
    "gts",
    "groundtruth",
    "groundtruths",
    "label",
    "labels",
    "annotation",
    "annotations",
    "anno",
    "annos",
    "seg",
    "segs",
    "segmentation",
    "segmentations",
)
_MARK = rf"masks?|ground_?truths?|{'|'.join(MASK_NAMES)}"
_BEFORE = re.compile(rf"^({_MARK})[-_. ]+(?=.)", re.IGNORECASE)
_AFTER = re.compile(rf"(?<=.)[-_. ]+({_MARK})$", re.IGNORECASE)


def is_good(folder: str) -> bool:
    """Whether a folder of this name holds good pictures."""
    return folder.lower() in GOOD_NAMES


def is_masks(folder: str) -> bool:
    """Whether a folder of this name holds masks or other labels, and never pictures to be judged."""
    name = _plain(folder)
    return name in MASK_NAMES or "mask" in name


def may_be_masks(folder: str) -> bool:
    """Whether the name begins or ends with such a word, as `NG_labels` does, and so may `torn_label`, a kind of defect."""
    return owner(folder) != folder


def owner(name: str) -> str:
    """The name without what marks a mask: `NG_mask`, `mask-NG` and `NG_gt` are of `NG`; the name itself without such a mark."""
    shorter = _AFTER.sub("", name)
    return _BEFORE.sub("", shorter) if shorter == name else shorter


def same(one: str, other: str) -> bool:
    """Whether two folders' names differ by case and separators at most."""
    return _plain(one) == _plain(other)


def picture_of(mask: Path, stems: Container[str], kind: str = "") -> str:
    """The stem of the picture that a mask is of, by its name; of several ways to read it the first that is among `stems`.

    `007_mask.png`, `mask_007.png`, `007.png.png` and, of kind `cut`, `cut_007.png` are of 007. If none is, the mask's own stem
    without its mark.
    """
    unmarked = owner(mask.stem)
    readings = [mask.stem, unmarked, *(Path(one).stem for one in (mask.stem, unmarked))]
    if kind:
        readings += [one[len(kind) :].lstrip("-_. ") for one in readings if one.lower().startswith(kind.lower())]
    return next((one for one in readings if one in stems), unmarked)


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]+", "", name).lower()
