"""Pictures whose labels are in a list: one CSV file in the folder, with a column of files and one of labels.

    labels.csv: file,label   or image, filename, path and class, target, defect; perhaps split (train or test) and mask
    the pictures beside it or in folders below, by their paths, or by their names where these are unique

Good is what is labelled good, ok, normal or 0; every other label is a kind of defect. Without a column of splits every fourth good
picture is kept for the test.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from flawsight.datasets import names
from flawsight.datasets.base import DataSet, Layout, left_aside, some, title
from flawsight.datasets.finding import find_files, find_folders, look
from flawsight.datasets.folder import kept_for_the_test
from flawsight.datasets.pairing import Masks
from flawsight.errors import DataError
from flawsight.types import Sample, name_of

FILES = ("file", "filename", "file_name", "image", "image_path", "image_name", "path", "filepath", "picture")
LABELS = ("label", "labels", "class", "class_name", "target", "defect", "defect_type", "is_defective", "is_anomaly", "anomaly")
SPLITS = ("split", "set", "subset")
MASKS = ("mask", "mask_path", "mask_file")
LEARNED = ("train", "training")
Rows = list[dict[str, str]]


def recognises(root: Path) -> bool:
    """Whether there is one such list, and no folder that tells the good ones by itself."""
    return len(_lists(root)) == 1 and not any(names.is_good(folder.name) for folder in find_folders(root))


def read(root: Path, use_masks: bool = True) -> DataSet:
    """Train and test Samples. Raises DataError where the list and the pictures do not go together."""
    lists = _lists(root)
    if len(lists) != 1:
        came = " and ".join(file.name for file in lists) or "none"
        raise DataError(f"{root}: one CSV file with a column of files and one of labels was needed; came {came}.")
    file, rows = lists[0], _rows(lists[0])
    found = {name_of(path.relative_to(root)): path for path in look(root, recursive=True).pictures}
    good, bad, split = _samples(root, file, rows, found, use_masks)
    if not good:
        raise DataError(
            f"{file}: a picture labelled good, ok, normal or 0 was needed; came {some(sorted({sample.kind for sample in bad}))}."
        )
    notes: list[str] = []
    if use_masks and not any(sample.mask for sample in bad):
        bad, notes = _with_masks(root, bad)
    if split:
        learned = [sample for sample in good if split[sample.path] in LEARNED]
        kept = [sample for sample in good if split[sample.path] not in LEARNED]
        left = [sample for sample in bad if split[sample.path] in LEARNED]
        notes += [f"{len(left)} defective training pictures are left out."] if left else []
        bad = [sample for sample in bad if sample not in left]
    else:
        learned, kept, how = kept_for_the_test(good)
        notes.append(how)
    if not learned:
        raise DataError(f"{file}: good pictures to learn from were needed; in the split {LEARNED[0]} there is none.")
    return left_aside(DataSet(title(root), root, learned, kept + bad, notes))


def _samples(
    root: Path, file: Path, rows: Rows, found: dict[str, Path], use_masks: bool
) -> tuple[list[Sample], list[Sample], dict[Path, str]]:
    """Good and defective Samples, and the split of each picture, if the list tells it."""
    columns = {what: _column(rows[0], known) for what, known in zip("flsm", (FILES, LABELS, SPLITS, MASKS), strict=True)}
    by_name: dict[str, list[Path]] = defaultdict(list)
    for one in found.values():
        by_name[one.name].append(one)
    good: list[Sample] = []
    bad: list[Sample] = []
    lost: list[str] = []
    split: dict[Path, str] = {}
    labels: dict[Path, str] = {}
    for row in rows:
        named = row[columns["f"]].strip().replace("\\", "/").removeprefix("./")
        label = row[columns["l"]].strip()
        called_so = by_name.get(named.rpartition("/")[2], [])
        path = found.get(named) or (called_so[0] if len(called_so) == 1 else None)
        if path is None:
            lost.append(named)
            continue
        if not label or labels.setdefault(path, label) != label:
            raise DataError(f"{file}: one label of {named} was needed; came {labels.get(path) or 'none'} and {label or 'none'}.")
        is_good = names.is_good(label) or label in ("0", "0.0") or label.lower() == "false"
        mask = root / row[columns["m"]].strip() if use_masks and columns["m"] and row[columns["m"]].strip() else None
        if mask is not None and not mask.is_file():
            raise DataError(
                f"{file}: names the mask {mask}; there is none. Check the path, or judge without masks, with use_masks=False."
            )
        sample = Sample(path, name_of(path.relative_to(root)), int(not is_good), "good" if is_good else label)
        if path not in split:
            (good if is_good else bad).append(sample if is_good else replace(sample, mask=mask))
        split[path] = row[columns["s"]].strip().lower() if columns["s"] else ""
    if lost:
        raise DataError(f"{file}: {len(lost)} of {len(rows)} pictures that it names are not there: {some(lost)}. Check the paths.")
    return good, bad, split if columns["s"] else {}


def _with_masks(root: Path, bad: list[Sample]) -> tuple[list[Sample], list[str]]:
    """Defective pictures with their masks, from a folder of masks or beside them."""
    masks = Masks.around(root)
    paired: list[Sample] = []
    notes: list[str] = []
    for folder in dict.fromkeys(sample.path.parent for sample in bad):
        found, said = masks.give(root, folder, [sample for sample in bad if sample.path.parent == folder])
        paired, notes = paired + found, notes + said
    return paired, notes


def _lists(root: Path) -> list[Path]:
    return [file for file in find_files(root, (".csv",)) if _rows(file)]


def _rows(file: Path) -> Rows:
    """The rows of a CSV file that has a column of files and one of labels; none of any other."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        rows = list(csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count), restval=""))
    except (OSError, ValueError, csv.Error):
        return []
    return rows if rows and _column(rows[0], FILES) and _column(rows[0], LABELS) else []


def _column(row: dict[str, str], known: tuple[str, ...]) -> str:
    return next((name for name in row if name and name.strip().lower() in known), "")


LAYOUT = Layout(
    name="labels",
    title="list of labels",
    description="pictures and one CSV file beside them, with columns file and label, perhaps split and mask",
    recognises=recognises,
    categories=lambda root: {},
    read=read,
)
