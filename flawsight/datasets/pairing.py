"""Which folders hold masks, and which mask is whose: by their names, and by their pixels where names leave it open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flawsight.datasets import names
from flawsight.datasets.base import samples, some
from flawsight.datasets.finding import beside, find_files, find_folders, find_pictures, look, look_like_masks
from flawsight.datasets.polygons import Drawn
from flawsight.errors import DataError
from flawsight.types import MaskFiles, Sample, mask_files, name_of


@dataclass(frozen=True)
class Split:
    """The folders in a folder. kinds: of pictures to be judged. masks: of masks for all kinds. own: kind's folder → those of its
    masks alone. notes: on what only the pixels show.
    """

    kinds: list[Path]
    masks: list[Path]
    own: dict[Path, list[Path]]
    notes: list[str]


def split(root: Path) -> Split:
    """Which folders in a folder hold masks and which do not."""
    folders = find_folders(root)
    masks = [folder for folder in folders if names.is_masks(folder.name) or _holds_outlines_alone(folder)]
    kinds = [folder for folder in folders if folder not in masks]
    notes = []
    for folder in list(kinds):
        if not names.is_good(folder.name) and (of := _masks_by_sight(folder, kinds)):
            kinds.remove(folder)
            masks.append(folder)
            notes.append(f"'{name_of(folder.name)}' was taken for masks of {of}: it has their names and hardly any grey levels.")
    own: dict[Path, list[Path]] = defaultdict(list)
    for folder in list(masks):
        if of_one := _owner(folder, kinds):
            own[of_one].append(folder)
            masks.remove(folder)
    return Split(kinds, masks, own, notes)


def _holds_outlines_alone(folder: Path) -> bool:
    named = names.may_be_masks(folder.name)
    return named and not find_pictures(folder, recursive=True) and bool(find_files(folder, (".json",)))


def _owner(folder: Path, kinds: list[Path]) -> Path | None:
    """The kind whose masks these are by the folder's name, or by those of its files."""
    by_name = [kind for kind in kinds if names.same(kind.name, names.owner(folder.name))]
    if by_name:
        return by_name[0]
    if names.is_masks(folder.name) or names.may_be_masks(folder.name):
        return None
    return next(kind for kind in kinds if _stems(folder) <= _stems(kind))


def _masks_by_sight(folder: Path, kinds: list[Path]) -> str:
    """The kinds in quotes that have pictures of the same names, where the folder's own look like masks; else nothing."""
    stems = _stems(folder)
    of = [kind for kind in kinds if kind != folder and not names.is_good(kind.name) and stems and stems <= _stems(kind)]
    named = names.may_be_masks(folder.name)
    if not (of or named) or not look_like_masks(find_pictures(folder, recursive=True)):
        return ""
    if not named:  # and the others do not: of a set of silhouettes all do
        of = [kind for kind in of if not look_like_masks(find_pictures(kind, recursive=True))]
    return " and ".join(f"'{name_of(kind.name)}'" for kind in of) or ("other pictures" if named else "")


def _stems(folder: Path) -> set[str]:
    return {names.owner(path.stem).lower() for path in find_pictures(folder, recursive=True)}


