"""The command line's `tables`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from flawsight.cli import options as opt
from flawsight.cli.arguments import JSON, check_places
from flawsight.errors import UsageError

Many = list[str] | None
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="ROOT", help="A folder of categories, such as MVTec AD, or one category."),
]
Published = Annotated[bool, typer.Option("--published", help="Only show the published tables.")]
Table = Annotated[
    Many,
    typer.Option(metavar="NAMES", help="Tables to fill: S1, S2, S3, S4, or R, the figures in the paper's repository."),
]
Methods = Annotated[Many, typer.Option(metavar="NAMES", help="Rows of the tables, or methods. All by default.")]
Categories = Annotated[Many, typer.Option(metavar="NAMES", help="Categories of the data. All by default.")]
Preset = Annotated[
    str,
    typer.Option(
        "--preset",
        help="Settings: row, as published; embedded, on a network in the package; smoke, tiny, to try it out.",
    ),
]
Seeds = Annotated[Many, typer.Option(metavar="NUMBERS", help="Random seeds. Several give mean and standard deviation.")]
Shots = Annotated[Many, typer.Option(metavar="NUMBERS", help="Number of good pictures to learn from, drawn for each seed.")]
EvalAt = Annotated[
    str | None,
    typer.Option("--eval", help="Resolution to compare pixels at: crop, full256 or native. As published by default."),
]
Jobs = Annotated[int, typer.Option(help="Number of processes to run at a time.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Write tables and cells to this folder. A run that was stopped continues.",
    ),
]
OracleSelect = Annotated[
    bool,
    typer.Option(
        "--oracle-select",
        help="Choose on test labels what published rows chose that way, and mark every number it affects.",
    ),
]
TeacherData = Annotated[
    Path | None,
    typer.Option(
        "--teacher-data",
        metavar="DIR",
        help="Pictures that Student's teacher learns from, such as ImageNet, in this folder and below. "
        "The good pictures by default.",
    ),
]


class ManyValues(TyperCommand):
    """A command whose options of several values take them one after another: `--seeds 0 1 2` is `--seeds 0 --seeds 1 --seeds 2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        many = {flag for param in self.params if getattr(param, "multiple", False) for flag in param.opts}
        spread: list[str] = []
        flag, wants = "", False
        for text in args:
            if text.startswith("-") and text != "-":
                flag, wants = (text if text in many else ""), True
            elif flag and not wants:
                spread.append(flag)
            else:
                wants = False
            spread.append(text)
        return super().parse_args(ctx, spread)


def tables(
    data: Data = None,
    published: Published = False,
    table: Table = None,
    methods: Methods = None,
    categories: Categories = None,
    preset: Preset = "row",
    backbone: opt.BackboneName = None,
    weights: opt.Weights = None,
    teacher_data: TeacherData = None,
    device: opt.Device = "cpu",
    memory: opt.Memory = None,
    seeds: Seeds = None,
    shots: Shots = None,
    eval_at: EvalAt = None,
    jobs: Jobs = 1,
    oracle_select: OracleSelect = False,
    dry_run: opt.DryRun = False,
    out: Out = None,
    json: opt.Json = None,
) -> None:
    """Measure the published tables' rows on a data set, beside what is published of them."""
    from flawsight.cli.console import meter
    from flawsight.cli.grids import tell_cell, tell_needs, tell_sheets
    from flawsight.reproduce import low_shot, sheets, writing
    from flawsight.reproduce.needs import needs
    from flawsight.reproduce.planning import PUBLISHED, Request
    from flawsight.reproduce.running import run

    _check(data, published, out, dry_run, json)
    names = _names(table) or PUBLISHED
    if data is None:
        _show_published(names, out, json)
        return
    rest = _numbers("--seeds", seeds), _numbers("--shots", shots), eval_at, jobs, oracle_select, teacher_data
    request = Request(data, names, _names(methods), _names(categories), preset, backbone, weights, device, memory, *rest)
    if dry_run or out is None:
        with meter() as progress:
            needed = needs(request, out, progress)
        tell_needs(needed, json)
        if not needed.finished and all(one.why for one in needed.of_cells):
            raise typer.Exit(1)
        return
    with meter() as progress:
        found = run(request, out, progress, tell_cell)
    shown = [*sheets.measured_sheets(found), *low_shot.low_shot_sheets(found)]
    tell_sheets(shown, found, json, writing.write(out, shown, found))
    if not found.results:
        raise typer.Exit(1)


def _show_published(names: Sequence[str], out: Path | None, json: Path | None) -> None:
    from flawsight.cli.grids import tell_sheets
    from flawsight.reproduce import writing
    from flawsight.reproduce.running import make_folder
    from flawsight.reproduce.sheets import published_sheets

    shown = published_sheets(names)
    wrote = writing.write(make_folder(out, cells=False), shown) if out else []
    tell_sheets(shown, None, json, wrote)


def _check(data: Path | None, published: bool, out: Path | None, dry_run: bool, json: Path | None) -> None:
    """Raise UsageError for a call that is wrong, before time is spent."""
    if published == (data is not None):
        raise UsageError("tables: either --data ROOT or --published was needed. See `flawsight tables --help`.")
    if published and dry_run:
        raise UsageError("tables: --dry-run: cells to be run were needed; --published runs none. Leave out either.")
    if data and not out and not dry_run:
        raise UsageError("tables: --out DIR was needed with --data, for the cells and the tables; none came. Name a folder.")
    if out and out.exists() and not out.is_dir():
        raise UsageError(f"{out}: a folder was needed for --out; it is a file. Name another.")
    check_places((json, JSON))


def _names(texts: Sequence[str] | None) -> tuple[str, ...]:
    """The names in texts like "S1,S2", each once."""
    return tuple(dict.fromkeys(name.strip() for text in texts or () for name in text.split(",") if name.strip()))


def _numbers(option: str, texts: Sequence[str] | None) -> tuple[int, ...]:
    """The whole numbers in texts like "0,1"."""
    try:
        return tuple(int(name) for name in _names(texts))
    except ValueError:
        raise UsageError(f"tables: {option}: whole numbers were needed; got {' '.join(texts or ())}.") from None
