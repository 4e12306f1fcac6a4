"""Sheets as CSV, Markdown and LaTeX, each in the published tables' own shape; and every cell with its record as a spreadsheet."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flawsight.reproduce import page
from flawsight.reproduce.published import AVERAGE
from flawsight.reproduce.running import Result, Run
from flawsight.reproduce.sheets import Line, Sheet, entry_text
from flawsight.system.files import atomic_write

LEGEND = (
    "Percent. published: as printed; measured: the mean, ± the standard deviation over seeds where there are several; difference: "
    "measured less published, in points, with ! where it is larger than tolerated; interval: where the middle 95 % lie when the "
    "judged pictures are drawn anew. Bold: the best of its column. Means are over the categories shown."
)
_ESCAPES = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"} | {"±": r"$\pm$", "−": "$-$", "–": "--", "†": r"$\dagger$", "‡": r"$\ddagger$"}
)
_LATEX_ONLY = str.maketrans({"×": r"$\times$", "γ": r"$\gamma$", "≥": r"$\geq$"})


def write(out: Path, sheets: Sequence[Sheet], run: Run | None = None) -> list[Path]:
    """Write tables.csv, .md, .tex and .html, and of a run cells.csv; the files written. The folder must be there."""
    content = {
        "tables.csv": to_csv(sheets),
        "tables.md": to_markdown(sheets, run),
        "tables.tex": to_latex(sheets),
        "tables.html": page.render(sheets, run),
    }
    if run is not None:
        content["cells.csv"] = cells_csv(run.results)
    for name, text in content.items():
        encoding = "utf-8-sig" if name.endswith(".csv") else "utf-8"  # the mark tells spreadsheets what it is
        atomic_write(out / name, text.encode(encoding, "replace"))
    return [out / name for name in content]


def column_title(name: str) -> str:
    """What a column is called."""
    return {AVERAGE: "average"}.get(name, name.replace("_", " "))


def to_csv(sheets: Sequence[Sheet]) -> str:
    """All sheets under each other: table, metric, method, what the line is, then its numbers in full, one column a category.

    Means over seeds have their standard deviation in a line of their own, intervals their ends in two.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for sheet in sheets:
        writer.writerow(["table", "metric", "method", "line", *sheet.columns])
        for line in sheet.lines:
            for kind, taken in _numbers(line):
                values = {name: taken(entry) for name, entry in line.entries.items()}
                if any(value not in ("", None) for value in values.values()):
                    cells = [values.get(column, "") for column in sheet.columns]
                    writer.writerow([sheet.name, sheet.metric, line.title, kind, *cells])
        for number, text in enumerate(sheet.footnotes, 1):
            writer.writerow([sheet.name, sheet.metric, f"note {number}", text])
        if sheet.warning:
            writer.writerow([sheet.name, sheet.metric, "not a reproduction", sheet.warning])
    return out.getvalue()


def _numbers(line: Line) -> list[tuple[str, Callable[[Any], str]]]:
    """What the line's rows in a spreadsheet are called, and what each has of an entry."""

    def full(value: float) -> str:
        return "" if math.isnan(value) else f"{value:.4f}"

    if line.kind == "interval":
        return [("interval from", lambda entry: full(entry.low)), ("interval to", lambda entry: full(entry.high))]
    if line.kind == "difference":
        beyond = ("beyond tolerance", lambda entry: "1" if entry.beyond else "")
        return [("difference", lambda entry: full(entry.value)), beyond]
    return [
        (line.kind, lambda entry: entry.printed or full(entry.value)),
        ("standard deviation over seeds", lambda entry: full(entry.spread)),
    ]


def to_markdown(sheets: Sequence[Sheet], run: Run | None = None) -> str:
    """A heading, a table and footnotes for each sheet; of a run also what was not run."""
    parts = [f"## {sheet.title}\n\n{sheet_markdown(sheet)}" for sheet in sheets]
    if run is not None and run.not_run:
        parts.append("\n".join(["## Not run", "", *(f"- {who(row, category)}: {why}" for row, category, why in run.not_run)]))
    return "\n\n".join([*parts, LEGEND]) + "\n"


