"""What every layout shares: the DataSet noun, finding pictures, pairing masks by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from flawsight import image
from flawsight.errors import DataError
from flawsight.types import Sample, name_of

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
    """Picture files by their endings, whatever the case, in order of their path. Raises DataError.

    Hidden files and folders are left out, links to folders are not followed. A link that leads nowhere is found, to be named as
    unreadable rather than be lost.
    """
    try:
        return sorted(_walk(folder, recursive), key=lambda p: p.relative_to(folder).as_posix())
    except OSError as error:
        raise unreadable(folder, error) from None


def find_folders(folder: Path) -> list[Path]:
    """The folders in a folder, in order of their name, without hidden ones."""
    return sorted((p for p in folder.iterdir() if not _hidden(p) and p.is_dir()), key=lambda p: p.name)


def unreadable(folder: Path, error: OSError) -> DataError:
    """The error to raise where a folder, or one in it, cannot be looked into."""
    where, why = name_of(error.filename or folder), error.strerror or str(error)
    return DataError(f"{where}: a folder that can be read was needed; {why.lower()}. Check the path and its permissions.")


def loose_samples(paths: list[Path]) -> list[Sample]:
    """Unlabelled Samples of picture files, and of all pictures in folders and below, named by their paths. Raises DataError."""
    found: list[Path] = []
    for path in paths:
        inside = find_pictures(path, recursive=True) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path}: no pictures in this folder or below it. Check the path.")
        found += inside
    return [Sample(path, name_of(path)) for path in dict.fromkeys(found)]


def samples(root: Path, pictures: list[Path], label: int | None, kind: str) -> list[Sample]:
    """One Sample each, named by its path below `root`, without a mask."""
    return [Sample(p, name_of(p.relative_to(root)), label, kind) for p in pictures]


def title(root: Path) -> str:
    """What a data set is called: its folder."""
    return name_of(root.name if root.name not in ("", "..") else root.resolve().name)


def defective_samples(root: Path, folder: Path, mask_folder: Path | None) -> tuple[list[Sample], list[str]]:
    """Samples of a folder of one kind of defect, and notes on what is odd. Raises DataError.

    Masks are paired by name, `007.png` with `007_mask.*` or `007.*`; without `mask_folder` none are looked for.
    """
    kind = name_of(folder.name)
    found = samples(root, find_pictures(folder), 1, kind)
    if not found:
        return [], [f"'{kind}' holds no pictures."]
    if mask_folder is None:
        return found, []
    masks = _masks(mask_folder)
    found = [replace(sample, mask=masks.pop(sample.path.stem, None)) for sample in found]
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
        notes.append(
            f"{len(masks)} masks of '{kind}' belong to no picture: {_some([name_of(mask.name) for mask in masks.values()])}."
        )
    return found, notes


def _masks(folder: Path) -> dict[str, Path]:
    """The masks in a folder by the names of their pictures."""
    masks: dict[str, Path] = {}
    for mask in find_pictures(folder) if folder.is_dir() else []:
        stem = mask.stem.removesuffix("_mask")
        if stem in masks:
            raise DataError(
                f"{folder}: one mask a picture was needed; came {masks[stem].name} and {mask.name}. Remove one of them."
            )
        masks[stem] = mask
    return masks


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in folder.iterdir():
        if _hidden(path):
            continue
        if recursive and path.is_dir() and not path.is_symlink():
            yield from _walk(path, recursive)
        elif path.suffix.lower() in image.EXTENSIONS and (path.is_file() or (path.is_symlink() and not path.exists())):
            yield path


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__MACOSX"  # the latter is what macOS adds to archives


def _some(names: list[str], n: int = 3) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")
