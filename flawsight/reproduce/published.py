"""The published tables, as printed, and what a reader must know of their figures.

Tables S1 to S4 are those of the supplement of Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022.
Table R is what the paper's repository (amazon-science/patchcore-inspection) keeps beside its models; its PRO is averaged over
pictures, not over defects. The low-shot figures are the same paper's, of models that saw few good pictures.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib.resources import files

from flawsight.errors import UnknownName

TEXTURES = ("carpet", "grid", "leather", "tile", "wood")
OBJECTS = ("bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper")
CATEGORIES = (*TEXTURES, *OBJECTS)
AVERAGE = "average"
LOW_SHOT_TOLERANCE = 1.5  # points by which two accounts of the low-shot figures differ


@dataclass(frozen=True)
class Figure:
    """One printed figure. percent: its value; printed: as it stands there; best: printed in bold."""

    percent: float
    printed: str
    best: bool


@dataclass(frozen=True)
class Table:
    """A published table. metrics: those it prints, as METRICS names them. rows: methods in its order, see rows.ROWS."""

    name: str
    title: str
    metrics: tuple[str, ...]
    rows: tuple[str, ...]


def _read(name: str) -> list[dict[str, str]]:
    text = (files("flawsight.reproduce") / name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@functools.cache
def figures() -> dict[tuple[str, str, str], dict[str, Figure]]:
    """(table, row, metric) → category or "average" → Figure."""
    found: dict[tuple[str, str, str], dict[str, Figure]] = {}
    for line in _read("published.csv"):
        figure = Figure(float(line["percent"]), line["percent"], line["printed_best"] == "1")
        found.setdefault((line["table"], line["method"], line["metric"]), {})[line["category"]] = figure
    return found


@functools.cache
def low_shot() -> dict[tuple[str, str], dict[int, float]]:
    """(row, metric) → good pictures seen → percent, averaged over the 15 categories."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for line in _read("low_shot.csv"):
        found.setdefault((line["method"], line["metric"]), {})[int(line["shots"])] = float(line["percent"])
    return found


@functools.cache
def tables() -> dict[str, Table]:
    """Name → Table."""
    titles = {
        "S1": "image AUROC",
        "S2": "pixel AUROC",
        "S3": "PRO",
        "S4": "PatchCore-1 with WideResNet-101 at 280 px",
        "R": "what the paper's repository keeps",
    }
    keys = list(figures())
    return {
        name: Table(
            name,
            title,
            tuple(dict.fromkeys(metric for table, _, metric in keys if table == name)),
            tuple(dict.fromkeys(row for table, row, _ in keys if table == name)),
        )
        for name, title in titles.items()
    }


def get_table(name: str) -> Table:
    """The table of that name, in whatever case. Raises UnknownName."""
    if name.upper() not in tables():
        raise UnknownName("tables", name, tables())
    return tables()[name.upper()]


# (table, row, category or "average") → what is odd about that figure
NOTES: dict[tuple[str, str, str], str] = {
    ("S2", "padim", "transistor"): "The PaDiM paper has 97.5 here, with which its 15 cells average to the 97.5 printed.",
    ("S3", "spade", "tile"): "The SPADE and PaDiM papers have 75.9 here.",
    ("S1", "differnet", AVERAGE): "The 15 cells average to 94.69.",
    ("S1", "patchcore_10", AVERAGE): "The 15 cells average to 98.93; they were rounded before, the average was not.",
    ("S2", "spade", AVERAGE): "This is the mean of the cells; the PaDiM paper quotes 96.5.",
    ("S2", "cavga_rw", AVERAGE): "The SPADE paper prints the same number for CAVGA-R_u, the unsupervised variant.",
    ("S1", "padim_star", AVERAGE): "PatchCore's authors say that they could not reproduce it.",
    ("R", "patchcore_10", "grid"): "One of the 57 defective pictures has its defect outside the crop.",
}
# what the low-shot figures of a row are to be read with
LOW_SHOT_NOTE = f"Accounts of the published low-shot figures differ by up to {LOW_SHOT_TOLERANCE} points."


def note(table: str, row: str, category: str) -> str:
    """What is odd about that figure; nothing of most."""
    return NOTES.get((table, row, category), "")


def mean(row: dict[str, Figure], categories: tuple[str, ...] = CATEGORIES) -> float:
    """The mean of the row's cells in these categories, NaN where one is missing."""
    values = [row[name].percent for name in categories if name in row]
    return sum(values) / len(values) if values and len(values) == len(categories) else float("nan")