def sheet_markdown(sheet: Sheet) -> str:
    """The table of a sheet and its footnotes."""
    lines = [
        "| " + " | ".join(["method", "", *map(column_title, sheet.columns)]) + " |",
        "|---|---|" + "---:|" * len(sheet.columns),
    ]
    before = ""
    for line in sheet.lines:
        texts = [with_note(entry_text(line, column, _starred), _note(line, column)) for column in sheet.columns]
        lines.append("| " + " | ".join([*head(line, before), *texts]) + " |")
        before = line.title
    lines += ["", *(f"[{number}] {text}  " for number, text in enumerate(sheet.footnotes, 1))]
    return "\n".join(lines).rstrip()


def to_latex(sheets: Sequence[Sheet]) -> str:
    """A table* for each sheet; needs no package but what every installation has."""
    parts = []
    for sheet in sheets:
        top = " & ".join(["", "", *(rf"\rotatebox{{90}}{{{_escaped(column_title(column))}}}" for column in sheet.columns)])
        body, before = [], ""
        for line in sheet.lines:
            texts = [_latex(line, column) for column in sheet.columns]
            title, kind = (_escaped(text) for text in head(line, before, lambda text, number: f"{text}\x03{number}\x02"))
            body.append(" & ".join([_noted(title), _noted(kind), *texts]) + r" \\")
            before = line.title
        notes = "".join(rf"\\ {number}: {_escaped(text)}" + "\n" for number, text in enumerate(sheet.footnotes, 1))
        parts.append(
            "\\begin{table*}\n\\centering\\footnotesize\\setlength{\\tabcolsep}{2pt}\n"
            f"\\caption{{{_escaped(sheet.title)}. {_escaped(LEGEND)}}}\n"
            f"\\begin{{tabular}}{{ll{'r' * len(sheet.columns)}}}\n\\hline\n{top} \\\\\n\\hline\n"
            + "\n".join(body)
            + f"\n\\hline\n\\end{{tabular}}\n{notes}\\end{{table*}}\n"
        )
    return "% \\usepackage{graphicx} for \\rotatebox\n" + "\n".join(parts)


def cells_csv(results: Sequence[Result]) -> str:
    """A line per cell: what was measured, and everything that was recorded of how."""
    out = io.StringIO()
    names = [one.name for one in dataclasses.fields(Result) if one.name not in ("metrics", "metric_ids", "intervals")]
    metrics = list(dict.fromkeys(metric for result in results for metric in result.metrics))
    ids = {metric: result.metric_ids[metric] for result in results for metric in result.metrics}
    ends = [f"{ids[metric]}_{end}" for metric in metrics for end in ("from", "to")]
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*(ids[metric] for metric in metrics), *ends, *names])
    for result in results:
        intervals = [end for metric in metrics for end in result.intervals.get(metric, [None, None])]
        values = [result.metrics.get(metric) for metric in metrics]
        record = dataclasses.asdict(result)
        writer.writerow([*values, *intervals, *(_plain(record[name]) for name in names)])
    return out.getvalue()


def who(row: str, category: str) -> str:
    """What was not run, in words."""
    return " ".join(filter(None, (row or "every row", f"on {category}" if category else "")))


def with_note(text: str, number: int) -> str:
    """The text with the number of its footnote, if it has one."""
    return f"{text} [{number}]".strip() if number else text


def head(line: Line, before: str, noted: Callable[[str, int], str] = with_note) -> tuple[str, str]:
    """The first two places of a line, after one of method `before`: the method, said once, and what the line is.

    noted: how a footnote is marked, beside the method if it is of what is published, else beside what the line is.
    """
    title = "" if line.title == before else line.title
    if not line.note:
        return title, line.kind
    return (noted(title, line.note), line.kind) if line.kind == "published" else (title, noted(line.kind, line.note))


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | tuple) else value


def _note(line: Line, column: str) -> int:
    return line.entries[column].note if column in line.entries else 0


def _starred(text: str) -> str:
    return f"**{text}**"


def _latex(line: Line, column: str) -> str:
    text = _escaped(entry_text(line, column, lambda value: f"\x01{value}\x02"))
    number = _note(line, column)
    return text.replace("\x01", r"\textbf{").replace("\x02", "}") + (f"$^{{{number}}}$" if number else "")


def _noted(text: str) -> str:
    return text.replace("\x03", "$^{").replace("\x02", "}$")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\textbackslash ").translate(_ESCAPES).translate(_LATEX_ONLY)
