"""Finding pictures in folders: which are taken, which are masks, and which are left unused, so that it can be said."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flawsight.datasets import names, outputs
from flawsight.errors import DataError, PictureError
from flawsight.images import classes, formats, image
from flawsight.types import name_of

RAW_ENDINGS = (".arw", ".cr2", ".dng", ".nef", ".orf", ".raf", ".rw2")  # whose content may begin as a TIFF file's
LOOKED_AT = 3  # pictures of a folder, to see whether it holds masks
NO_PICTURES = (".csv", ".db", ".html", ".ini", ".json", ".log", ".md", ".txt", ".xml", ".yaml", ".yml", ".zip", ".npy", ".flaw")


@dataclass
class Found:
    """The pictures in a folder, and what is there beside them.

    masks: what lies in a folder of masks, or beside its picture. below, linked: folder, by its path in this one → pictures in it
    and below that were not taken, since only this folder's own are, or since links to folders are not followed. others: ending and
    format → files that hold pictures, but whose ending is none of those that are read.
    """

    folder: Path
    pictures: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    below: Counter[str] = field(default_factory=Counter)
    linked: Counter[str] = field(default_factory=Counter)
    others: Counter[tuple[str, str]] = field(default_factory=Counter)

    def notes(self, done: str, cure: str = "") -> list[str]:
        """What was left unused, in sentences. done: what the pictures were taken for. cure: how to take those in folders below."""
        notes = []
        if self.below:
            notes.append(
                f"{counted(self.below)} in folders below {was(self.below)} not {done}: {places(self.below)}. {cure}".rstrip()
            )
        if self.linked:
            why = "links to folders are not followed. Name the folder itself."
            notes.append(f"{counted(self.linked)} in linked folders {was(self.linked)} not {done}: {places(self.linked)}; {why}")
        if self.masks:
            where = Counter(place_of(mask, self.folder) for mask in self.masks)
            notes.append(f"{counted(where)} {was(where)} taken for masks by name and not {done}: {places(where)}.")
        for (ending, kind), n in sorted(self.others.items()):
            many = f"{n} files ending in {ending}" if n > 1 else f"1 file ending in {ending}"
            notes.append(f"{many} {'were' if n > 1 else 'was'} not {done}: {formats.how_to_read(kind)}")
        return notes


def look(folder: Path, recursive: bool = False) -> Found:
    """What is in a folder, and if asked for in those below it. Raises DataError where one cannot be looked into."""
    found = Found(folder)
    in_each: dict[Path, list[Path]] = defaultdict(list)
    for path in find_pictures(folder, recursive):
        in_each[path.parent].append(path)
    for parent, pictures in in_each.items():
        masks = set(pictures) if is_among_masks(parent, folder) else set(beside(pictures))
        found.masks += [path for path in pictures if path in masks]
        found.pictures += [path for path in pictures if path not in masks]
    found.pictures.sort(key=lambda path: path.relative_to(folder).as_posix())
    try:
        _look_beside(found, folder, recursive)
    except OSError as error:
        raise unreadable(folder, error) from None
    return found


def is_among_masks(parent: Path, folder: Path) -> bool:
    """Whether a folder, or one between it and the one it was found from, is one of masks by its name."""
    return any(names.is_masks(part) for part in parent.relative_to(folder).parts)


def beside(pictures: list[Path]) -> dict[Path, Path]:
    """Mask → its picture, of those in one folder: `007_mask.png` of `007.png`, or, if it looks so, `007.png` of `007.jpg`."""
    masks = {}
    by_stem = defaultdict(list)
    for path in pictures:
        by_stem[path.stem.lower()].append(path)
    for path in pictures:
        named = by_stem.get(names.owner(path.stem).lower(), [path])[0]
        if named.stem.lower() != path.stem.lower() and (names.is_masks(path.stem) or look_like_masks([path], if_unknown=True)):
            masks[path] = named
        elif len(same := by_stem[path.stem.lower()]) == 2 and look_like_masks([path]):
            other = next(one for one in same if one != path)
            if not look_like_masks([other]):
                masks[path] = other
    return masks


def look_like_masks(pictures: Iterable[Path], if_unknown: bool = False) -> bool:
    """Whether the first few of these pictures look like masks, so far as they can be read."""
    seen = if_unknown
    for path in list(pictures)[:LOOKED_AT]:
        try:
            if not classes.hardly_any_levels(image.read(path)):
                return False
            seen = True
        except PictureError:
            continue
    return seen


def find_pictures(folder: Path, recursive: bool = False) -> list[Path]:
    """Picture files by their endings, whatever the case, in order of their path. Raises DataError.

    Hidden files and folders, and what `score --out` drew, are left out; links to folders are not followed. A link that leads
    nowhere is found, to be named as unreadable rather than be lost.
    """
    return find_files(folder, formats.EXTENSIONS, recursive)


def find_files(folder: Path, endings: tuple[str, ...], recursive: bool = False) -> list[Path]:
    """Files with one of these endings, as `find_pictures` finds pictures."""
    try:
        return sorted(_walk(folder, endings, recursive), key=lambda p: p.relative_to(folder).as_posix())
    except OSError as error:
        raise unreadable(folder, error) from None


def find_folders(folder: Path) -> list[Path]:
    """The folders in a folder, in order of their name, without hidden ones."""
    return sorted((p for p in folder.iterdir() if not hidden(p) and p.is_dir()), key=lambda p: p.name)


def unreadable(folder: Path, error: OSError) -> DataError:
    """The error to raise where a folder, or one in it, cannot be looked into."""
    where, why = name_of(error.filename or folder), error.strerror or str(error)
    return DataError(f"{where}: a folder that can be read was needed; {why.lower()}. Check the path and its permissions.")


def hidden(path: Path) -> bool:
    """Whether a file or folder is none of a person's pictures by its name."""
    return path.name.startswith(".") or path.name == "__MACOSX"  # the latter is what macOS adds to archives


