"""The folder that scoring leaves: scores.csv, scores.json, report.html, and a picture with its heat map for each one judged.

Of a method that gives no map there are no such pictures.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from flawsight import image
from flawsight.errors import UsageError
from flawsight.files import atomic_write, check_writable
from flawsight.methods.base import Progress
from flawsight.report import html, pictures, tables
from flawsight.types import Report

LONGEST = 120  # bytes of a file name taken over from a picture's; longer ones are cut and told apart by a hash


def write(folder: Path, report: Report, progress: Progress | None = None) -> None:
    """Write everything; the folder is made if it is not there. Raises UsageError or DataError as atomic_write."""
    overlays = make_folder(folder)
    scale, names = pictures.Scale(*report.scale), _file_names([row.sample.name for row in report.rows])
    mapped = [(row.sample.path, row.heat, name) for row, name in zip(report.rows, names, strict=True) if row.heat is not None]
    for done, (path, heat, name) in enumerate(mapped, 1):
        image.write(overlays / f"{name}.jpg", pictures.overlay(image.read(path), heat, scale))
        if progress:
            progress("drawing heat maps", done, len(mapped))
    if report.rows and not mapped and not any(overlays.iterdir()):
        overlays.rmdir()
    # "sig": the mark tells spreadsheets it is UTF-8
    atomic_write(folder / "scores.csv", tables.to_csv(report.rows).encode("utf-8-sig", "backslashreplace"))
    atomic_write(folder / "scores.json", json_bytes(tables.to_json(report)))
    html.write(folder / "report.html", report)


def make_folder(folder: Path) -> Path:
    """The folder for the heat maps, made in `folder` if it is not there. Raises UsageError where nothing may be written."""
    overlays = folder / "overlays"
    try:
        overlays.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{folder}: a folder that may be written was needed; {why}. Choose another.") from None
    for place in (folder, overlays):
        check_writable(place / "scores.csv")
    return overlays


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """The content as a JSON file. Bytes of a file name that are no text come as JSON's escapes of what Python reads them as."""
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8", "backslashreplace")


def _file_names(names: list[str]) -> list[str]:
    """A file name, without ending, for each picture: what its path shares with all others left off, and unlike all others."""
    parts = [PurePosixPath(name.replace("\\", "/")).parts for name in names]
    shared = 0
    while all(len(part) > shared + 1 for part in parts) and len({part[shared] for part in parts}) == 1:
        shared += 1
    made: dict[str, str] = {}  # as a file system that ignores case tells names apart → name
    for position, (name, part) in enumerate(zip(names, parts, strict=True)):
        plain = re.sub(r'[<>:"|?*\x00-\x1f\x7f/\ud800-\udfff]', "_", "_".join(part[shared:]))
        if len(plain.encode()) > LONGEST or _folded(plain) in made:
            cut = plain.encode()[: LONGEST - 17].decode(errors="ignore")
            plain = f"{cut}-{hashlib.sha256(f'{position} {name}'.encode(errors='surrogatepass')).hexdigest()[:16]}"
        made[_folded(plain)] = plain
    return list(made.values())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
