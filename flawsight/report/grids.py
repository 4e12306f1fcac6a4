"""The published tables, and what was measured beside them, on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flawsight.report import tables
from flawsight.report.console import STDOUT, as_is, say_wrote, show_notes, write_json
from flawsight.tables import oracle
from flawsight.tables.running import Result, Run
from flawsight.tables.sheets import Line, Sheet, entry_text
from flawsight.tables.writing import column_title, head, who, with_note

NARROWEST = 9  # letters of a column with its border, so that a sheet can be cut to the terminal's width
HEAD = 40  # letters of the first two columns


def tell_sheets(sheets: Sequence[Sheet], run: Run | None, json: Path | None, wrote: Sequence[Path]) -> None:
    """The sheets on the terminal; if asked for, everything as JSON in a file, or on standard output instead."""
    content: dict[str, Any] = {"sheets": [asdict(sheet) for sheet in sheets]}
    if run is not None:
        content |= {"cells": [asdict(result) for result in run.results], "not_run": [list(one) for one in run.not_run]}
    write_json(tables.plain(content), json)
    if json != STDOUT:
        show_sheets(Console(), sheets, run)
        say_wrote(*wrote, json)


def show_sheets(console: Console, sheets: Sequence[Sheet], run: Run | None = None) -> None:
    """Each sheet with its footnotes, in as many parts as the terminal's width asks for; then what was not run."""
    fits = max(3, (console.width - HEAD) // NARROWEST)
    for sheet in sheets:
        console.print(as_is(f"{sheet.title} (percent)"), style="bold", soft_wrap=True)
        step = math.ceil(len(sheet.columns) / math.ceil(len(sheet.columns) / fits))
        for start in range(0, len(sheet.columns), step):
            part = sheet.columns[start : start + step]
            console.print(_table(sheet, part))
        for number, text in enumerate(sheet.footnotes, 1):
            console.print(as_is(f"[{number}] {text}"), soft_wrap=True)
        console.print()
    if run is not None:
        show_notes(console, [f"not run: {who(row, category)}: {why}" for row, category, why in run.not_run])


def tell_cell(result: Result, done: int, n_all: int, left_s: float) -> None:
    """A finished cell on standard error: which, what was measured, and how long the rest may take."""
    shots = "" if result.shots is None else f", {result.shots} good pictures"
    values = ", ".join(
        f"{result.metric_ids[name]} {100 * value:.1f}" for name, value in result.metrics.items() if value is not None
    )
    left = f"; about {_duration(left_s)} left" if done < n_all else ""
    choice = f" {oracle.MARK} chosen on test labels" if result.oracle else ""
    typer.echo(f"{done}/{n_all} {result.row} {result.category}, seed {result.seed}{shots}: {values}{choice}{left}", err=True)


def _table(sheet: Sheet, columns: Sequence[str]) -> Table:
    table = Table("method", *([""] if sheet.is_measured else []))
    for column in columns:
        table.add_column(as_is(column_title(column)), justify="right")
    before = ""
    for line in sheet.lines:
        if sheet.is_measured and line.title != before and before:
            table.add_section()
        title, kind = head(line, before)
        table.add_row(as_is(title), *([as_is(kind)] if sheet.is_measured else []), *(_entry(line, column) for column in columns))
        before = line.title
    return table


def _entry(line: Line, column: str) -> Text:
    entry = line.entries.get(column)
    text = as_is(with_note(entry_text(line, column), entry.note if entry else 0))
    if entry is not None and (entry.best or entry.beyond):
        text.stylize("bold red" if entry.beyond else "bold")
    return text


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