@dataclass
class Masks:
    """The masks of a data set. folders: of all kinds. own: see Split. drawn: outlines in files that are not by any kind's name.

    used: which picture each mask went to.
    """

    folders: list[Path]
    own: dict[Path, list[Path]]
    drawn: Drawn = field(default_factory=Drawn)
    used: dict[Path, Path] = field(default_factory=dict)

    @classmethod
    def around(cls, *places: Path, named: Path | None = None) -> Masks:
        """The masks in folders that lie in these places, and in one that is named; and outlines of COCO beside them."""
        found = [split(place) for place in places if place.is_dir()]
        folders = dict.fromkeys([*([named] if named and named.is_dir() else []), *(one for part in found for one in part.masks)])
        masks = cls(list(folders), {kind: own for part in found for kind, own in part.own.items()})
        masks.drawn.read(file for place in (*places, *folders) if place.is_dir() for file in find_files(place, (".json",)))
        return masks

    def give(self, root: Path, folder: Path, found: list[Sample]) -> tuple[list[Sample], list[str]]:
        """The pictures of one kind, which lie in a folder, with their masks; and notes. Raises DataError."""
        kind = name_of(folder.name)
        pairing = _Pairing(folder, [sample.path for sample in found])
        places = self._places(folder)
        for place in places:
            pairing.add_folder(place)
        for mask, picture in beside(find_pictures(folder)).items():
            pairing.add(picture, mask)
        for place in self.folders if not any(place.parent in self.folders for place in places) else []:
            self._add_flat(pairing, place, kind)
        self._add_outlines(pairing, places, folder)
        paired = [replace(sample, mask=pairing.masks.get(sample.path)) for sample in found]
        self._use(paired)
        return paired, self._check(root, kind, paired, pairing, places)

    def _places(self, folder: Path) -> list[Path]:
        """Folders of masks of this kind alone: in those of all kinds, beside the kind's, in it."""
        below = [one for place in self.folders for one in find_folders(place) if names.same(one.name, folder.name)]
        inside = [one for one in find_folders(folder) if names.is_masks(one.name)]
        return [*below, *self.own.get(folder, []), *inside]

    def _add_flat(self, pairing: _Pairing, place: Path, kind: str) -> None:
        """Masks of all kinds in one folder."""
        for mask in find_pictures(place):
            picture = pairing.named(names.picture_of(mask, pairing.by_stem, kind))
            if picture is not None:
                pairing.add(picture, mask)

    def _add_outlines(self, pairing: _Pairing, places: list[Path], folder: Path) -> None:
        """Outlines for the pictures that have no mask yet."""
        if len(pairing.masks) == len(pairing.pictures):
            return
        drawn = Drawn()
        drawn.read(file for place in (*places, folder, *self.folders) for file in find_files(place, (".json",)))
        for file, outlines in drawn.by_file.items():
            picture = pairing.named(names.picture_of(file, pairing.by_stem, folder.name))
            if picture is not None and not isinstance(pairing.masks.get(picture, outlines), Path | tuple):
                pairing.add(picture, outlines)
        for picture in pairing.pictures:
            if picture not in pairing.masks and (found := drawn.of(picture) or self.drawn.of(picture)):
                pairing.masks[picture] = found

    def _use(self, paired: Iterable[Sample]) -> None:
        for sample in paired:
            for file in mask_files(sample.mask) if isinstance(sample.mask, Path | tuple) else ():
                other = self.used.setdefault(file, sample.path)
                if other != sample.path:
                    raise DataError(
                        f"{file}: a mask of one picture was needed; by its name it may be that of {other} and of {sample.path}. "
                        "Sort the masks into a folder for each kind of defect, or judge whole pictures only, with use_masks=False."
                    )

    def _check(self, root: Path, kind: str, paired: list[Sample], pairing: _Pairing, places: list[Path]) -> list[str]:
        missing = [sample.name for sample in paired if sample.mask is None]
        if missing and len(missing) < len(paired):
            where = " and ".join(map(str, places or self.folders or [pairing.folder]))
            raise DataError(
                f"{root}: {len(missing)} of {len(paired)} '{kind}' pictures have no mask: {some(missing)}; looked in {where} "
                f"for <name>_mask.png and <name>.png. Add them, or judge whole pictures only, with use_masks=False."
            )
        notes = []
        if missing and (self.folders or places):
            notes.append(f"'{kind}' has no masks ({len(missing)} pictures): pixel metrics leave its pictures out.")
        if lost := pairing.lost:
            notes.append(f"{len(lost)} masks of '{kind}' belong to no picture: {some([name_of(one) for one in lost])}.")
        return notes

    def unused(self, good: Iterable[Sample]) -> list[str]:
        """A note on masks for all kinds, in one folder, that went to no picture; those of good pictures are nothing odd."""
        known = {sample.path.stem for sample in good}
        notes = []
        for place in self.folders:
            lost = [mask for mask in find_pictures(place) if mask not in self.used and names.picture_of(mask, known) not in known]
            if lost:
                message = some([name_of(mask.name) for mask in lost])
                notes.append(
                    f"{len(lost)} pictures in '{name_of(place.name)}' were taken for masks and belong to no picture: {message}."
                )
        return notes


class _Pairing:
    """The pictures of one kind, in a folder and those below it, and their masks. lost: masks without a picture, by name."""

    def __init__(self, folder: Path, pictures: list[Path]) -> None:
        self.folder = folder
        self.pictures = pictures
        self.masks: dict[Path, MaskFiles] = {}
        self.lost: list[str] = []
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        self._by_key: dict[Path, Path] = {}
        for path in pictures:
            self.by_stem[path.stem].append(path)
            self._by_key.setdefault(path.relative_to(folder).with_suffix(""), path)

    def named(self, stem: str) -> Path | None:
        """The first picture of this name without a folder."""
        return self.by_stem[stem][0] if stem in self.by_stem else None

    def add(self, picture: Path, mask: MaskFiles) -> None:
        """Raises DataError where it has another."""
        if picture in self.masks:
            raise DataError(
                f"{_folder(mask)}: one mask a picture was needed; came {mask_name(self.masks[picture])} and {mask_name(mask)}. "
                "Remove one of them."
            )
        self.masks[picture] = mask

    def add_folder(self, place: Path, below: Path = Path()) -> None:
        """The masks in a folder that is laid out as that of the pictures; a folder by a picture's name holds several of that."""
        stems = {key.name for key in self._by_key if key.parent == below}
        for mask in find_pictures(place / below):
            self._take(below, stems, names.picture_of(mask, stems or self.by_stem, self.folder.name), mask)
        for inner in find_folders(place / below):
            key = below / inner.name
            files = tuple(find_pictures(inner))
            if key in self._by_key or (files and not any(key in one.parents for one in self._by_key)):
                self._take(below, stems, inner.name, files)
            else:
                self.add_folder(place, key)

    def _take(self, below: Path, stems: set[str], stem: str, mask: MaskFiles) -> None:
        picture = self._by_key.get(below / stem) if stems else self.named(stem)
        if picture is None:
            self.lost.append(mask_name(mask))
        elif mask:
            self.add(picture, mask)


def mask_name(mask: MaskFiles) -> str:
    """What to call a mask beside others: its file, or the folder of its files."""
    return mask[0].parent.name if isinstance(mask, tuple) else mask_files(mask)[0].name


def _folder(mask: MaskFiles) -> Path:
    first = mask_files(mask)[0].parent
    return first.parent if isinstance(mask, tuple) else first


def defective_samples(root: Path, folder: Path, masks: Masks | None) -> tuple[list[Sample], list[str]]:
    """Samples of a folder of one kind of defect and those below it, and notes on what is odd. Raises DataError.

    masks: where to look for them; without, none are looked for.
    """
    kind = name_of(folder.name)
    found = samples(root, look(folder, recursive=True).pictures, 1, kind)
    if not found:
        return [], [f"'{kind}' holds no pictures."]
    return masks.give(root, folder, found) if masks else (found, [])
