"""The folder of results that `score --out` writes: its file names, and how to recognise it, so that overlays are never judged."""

from __future__ import annotations

from pathlib import Path

CSV, JSON, PAGE = "scores.csv", "scores.json", "report.html"
OVERLAYS, MAPS, MASKS = DRAWN = ("overlays", "maps", "predicted_masks")  # folders in it
MANIFEST = ".flawsight-files.json"  # which files in these folders are its own


def is_results(folder: Path) -> bool:
    """Whether results were written into a folder, or were begun to be."""
    return (folder / MANIFEST).is_file() or ((folder / CSV).is_file() and (folder / JSON).is_file())


def is_drawn(folder: Path) -> bool:
    """Whether a folder holds what was drawn from judged pictures, and thus none to judge."""
    return folder.name in DRAWN and is_results(folder.parent)
