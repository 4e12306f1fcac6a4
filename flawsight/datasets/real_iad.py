"""Real-IAD, thirty objects, each seen from five sides.

    realiad_<256|512|1024>/<category>/{OK,NG/<kind>}/S0001/<category>_0001_…_C1_….jpg and, of defects, a mask .png beside
    realiad_jsons/<category>.json, or realiad_jsons/realiad_jsons/…: lists "train" and "test" of image_path, mask_path and
    anomaly_class, "OK" where this side shows no defect

Which side is C1 to C5 in a file's name; the pictures in one folder S0001 show one object. Wang et al., "Real-IAD", CVPR 2024; the
data are CC BY-NC-SA 4.0, on request, from Hugging Face.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from flawsight.datasets.base import DataSet, Layout, above, listed, title
from flawsight.datasets.finding import find_folders
from flawsight.errors import DataError
from flawsight.types import Sample, name_of

_NAMES = (
    "audiojack bottle_cap button_battery end_cap eraser fire_hood mint mounts pcb phone_battery plastic_nut plastic_plug "
    "porcelain_doll regulator rolled_strip_base sim_card_set switch tape terminalblock toothbrush toy toy_brick transistor1 "
    "u_block usb usb_adaptor vcpill wooden_beads woodstick zipper"
)
LISTS = ("realiad_jsons", "realiad_jsons/realiad_jsons")


def categories(root: Path) -> dict[str, Path]:
    """The categories in the folder, which may be that of a size or the one above; none where it is a category itself."""
    if _is_one(root):
        return {}
    sizes = [root] if _is_size(root) else [folder for folder in find_folders(root) if _is_size(folder)]
    if len(sizes) > 1:
        raise DataError(f"{root}: holds pictures of several sizes. Name one of them: {', '.join(map(str, sizes))}.")
    return {folder.name: folder for size in sizes for folder in find_folders(size) if _is_one(folder)}


def recognises(root: Path) -> bool:
    """Whether the folder holds such folders of pictures or lists, or is one, or is a category in one."""
    inside = any(_is_size(folder) or folder.name.startswith("realiad_jsons") for folder in find_folders(root))
    return inside or _is_size(root) or _is_one(root)


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category, all its sides. Raises DataError where a part is missing."""
    name, top = title(root), above(root, 2)
    found = [top / lists / f"{name}.json" for lists in LISTS if (top / lists / f"{name}.json").is_file()]
    if not found:
        raise LAYOUT.lacks(top, f"{LISTS[0]}/{name}.json")
    try:
        content = json.loads(found[0].read_text(encoding="utf-8"))
        train, test = ([_sample(root, entry, use_masks) for entry in content[part]] for part in ("train", "test"))
    except (KeyError, TypeError, ValueError) as error:
        why = f"lists train and test of image_path, mask_path and anomaly_class were needed; came something else ({error})"
        raise DataError(f"{found[0]}: {why}. Unpack it again. {LAYOUT.where}") from None
    if not train or not test:
        raise LAYOUT.lacks(found[0], "pictures to learn from and to judge")
    good = [sample for sample in train if not sample.label]
    masks = [sample.mask for sample in test if isinstance(sample.mask, Path)]
    listed(LAYOUT, root, [*(sample.path for sample in (*good, *test)), *masks], found[0].name)
    left = len(train) - len(good)
    return DataSet(name, root, good, test, [f"{left} defective training pictures are left out."] if left else [])


def _sample(root: Path, entry: dict[str, Any], use_masks: bool) -> Sample:
    good, mask = entry["anomaly_class"] == "OK", entry["mask_path"]
    kind = "good" if good else str(entry["anomaly_class"])
    where = root / mask if mask and use_masks and not good else None
    name = name_of(entry["image_path"])
    return Sample(root / entry["image_path"], name, int(not good), kind, where, object_name=name.rpartition("/")[0])


def _is_size(root: Path) -> bool:
    return re.fullmatch(r"realiad_\d+", title(root)) is not None


def _is_one(root: Path) -> bool:
    return _is_size(above(root)) and any((root / part).is_dir() for part in ("OK", "NG"))


LAYOUT = Layout(
    name="real_iad",
    title="Real-IAD",
    description="realiad_<size>/<category>/{OK,NG}/… and realiad_jsons/<category>.json; the folder above or that of a size",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="Hugging Face, Real-IAD/Real-IAD, where it is to be asked for",
    counts={name: {} for name in _NAMES.split()},
    about={"": {"good": 99_721, "defective": 51_329}},
    is_public=lambda layout, root: True,  # nobody else calls folders so
)