def _walk(folder: Path, endings: tuple[str, ...], recursive: bool) -> Iterator[Path]:
    for path in folder.iterdir():
        if hidden(path):
            continue
        if recursive and path.is_dir() and not path.is_symlink():
            if not outputs.is_drawn(path):
                yield from _walk(path, endings, recursive)
        elif path.suffix.lower() in endings and (path.is_file() or (path.is_symlink() and not path.exists())):
            yield path


def _look_beside(found: Found, folder: Path, recursive: bool) -> None:
    for path in sorted(folder.iterdir()):
        if hidden(path):
            continue
        if not path.is_dir():
            if kind := _other_kind(path):
                found.others[path.suffix.lower() or "nothing", kind] += 1
        elif path.is_symlink():
            _count(found.linked, found.folder, path)
        elif outputs.is_drawn(path):
            continue
        elif recursive:
            _look_beside(found, path, recursive)
        elif not names.is_masks(path.name):
            _count(found.below, found.folder, path)


def _count(counts: Counter[str], folder: Path, below: Path) -> None:
    """Count the pictures in a folder and below, through links too."""
    seen = {os.path.realpath(folder)}
    for place, inner, files in os.walk(below, followlinks=True):
        real = os.path.realpath(place)
        inner[:] = [] if real in seen else [name for name in inner if not _is_left_out(Path(place, name))]
        n = sum(Path(name).suffix.lower() in formats.EXTENSIONS and not hidden(Path(name)) for name in files)
        if n and real not in seen:
            counts[name_of(Path(place).relative_to(folder)) + "/"] += n
        seen.add(real)


def _is_left_out(folder: Path) -> bool:
    return hidden(folder) or outputs.is_drawn(folder)


def _other_kind(path: Path) -> str:
    """The format of a picture whose file has another ending than pictures have."""
    ending = path.suffix.lower()
    if ending in (*formats.EXTENSIONS, *NO_PICTURES) or not path.is_file():
        return ""
    with path.open("rb") as file:
        kind = formats.kind(file.read(16))
    return "camera's own raw" if kind and ending in RAW_ENDINGS else kind


def place_of(path: Path, folder: Path) -> str:
    """The folder that a file is in, by its path below another one."""
    below = name_of(path.parent.relative_to(folder))
    return "the folder itself" if below == "." else f"{below}/"


def counted(counts: Counter[str]) -> str:
    """How many pictures that is, in words."""
    n = counts.total()
    return f"{n} picture{'s' * (n != 1)}"


def was(counts: Counter[str]) -> str:
    """The verb that goes with that many."""
    return "was" if counts.total() == 1 else "were"


def places(counts: Counter[str], most: int = 3) -> str:
    """Where they lie, and how many in each place."""
    message = ", ".join(f"{where} ({n})" for where, n in list(counts.items())[:most])
    return message + (f" and {len(counts) - most} more" if len(counts) > most else "")
