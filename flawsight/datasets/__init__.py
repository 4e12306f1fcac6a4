"""Where pictures lie and what is known of them: paths and pairing by name, never pixels. DATASETS is the table of layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flawsight.datasets import folder, mvtec
from flawsight.datasets.base import DataSet, find_pictures
from flawsight.errors import DataError, UnknownName

__all__ = ["DATASETS", "DataSet", "Layout", "find_pictures", "open_dataset"]


@dataclass(frozen=True)
class Layout:
    """A way of laying out folders.

    recognises: whether a folder is one. categories: the names in it, none where it is a single one. read: one category.
    """

    name: str
    description: str
    recognises: Callable[[Path], bool] = field(repr=False)
    categories: Callable[[Path], list[str]] = field(repr=False)
    read: Callable[[Path], DataSet] = field(repr=False)


DATASETS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("mvtec", mvtec.DESCRIPTION, mvtec.recognises, mvtec.categories, mvtec.read),
        Layout("folder", folder.DESCRIPTION, folder.recognises, lambda root: [], folder.read),
    )
}


def open_dataset(root: Path, category: str | None = None, layout: str | None = None) -> DataSet:
    """The data set in a folder, its layout recognised unless named. Raises DataError, UnknownName."""
    if not root.is_dir():
        raise DataError(f"{root}: a folder was needed; {'it is a file' if root.exists() else 'there is none'}. Check the path.")
    if layout is not None and layout not in DATASETS:
        raise UnknownName("datasets", layout, DATASETS)
    chosen = DATASETS[layout] if layout else next((one for one in DATASETS.values() if one.recognises(root)), DATASETS["folder"])
    names = chosen.categories(root)
    if category is not None:
        if root.name == category and category not in names:
            return chosen.read(root)
        if category not in names:
            raise UnknownName(f"{root}: categories", category, names or [root.name])
        return chosen.read(root / category)
    if names:
        raise DataError(f"{root}: holds {len(names)} categories ({', '.join(names)}). Choose one with --category.")
    return chosen.read(root)
