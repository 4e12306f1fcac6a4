"""A report as data: a dictionary for JSON, rows for a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from flawsight.report.figures import kinds, trade_off
from flawsight.types import Report, Row

_BOX = ("box_x0", "box_y0", "box_x1", "box_y1")
_COLUMNS = ("name", "label", "kind", "score", "is_defective", *_BOX, "nearest_good")
_LATER = (
    "verdict",
    "threshold",
    "reason",
    "overlay",
    "map",
    "mask",
    "n_regions",
    "regions",
)  # after these: others count on the order
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_json(report: Report) -> dict[str, Any]:
    """Everything in the report but curves and heat, of plain JSON types; what is undefined (NaN) or unbounded is None.

    metrics: fractions. kinds: see figures.kinds. threshold: value and the promise that goes with it. trade_off: what other
    thresholds would have done.
    pictures: one dictionary per picture, as in `row`.
    """
    content = {
        "title": report.title,
        "metrics": report.metrics,
        "counts": report.counts,
        "kinds": kinds(report.rows),
        "threshold": report.threshold,
        "trade_off": trade_off(report),
        "timings_s": report.timings_s,
        "peak_rss_mb": report.peak_rss_mb,
        "versions": report.versions,
        "seed": report.seed,
        "settings": report.settings,
        "notes": report.notes,
        "unreadable": report.unreadable,
        "pictures": [row_to_json(row) for row in report.rows],
    }
    return {name: plain(value) for name, value in content.items()}


def row_to_json(row: Row) -> dict[str, Any]:
    """One picture: label 0 good, 1 defective, None unknown; box_xyxy of its most anomalous patch, in its own pixels.

    regions: where it is above the threshold, see flawsight.regions. overlay, map, mask: files below the folder of results, None
    where none was written.
    """
    found = row.evidence
    return {
        "name": row.sample.name,
        "label": row.sample.label,
        "kind": row.sample.kind,
        "score": plain(row.score),
        "is_defective": bool(row.is_defective),
        "box_xyxy": None if found is None else plain(found.box_xyxy),
        "nearest_good": None if found is None else found.good_name,
        "verdict": "rejected" if row.is_defective else "passed",
        "regions": [plain(asdict(region)) for region in row.regions],
        **{kind: row.files.get(kind) for kind in ("overlay", "map", "mask")},
    }


def to_csv(report: Report) -> str:
    """A line per picture under a line of names, then one per picture that could not be read, with the reason.

    regions: of each its box as x0 y0 x1 y1, its area in pixels and its peak, separated by spaces; a semicolon between two.
    Text that a spreadsheet would run as a formula is led by an apostrophe.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, (*_COLUMNS, *_LATER), extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    threshold = plain(report.threshold.get("value"))
    for line in (*map(_csv_line, report.rows), *_unreadable_lines(report)):
        writer.writerow({name: _guarded(cell) for name, cell in {**line, "threshold": threshold}.items()})
    return out.getvalue()


def _csv_line(row: Row) -> dict[str, Any]:
    entry = row_to_json(row)
    regions = "; ".join(f"{' '.join(map(str, one.box_xyxy))} {one.area} {one.peak:.6g}" for one in row.regions)
    return {**entry, **dict(zip(_BOX, entry["box_xyxy"] or (), strict=False)), "n_regions": len(row.regions), "regions": regions}


def _unreadable_lines(report: Report) -> list[dict[str, Any]]:
    return [{"name": name, "verdict": "unreadable", "reason": reason} for name, reason in report.unreadable.items()]


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays become lists, paths and other objects text, NaN and infinities None."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def _guarded(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
