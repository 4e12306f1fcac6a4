"""A report or a model as tables on a terminal."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flawsight.metrics import METRICS
from flawsight.types import Report, Row

SHOWN = 20  # pictures listed before the rest is counted


def show_report(console: Console, report: Report) -> None:
    """Metrics, mistakes in counts, the threshold's promise, and what a reader must know."""
    if report.metrics:
        table = Table("metric", "value", title=escape(report.title), title_justify="left")
        for name, value in report.metrics.items():
            table.add_row(METRICS[name].label, "not measurable" if math.isnan(value) else f"{100 * value:.2f} %")
        console.print(table)
        counts = report.counts
        console.print(f"{counts['false_rejects']} of {counts['good']} good pictures rejected; ", end="")
        console.print(f"{counts['misses']} of {counts['defective']} defective pictures missed.")
    console.print(f"Threshold {report.threshold['value']:.4g}: {report.threshold['promise']}.", soft_wrap=True)
    show_notes(console, report.notes)


def show_scores(console: Console, rows: list[Row], threshold: float) -> None:
    """Pictures with their scores, the worst first."""
    table = Table("picture", "score", "verdict")
    for row in sorted(rows, key=lambda row: -row.score)[:SHOWN]:
        verdict = "[bold red]reject[/]" if row.is_defective else "[green]pass[/]"
        table.add_row(escape(row.sample.name), f"{row.score:.4g}", verdict)
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"… and {len(rows) - SHOWN} more, all scoring lower.")
    n_rejected = sum(row.is_defective for row in rows)
    console.print(f"{n_rejected} of {len(rows)} pictures rejected (score above {threshold:.4g}).")


def show_facts(console: Console, facts: dict[str, Any]) -> None:
    """Names and values, one to a line."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(f"[bold]{escape(name)}[/]", escape(_in_words(value)))
    console.print(table)


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " × ".join(map(_in_words, value)) if value else "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_notes(console: Console, notes: list[str]) -> None:
    """Each note on a line of its own."""
    for note in notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
