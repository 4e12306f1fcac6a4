"""The folder that scoring leaves: scores.csv, scores.json, report.html, and a picture with its heat map for each one judged."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PurePosixPath

from flawsight import image
from flawsight.errors import UsageError
from flawsight.files import atomic_write
from flawsight.methods.base import Progress
from flawsight.report import html, pictures, tables
from flawsight.types import Report

LONGEST = 120  # characters of a file name taken over from a picture's; longer ones are cut and told apart by a hash


def write(folder: Path, report: Report, progress: Progress | None = None) -> None:
    """Write everything; the folder is made if it is not there. Raises UsageError or DataError as atomic_write."""
    overlays = folder / "overlays"
    try:
        overlays.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder}: a folder that may be written was needed; {error.strerror}. Choose another with --out."
        ) from None
    scale, names = pictures.Scale(*report.scale), _file_names([row.sample.name for row in report.rows])
    for done, (row, name) in enumerate(zip(report.rows, names, strict=True), 1):
        drawn = pictures.overlay(image.read(row.sample.path), row.heat, scale)
        image.write(overlays / f"{name}.jpg", drawn)
        if progress:
            progress("drawing heat maps", done, len(report.rows))
    atomic_write(folder / "scores.csv", tables.to_csv(report.rows).encode("utf-8-sig"))  # the mark tells spreadsheets it is UTF-8
    write_json(folder / "scores.json", report)
    html.write(folder / "report.html", report)


def write_json(path: Path, report: Report) -> None:
    """Write the report as JSON. Raises as atomic_write."""
    atomic_write(path, json.dumps(tables.to_json(report), ensure_ascii=False, indent=1, allow_nan=False).encode())


def _file_names(names: list[str]) -> list[str]:
    """A file name, without ending, for each picture: what its path shares with all others left off, and unlike all others."""
    parts = [PurePosixPath(name.replace("\\", "/")).parts for name in names]
    shared = 0
    while all(len(part) > shared + 1 for part in parts) and len({part[shared] for part in parts}) == 1:
        shared += 1
    made: list[str] = []
    for name, part in zip(names, parts, strict=True):
        plain = re.sub(r'[<>:"|?*\x00-\x1f/]', "_", "_".join(part[shared:]))
        if len(plain.encode()) > LONGEST or plain in made:
            cut = plain.encode()[: LONGEST - 9].decode(errors="ignore")
            plain = f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        made.append(plain)
    return made
