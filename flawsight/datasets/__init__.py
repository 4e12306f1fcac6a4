"""Where pictures lie and what is known of them: paths and pairing by name, never pixels. DATASETS is the table of layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flawsight.datasets import folder, mvtec
from flawsight.datasets.base import DataSet, find_pictures, unreadable
from flawsight.errors import DataError, UnknownName

__all__ = ["DATASETS", "DataSet", "Layout", "find_pictures", "open_dataset"]


@dataclass(frozen=True)
class Layout:
    """A way of laying out folders.

    recognises: whether a folder is one. categories: the names in it, none where it is a single one. read: one category, with its
    masks or without.
    """

    name: str
    description: str
    recognises: Callable[[Path], bool] = field(repr=False)
    categories: Callable[[Path], list[str]] = field(repr=False)
    read: Callable[[Path, bool], DataSet] = field(repr=False)


DATASETS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("mvtec", mvtec.DESCRIPTION, mvtec.recognises, mvtec.categories, mvtec.read),
        Layout("folder", folder.DESCRIPTION, folder.recognises, lambda root: [], folder.read),
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
        chosen = _layout(root, layout)
        return chosen.read(_category(root, category, chosen.categories(root)), use_masks)
    except OSError as error:
        raise unreadable(root, error) from None


def _layout(root: Path, name: str | None) -> Layout:
    if name is None:
        return next((layout for layout in DATASETS.values() if layout.recognises(root)), DATASETS["folder"])
    if name not in DATASETS:
        raise UnknownName("datasets", name, DATASETS)
    return DATASETS[name]


def _category(root: Path, name: str | None, known: list[str]) -> Path:
    """The folder of one category."""
    if name is None:
        if len(known) == 1:
            return root / known[0]
        if known:
            raise DataError(f"{root}: holds {len(known)} categories ({', '.join(known)}). Choose one with --category.")
        return root
    if name in known:
        return root / name
    if root.name == name:
        return root
    raise UnknownName(f"{root}: categories", name, known or [root.name])
