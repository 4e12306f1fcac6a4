"""Where pictures lie and what is known of them: paths and pairing by name. DATASETS is the table of layouts.

A picture is opened only where names do not tell: a good one by a mask that shows nothing, a mask by its few grey levels.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flawsight.datasets import (
    btad,
    dagm,
    folder,
    kolektor,
    kolektor2,
    labels,
    mpdd,
    mtd,
    mvtec,
    mvtec_ad2,
    mvtec_loco,
    real_iad,
    visa,
)
from flawsight.datasets.base import DataSet, Layout
from flawsight.datasets.finding import find_pictures, unreadable
from flawsight.errors import DataError, UnknownName

__all__ = ["DATASETS", "DataSet", "Layout", "find_layout", "find_pictures", "open_dataset"]

OWN = (  # layouts of one public data set each; no folder is two of them
    mvtec_loco.LAYOUT,
    mvtec_ad2.LAYOUT,
    visa.LAYOUT,
    btad.LAYOUT,
    mpdd.LAYOUT,
    real_iad.LAYOUT,
    kolektor.LAYOUT,
    kolektor2.LAYOUT,
    dagm.LAYOUT,
    mtd.LAYOUT,
)


def _but(layout: Layout, *others: Layout) -> Layout:
    """A layout that anybody's pictures may have, which leaves what another recognises to that."""
    return replace(layout, recognises=lambda root: layout.recognises(root) and not any(one.recognises(root) for one in others))


DATASETS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        _but(mvtec.LAYOUT, *OWN),
        *OWN,
        _but(labels.LAYOUT, mvtec.LAYOUT, *OWN),
        _but(folder.LAYOUT, labels.LAYOUT, mvtec.LAYOUT, *OWN),
    )
}


def open_dataset(root: str | Path, category: str | None = None, layout: str | None = None, use_masks: bool = True) -> DataSet:
    """The data set in a folder, its layout recognised unless named. Raises DataError, UnknownName.

    use_masks: look for the masks of defects; without, pictures that lack theirs are no error.
    """
    root = Path(root)
    try:
        if not root.is_dir():
            raise DataError(f"{root}: a folder was needed; {'it is a file' if root.exists() else 'there is none'}. Check the path.")
        chosen = find_layout(root, layout)
        folder = _category(root, category, chosen.categories(root))
        return reader(chosen, folder).read(folder, use_masks)
    except OSError as error:
        raise unreadable(root, error) from None


def find_layout(root: Path, name: str | None = None) -> Layout:
    """The layout of this name, or the one that recognises the folder. Raises UnknownName."""
    if name is None:
        return next((layout for layout in DATASETS.values() if layout.recognises(root)), DATASETS["folder"])
    if name not in DATASETS:
        raise UnknownName("datasets", name, DATASETS)
    return DATASETS[name]


def reader(chosen: Layout, category: Path) -> Layout:
    """The layout to read a category with: beside others of MVTec AD's layout, one may be of a public set by its folders."""
    by_folders = (mvtec_loco.LAYOUT, mvtec_ad2.LAYOUT, btad.LAYOUT) if chosen.name == mvtec.LAYOUT.name else ()
    return next((layout for layout in by_folders if layout.recognises(category)), chosen)


def _category(root: Path, name: str | None, known: dict[str, Path]) -> Path:
    """The folder of one category."""
    if name is None:
        if len(known) == 1:
            return next(iter(known.values()))
        if known:
            raise DataError(f"{root}: holds {len(known)} categories ({', '.join(known)}). Name one as category.")
        return root
    if name in known:
        return known[name]
    if root.name == name:
        return root
    raise UnknownName(f"{root}: categories", name, known or [root.name])
