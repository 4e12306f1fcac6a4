"""What every layout shares: the nouns DataSet and Layout, Samples of pictures, keeping some for the test."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flawsight.datasets import outputs
from flawsight.datasets.finding import counted, find_folders, find_pictures, is_among_masks, look, place_of, places, was
from flawsight.errors import DataError
from flawsight.images import maskfiles
from flawsight.system import threads
from flawsight.types import Sample, mask_files, name_of

COPY = " (copy)"  # how desktops end a copy's name; some archives hold such strays


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
    itself, so perhaps off. Of what: see `verify.total`. is_public: whether a folder is of the public set, by this layout's figures,
    rather than somebody's own pictures laid out alike.
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
    is_public: Callable[[Layout, Path], bool] = field(default=lambda layout, root: has_known_names(layout, root), repr=False)

    @property
    def where(self) -> str:
        """Where to get the public data set and under which licence, as a sentence; nothing where there is none."""
        return f"{self.title} ({self.licence}) is at {self.source}." if self.source else ""

    def lacks(self, root: Path, what: str) -> DataError:
        """The error to raise where a part is not there."""
        message = f"{root}: the {self.title} layout needs {what}; there is none. Check the path, or finish unpacking."
        return DataError(f"{message} {self.where_for(root)}".rstrip())

    def found_none(self, root: Path, where: str) -> DataError:
        """The error to raise where a part holds no pictures."""
        return DataError(f"{root}: no pictures in {where}. Check the path, or finish unpacking. {self.where_for(root)}".rstrip())

    def where_for(self, root: Path) -> str:
        """`where`, if the folder is of the public set; nothing for somebody's own pictures."""
        return self.where if self.is_of_public_set(root) else ""

    def is_of_public_set(self, root: Path) -> bool:
        """Whether a folder is of the public set, so far as it can be looked into."""
        try:
            return self.is_public(self, root)
        except OSError:
            return False


def has_known_names(layout: Layout, root: Path) -> bool:
    """Whether a folder, or one in it, is called as a category of the set is; always of a set that has none."""
    known = {name for name in layout.counts if name}
    inside = {folder.name for folder in find_folders(root)} if root.is_dir() else set()
    return not known or title(root) in known or bool(known & inside)


def loose_samples(paths: list[Path]) -> list[Sample]:
    """Unlabelled Samples of picture files, and of all pictures in folders and below, named by their paths. Raises DataError.

    What `score --out` drew into these folders is left out.
    """
    return scored_samples(paths)[0]


def scored_samples(paths: list[Path]) -> tuple[list[Sample], list[str]]:
    """What `loose_samples` gives, and notes on what is left unused there. Masks below a folder, and beside pictures, are."""
    found: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = look(path, recursive=True)
        if not inside.pictures and not (len(paths) > 1 and outputs.is_results(path)):
            message = " ".join(inside.notes("taken"))
            raise DataError(f"{path}: no pictures in this folder or below it. {message or 'Check the path.'}")
        found += inside.pictures
        notes += [f"{path}: {note}" if len(paths) > 1 else note for note in inside.notes("scored")]
    return [Sample(path, name_of(path)) for path in dict.fromkeys(found)], notes


def samples(root: Path, pictures: list[Path], label: int | None, kind: str) -> list[Sample]:
    """One Sample each, named by its path below `root`, without a mask."""
    return [Sample(p, name_of(p.relative_to(root)), label, kind) for p in pictures]


def left_aside(data: DataSet) -> DataSet:
    """The same data set, with notes on the pictures in its folder that are in neither part of it."""
    every = [*data.train, *data.test]
    used = {file for sample in every for file in (sample.path, *mask_files(sample.mask))}
    found = look(data.root, recursive=True)
    rest = Counter(place_of(path, data.root) for path in found.pictures if path not in used)
    found.masks = [mask for mask in found.masks if mask not in used and not is_among_masks(mask.parent, data.root)]
    parents = {path.parent for path in used}
    found.linked = Counter({place: n for place, n in found.linked.items() if data.root / place not in parents})
    notes = found.notes("used")
    if rest:
        notes.insert(0, f"{counted(rest)} {was(rest)} neither learned from nor judged: {places(rest)}.")
    return replace(data, notes=[*data.notes, *notes])


def title(root: Path) -> str:
    """What a data set is called: its folder."""
    return name_of(root.name if root.name not in ("", "..") else root.resolve().name)


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
    shows = threads.ahead(lambda path: bool(maskfiles.read(masks[path.stem]).any()), pictures)
    return [
        replace(sample, label=1, kind="defective", mask=masks[sample.path.stem] if use_masks else None) if defective else sample
        for sample, defective in zip(samples(root, pictures, 0, "good"), shows, strict=True)
    ]


def listed(layout: Layout, root: Path, pictures: list[Path], by: str) -> None:
    """Raise DataError unless all these pictures or masks, which a list names, are there."""
    lost = [name_of(path) for path in pictures if not path.is_file()]
    if lost:
        message = f"{root}: {len(lost)} of {len(pictures)} files that {by} names are not there: {some(lost)}. Finish unpacking."
        raise DataError(f"{message} {layout.where_for(root)}".rstrip())


def above(folder: Path, n: int = 1) -> Path:
    """The folder n above, also of one that is reached as "." or through "..", by name alone."""
    return Path(os.path.abspath(folder)).parents[n - 1]  # noqa: PTH100  resolve() would follow links


def held_back(names: list[str], share: float = 0.2, seed: int = 0) -> set[str]:
    """The names of a share of them, for the test of a set that comes unsplit: whichever hashes come first.

    So neither their order nor the version matters, and one name more or less moves one other at most.
    """
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogateescape")).digest())
    return set(drawn[: round(share * len(drawn))])


def some(names: list[str], n: int = 3) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")
