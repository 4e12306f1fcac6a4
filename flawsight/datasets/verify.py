"""Whether a data set is whole: counts beside the published ones, every picture readable, every defect with a mask of its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flawsight.datasets import find_layout, reader
from flawsight.datasets.base import DataSet, Layout, some, title
from flawsight.datasets.finding import unreadable
from flawsight.datasets.odd_masks import OddMasks
from flawsight.errors import DataError, FlawsightError, PictureError, UnknownName
from flawsight.images import maskfiles
from flawsight.system import threads
from flawsight.types import Mask, Outlines, Sample, mask_files

TOTALS = ("train", "test good", "test", "good", "defective", "pictures")


@dataclass(frozen=True)
class Checked:
    """One category. counts: pictures found, "train", "test good" and of each kind of defect. published: see Layout.counts.

    problems: what is wrong or missing. notes: what a reader must know.
    """

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verification:
    """What was found. layout: its name. problems: those of all categories, each named, and of the set as a whole; none if whole.

    where: the page to get the public set from, and its licence; nothing of somebody's own pictures.
    """

    root: str
    layout: str
    title: str
    where: str
    categories: list[Checked]
    problems: list[str]
    notes: list[str]


def verify(
    root: str | Path,
    category: str | None = None,
    layout: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Verification:
    """What is right and wrong with the data set in a folder; of all categories in it, unless one is named.

    progress: called with what is being done, steps done, steps in all. Raises DataError where there is no folder, UnknownName.
    """
    root = Path(root)
    try:
        if not root.is_dir():
            raise DataError(f"{root}: a folder was needed; {'it is a file' if root.exists() else 'there is none'}. Check the path.")
        chosen = find_layout(root, layout)
        known = chosen.categories(root)
    except OSError as error:
        raise unreadable(root, error) from None
    folders = known or {title(root): root}
    if category is not None and category not in folders:
        raise UnknownName(f"{root}: categories", category, folders)
    checked = [
        _check(reader(chosen, folder), name, folder, progress)
        for name, folder in folders.items()
        if category is None or name == category
    ]
    problems = [f"{one.name}: {problem}" for one in checked for problem in one.problems]
    notes = [f"{one.name}: {note}" for one in checked for note in one.notes]
    if known and category is None:
        problems += _missing(chosen, known)
        notes += _differences_of_all(chosen, checked)
    where = chosen.where if any(chosen.is_of_public_set(folder) for folder in (root, *folders.values())) else ""
    return Verification(str(root), chosen.name, chosen.title, where, checked, problems, notes)


def total(counts: Mapping[str, int], what: str) -> int:
    """Pictures of one of TOTALS, or of a kind of defect. counts: see Checked; "good" are those of train and test together."""
    train, good, every = counts.get("train", 0), counts.get("test good", 0), sum(counts.values())
    totals = {"test": every - train, "good": train + good, "defective": every - train - good, "pictures": every}
    return totals.get(what, counts.get(what, 0))


def _check(layout: Layout, name: str, folder: Path, progress: Callable[[str, int, int], None] | None) -> Checked:
    key = "" if set(layout.counts) == {""} else name  # of a set without categories the folder may have any name
    public = layout.is_of_public_set(folder)
    published = dict(layout.counts.get(key, {})) if public else {}
    data, problem = _read(layout, folder, True)
    problems = [problem] if problem else []
    if data is None:
        data, _ = _read(layout, folder, False)  # so that all the rest is reported too
    if data is None:
        return Checked(name, {}, published, problems)
    kinds = Counter(sample.kind for sample in data.test if sample.label)
    n_good = sum(not sample.label for sample in data.test)
    counts = {"train": len(data.train), "test good": n_good, **dict(sorted(kinds.items()))}
    problems += _differences(counts, published)
    if named := set(published) - set(TOTALS):
        problems += [f"{kind}: {kinds[kind]} pictures of a kind that was not published" for kind in sorted(set(kinds) - named)]
    problems += _files(data, name, public and key in layout.counts and not problem, progress)
    odd = OddMasks()
    for sample, mask in zip(data.test, threads.ahead(_mask, data.test), strict=True):
        if mask is not None:
            odd.add(sample, mask)
    about = layout.about.get(key, {}) if public else {}
    notes = [f"{one}; that figure is not the publisher's own" for one in _differences(counts, about)]
    return Checked(name, counts, published, problems, [*data.notes, *odd.notes(), *notes])


def _read(layout: Layout, folder: Path, use_masks: bool) -> tuple[DataSet | None, str]:
    """The category, or None and why it cannot be read."""
    try:
        return layout.read(folder, use_masks), ""
    except FlawsightError as error:
        return None, str(error)
    except OSError as error:
        return None, str(unreadable(folder, error))


def _differences(counts: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    found = {what: total(counts, what) for what in expected}
    return [f"{what}: {found[what]} pictures; {n} were published" for what, n in expected.items() if found[what] != n]


def _files(data: DataSet, name: str, all_masks: bool, progress: Callable[[str, int, int], None] | None) -> list[str]:
    """What is wrong with the pictures and masks, from their headers. all_masks: each defect must have one."""
    every = [*data.train, *data.test]
    problems = []
    for done, found in enumerate(threads.ahead(_file_problems, every), 1):
        problems += found
        if progress:
            progress(f"checking {name}", done, len(every))
    bare = [sample.name for sample in data.test if sample.label and not mask_files(sample.mask)]
    return [*problems, f"{len(bare)} defective pictures have no mask: {some(bare)}"] if bare and all_masks else problems


def _file_problems(sample: Sample) -> list[str]:
    sizes: dict[Path, tuple[int, int]] = {}
    problems = []
    masks = [sample.mask] if isinstance(sample.mask, Outlines) else mask_files(sample.mask)
    for file in (sample.path, *masks):
        try:
            sizes |= maskfiles.sizes_hw(file)
        except PictureError as error:
            problems.append(str(error))
    high, wide = sizes.get(sample.path, (0, 0))
    others = {file: hw for file, hw in sizes.items() if sample.path in sizes and hw != (high, wide)}
    return problems + [f"{file}: the mask has {w}×{h} pixels, its picture {wide}×{high}" for file, (h, w) in others.items()]


def _mask(sample: Sample) -> Mask | None:
    """The mask of a picture, if it has one that can be read."""
    try:
        return maskfiles.read(sample.mask) if sample.mask else None
    except PictureError:
        return None


def _missing(layout: Layout, known: Mapping[str, Path]) -> list[str]:
    """The published categories that are not there; none where the folder holds somebody's own ones."""
    lost = [name for name in layout.counts if name and name not in known]
    return [f"missing categories: {', '.join(lost)}"] if lost and set(known) & set(layout.counts) else []


def _differences_of_all(layout: Layout, checked: list[Checked]) -> list[str]:
    """Where a whole set's totals are not what is known of them."""
    if {one.name for one in checked} < set(layout.counts) - {""}:
        return []
    counts: Counter[str] = Counter()
    for one in checked:
        counts.update(one.counts)
    wrong = _differences(counts, layout.about.get("", {}))
    return [f"All categories, {difference}; that figure is not the publisher's own" for difference in wrong]
