"""What every layout shares: the DataSet noun, finding pictures, pairing masks by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from flawsight import image
from flawsight.errors import DataError
from flawsight.types import Sample

GOOD_NAMES = ("good", "ok", "normal")
MASK_FOLDERS = ("ground_truth", "masks", "mask")


@dataclass(frozen=True)
class DataSet:
    """title: for people. train: good pictures to learn from. test: labelled pictures to be judged on. notes: oddities found."""

    title: str
    root: Path
    train: list[Sample]
    test: list[Sample]
    notes: list[str] = field(default_factory=list)


def find_pictures(folder: Path, recursive: bool = False) -> list[Path]:
    """Picture files by their endings, whatever the case, in order of their path; hidden files are left out."""
    found = folder.rglob("*") if recursive else folder.iterdir()
    pictures = [p for p in found if p.suffix.lower() in image.EXTENSIONS and p.is_file() and not p.name.startswith(".")]
    return sorted(pictures, key=lambda p: p.relative_to(folder).as_posix())


def loose_samples(paths: list[Path]) -> list[Sample]:
    """Unlabelled Samples of picture files, and of all pictures in folders and below, named by their paths. Raises DataError."""
    found: list[Path] = []
    for path in paths:
        inside = find_pictures(path, recursive=True) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path}: no pictures in this folder or below it. Check the path.")
        found += inside
    return [Sample(path, path.as_posix()) for path in dict.fromkeys(found)]


def samples(root: Path, pictures: list[Path], label: int | None, kind: str) -> list[Sample]:
    """One Sample each, named by its path below `root`, without a mask."""
    return [Sample(p, p.relative_to(root).as_posix(), label, kind) for p in pictures]


def defective_samples(root: Path, pictures: list[Path], kind: str, mask_folder: Path) -> tuple[list[Sample], list[str]]:
    """Defective Samples with masks paired by name, `007.png` with `007_mask.*` or `007.*`; and notes on what has no partner."""
    masks = {mask.stem.removesuffix("_mask"): mask for mask in find_pictures(mask_folder)} if mask_folder.is_dir() else {}
    found = [Sample(p, p.relative_to(root).as_posix(), 1, kind, masks.pop(p.stem, None)) for p in pictures]
    missing = [sample.name for sample in found if sample.mask is None]
    notes = []
    if missing and len(missing) < len(found):
        raise DataError(
            f"{root}: {len(missing)} of {len(found)} '{kind}' pictures have no mask: {_some(missing)}; looked in {mask_folder} "
            f"for <name>_mask.png and <name>.png. Add them, or use --no-masks to judge whole pictures only."
        )
    if missing and mask_folder.parent.is_dir():
        notes.append(f"'{kind}' has no masks ({len(missing)} pictures): pixel metrics leave its pictures out.")
    if masks:
        notes.append(f"{len(masks)} masks of '{kind}' belong to no picture: {_some([mask.name for mask in masks.values()])}.")
    return found, notes


def _some(names: list[str], n: int = 3) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")
