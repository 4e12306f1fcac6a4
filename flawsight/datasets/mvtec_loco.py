"""The layout of MVTec LOCO AD, whose defects are structural or logical.

    <category>/train/good/*.png   <category>/validation/good/*.png
    <category>/test/{good,logical_anomalies,structural_anomalies}/*.png
    <category>/ground_truth/<kind>/<name>/000.png, 001.png, …: each file one region of that picture
    <category>/defects_config.json: for each pixel_value of these masks the saturation_threshold, an area in pixels, or with
    relative_saturation a share of the region, that suffices to have found it (sPRO)

Bergmann et al., "Beyond Dents and Scratches", IJCV 2022; the data are CC BY-NC-SA 4.0, from mvtec.com.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from flawsight.datasets import tree
from flawsight.datasets.base import DataSet, Layout
from flawsight.errors import DataError
from flawsight.types import Saturation

NAMES = ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors")
CONFIG = "defects_config.json"
KINDS = ("logical_anomalies", "structural_anomalies")


def categories(root: Path) -> dict[str, Path]:
    """The categories in the folder; none where it is one itself."""
    return tree.categories(root, _is_one)


def recognises(root: Path) -> bool:
    """Whether the folder is a category or holds some, and no others."""
    return tree.is_of(root, _is_one, NAMES)


def read(root: Path, use_masks: bool = True) -> DataSet:
    """One category. Raises DataError where a part is missing."""
    data = tree.read(LAYOUT, root, use_masks)
    notes = [*data.notes, *tree.unused(root, ("validation/good",), "since held-out training pictures set the threshold")]
    if not any(sample.mask for sample in data.test):
        return replace(data, notes=notes)
    if not (root / CONFIG).is_file():
        return replace(data, notes=[*notes, f"{CONFIG} is not there: no sPRO."])
    enough = _saturations(root / CONFIG)
    return replace(
        data, test=[replace(one, saturations=enough) if isinstance(one.mask, tuple) else one for one in data.test], notes=notes
    )


def _saturations(file: Path) -> tuple[Saturation, ...]:
    """What suffices of each kind of region. Raises DataError for a file that does not tell."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = tuple(
            Saturation(int(one["pixel_value"]), float(one["saturation_threshold"]), bool(one["relative_saturation"]))
            for one in content
        )
    except (KeyError, TypeError, ValueError) as error:
        found, why = (), f"something else ({error})"
    else:
        why = "an area of 0 or less, or a share above 1" if found else "none"
    if not found or any(one.area <= 0 or (one.relative and one.area > 1) for one in found):
        needed = "a list of pixel_value, saturation_threshold and relative_saturation was needed"
        raise DataError(f"{file}: {needed}; came {why}. Unpack it again. {LAYOUT.where}")
    return found


def _is_one(root: Path) -> bool:
    return any((root / part / kind).is_dir() for part in ("test", "ground_truth") for kind in KINDS)


LAYOUT = Layout(
    name="mvtec_loco",
    title="MVTec LOCO AD",
    description="as MVTec AD, with logical_anomalies and structural_anomalies, and a folder of masks for each picture",
    recognises=recognises,
    categories=categories,
    read=read,
    licence="CC BY-NC-SA 4.0",
    source="mvtec.com, research, datasets, MVTec LOCO AD",
    counts={name: {} for name in NAMES},
    about={"": {"train": 1772, "test": 1568}},
)
