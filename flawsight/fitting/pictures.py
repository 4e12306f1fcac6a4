"""The good pictures of a fit: which of a folder are taken, and which are left unused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flawsight.datasets.base import samples
from flawsight.datasets.finding import look
from flawsight.errors import DataError
from flawsight.fitting import series
from flawsight.fitting.plan import Plan
from flawsight.types import Sample


def pictures_of(folder: str | Path, plan: Plan) -> list[Sample]:
    """The pictures of a folder of good ones that a plan takes. Raises as good_pictures."""
    return good_pictures(Path(folder), below=plan.group_by == series.FOLDER)


def good_pictures(folder: Path, below: bool = False) -> list[Sample]:
    """The pictures in a folder of good ones, and in those below it if asked for.

    Masks there are left out. Raises DataError where there are none, or where it looks like a whole data set.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: a folder of good pictures was needed; {'it is a file' if folder.exists() else 'there is none'}."
        )
    inside = look(folder, recursive=below)
    if inside.pictures:
        return samples(folder, inside.pictures, 0, "good")
    inner = next((part for part in ("train/good", "good", "train") if (folder / part).is_dir()), None)
    hint = 'Check the path; pictures in folders below it are taken only with group_by="folder".'
    hint = " ".join([hint, *inside.notes("learned from")])
    if inner:
        hint = f"Did you mean {folder / inner}?"
    raise DataError(f"{folder}: no pictures in it. {hint}")


def unused(pictures: Any, below: bool) -> list[str]:
    """Notes on pictures in a folder of good ones that are not learned from; none where it is no folder that came."""
    if not isinstance(pictures, str | Path):
        return []
    return look(Path(pictures), recursive=below).notes("learned from", 'group_by="folder" takes them too.')
