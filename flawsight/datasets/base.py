"""What every layout shares: the nouns DataSet and Layout, finding pictures, pairing masks by name, keeping some for the test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flawsight import image, threads
from flawsight.errors import DataError
from flawsight.types import MaskFiles, Sample, name_of

GOOD_NAMES = ("good", "ok", "normal")
COPY = " (copy)"  # how desktops end a copy's name; some archives hold such strays
MASK_FOLDERS = ("ground_truth", "masks", "mask")


@dataclass(frozen=True)
class DataSet:
    """title: for people. train: good pictures to learn from. test: labelled pictures to be judged on. notes: oddities found."""

    title: str
    root: Path
    train: list[Sample]
    test: list[Sample]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """A way of laying out folders, and the public data set that has it.

    title: what the set is called. description: the tree, in words. licence, source: of the set, and the page to get it from; of a
    layout of anybody's own pictures both are empty.
    counts: what was published, category → of what → pictures, the set's own under ""; about: likewise, not from the publisher
    itself, so perhaps off. Of what: see `verify.total`.
    recognises: whether a folder is one. categories: name → folder, none where it is a single one. read: one category, with its
    masks or without.
    """

    name: str
    title: str
    description: str
    recognises: Callable[[Path], bool] = field(repr=False)
    categories: Callable[[Path], dict[str, Path]] = field(repr=False)
    read: Callable[[Path, bool], DataSet] = field(repr=False)
    licence: str = ""
    source: str = ""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    about: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)

    @property
    def where(self) -> str:
        """Where to get the public data set and under which licence, as a sentence; nothing where there is none."""
        return f"{self.title} ({self.licence}) is at {self.source}." if self.source else ""

    def lacks(self, root: Path, what: str) -> DataError:
        """The error to raise where a part is not there."""
        told = f"{root}: the {self.title} layout needs {what}; there is none. Check the path, or finish unpacking."
        return DataError(f"{told} {self.where}".rstrip())

    def found_none(self, root: Path, where: str) -> DataError:
        """The error to raise where a part holds no pictures."""
        return DataError(f"{root}: no pictures in {where}. Check the path, or finish unpacking. {self.where}".rstrip())


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

    Masks are paired by name, `007.png` with `007_mask.*`, `007.*` or all pictures in a folder `007`; without `mask_folder` none are
    looked for.
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
            f"{root}: {len(missing)} of {len(found)} '{kind}' pictures have no mask: {some(missing)}; looked in {mask_folder} "
            f"for <name>_mask.png and <name>.png. Add them, or judge whole pictures only, with use_masks=False."
        )
    if missing and mask_folder.parent.is_dir():
        notes.append(f"'{kind}' has no masks ({len(missing)} pictures): pixel metrics leave its pictures out.")
    if masks:
        notes.append(
            f"{len(masks)} masks of '{kind}' belong to no picture: {some([name_of(mask_name(mask)) for mask in masks.values()])}."
        )
    return found, notes


def _masks(folder: Path) -> dict[str, MaskFiles]:
    """The masks in a folder by the names of their pictures."""
    masks: dict[str, MaskFiles] = {}
    if not folder.is_dir():
        return masks
    several = {inner.name: tuple(find_pictures(inner)) for inner in find_folders(folder)}
    found: list[tuple[str, MaskFiles]] = [(mask.stem.removesuffix("_mask"), mask) for mask in find_pictures(folder)]
    for stem, mask in [*found, *((name, files) for name, files in several.items() if files)]:
        if stem in masks:
            raise DataError(
                f"{folder}: one mask a picture was needed; came {mask_name(masks[stem])} and {mask_name(mask)}. Remove one of them."
            )
        masks[stem] = mask
    return masks


def mask_name(mask: MaskFiles) -> str:
    """What to call a mask beside others: its file, or the folder of its files."""
    return mask.name if isinstance(mask, Path) else mask[0].parent.name


def marked(pictures: list[Path], mark: str) -> tuple[list[Path], dict[str, Path]]:
    """The pictures, and the masks among them by the name of their picture: what ends in `mark` before its ending is one."""
    masks = {path.stem.removesuffix(mark): path for path in pictures if path.stem.endswith(mark)}
    return [path for path in pictures if not path.stem.endswith(mark)], masks


def labelled(layout: Layout, root: Path, folder: Path, mark: str, use_masks: bool) -> list[Sample]:
    """Samples of a folder where each picture has a mask beside it, and is good where that shows nothing. Raises DataError."""
    pictures, masks = marked([path for path in find_pictures(folder) if not path.stem.endswith(COPY)], mark)
    bare = [name_of(path.relative_to(root)) for path in pictures if path.stem not in masks]
    if bare:
        raise layout.lacks(root, f"<name>{mark} beside each picture, to tell good ones by; of {some(bare)}")
    shows = threads.ahead(lambda path: bool(image.read_mask(masks[path.stem]).any()), pictures)
    return [
        replace(sample, label=1, kind="defective", mask=masks[sample.path.stem] if use_masks else None) if defective else sample
        for sample, defective in zip(samples(root, pictures, 0, "good"), shows, strict=True)
    ]


def listed(layout: Layout, root: Path, pictures: list[Path], by: str) -> None:
    """Raise DataError unless all these pictures or masks, which a list names, are there."""
    lost = [name_of(path) for path in pictures if not path.is_file()]
    if lost:
        told = f"{root}: {len(lost)} of {len(pictures)} files that {by} names are not there: {some(lost)}. Finish unpacking."
        raise DataError(f"{told} {layout.where}".rstrip())


def above(folder: Path, n: int = 1) -> Path:
    """The folder n above, also of one that is reached as "." or through "..", by name alone."""
    return Path(os.path.abspath(folder)).parents[n - 1]  # noqa: PTH100  resolve() would follow links


def held_back(names: list[str], share: float = 0.2, seed: int = 0) -> set[str]:
    """The names of a share of them, for the test of a set that comes unsplit: whichever hashes come first.

    So neither their order nor the version matters, and one name more or less moves one other at most.
    """
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogateescape")).digest())
    return set(drawn[: round(share * len(drawn))])


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


def some(names: list[str], n: int = 3) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")
