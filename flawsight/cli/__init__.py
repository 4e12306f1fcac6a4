"""The command line: a function for each verb, and nothing that a user of the library cannot do.

Exit status: 0 done, and of `score`, every picture passed; 3 some pictures were rejected; 2 the call is wrong; 1 something else is:
pictures, masks, a model file; 130 interrupted (143 by SIGTERM), with nothing half-written.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from flawsight.cli import backbones, datasets, judge, tables
from flawsight.cli.arguments import quoted
from flawsight.cli.exits import verb
from flawsight.cli.fit import evaluate, fit

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
SPARE = {**HELP, "allow_extra_args": True}  # which the verb then refuses, with what may have been meant
app = typer.Typer(
    epilog="Exit status: 0 done, all pictures passed; 3 some were rejected; 2 wrong call; 1 other error; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)


def demo(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to draw the pictures in.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Random seed. Another one draws other pictures.")] = 0,
) -> None:
    """Draw a small inspection set: metal plates, good ones and ones with six kinds of defects."""
    from flawsight import demo as drawing
    from flawsight.cli.console import meter

    with meter() as progress:
        folder = drawing.write(out, seed, progress=lambda done, total: progress("drawing pictures", done, total))
    program = _program()
    typer.echo(f"Drew {folder}. Next:\n  {program} fit {quoted(folder / 'train' / 'good')} -o plate.flaw")
    typer.echo(f"  {program} evaluate {quoted(folder)} --model plate.flaw --report report.html")


def list_names(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="methods, backbones, datasets, metrics or presets")],
) -> None:
    """List what there is to choose from."""
    from rich.console import Console

    from flawsight.cli.catalogue import listing
    from flawsight.cli.console import show_facts

    show_facts(Console(), listing(what))


def _program() -> str:
    """How this program was called, for a command that works as it is printed."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m flawsight"
    return "flawsight" if called.parent == Path() or str(called.parent) in os.get_exec_path() else quoted(called)


def _add(
    to: typer.Typer,
    name: str,
    function: Callable[..., None],
    example: str,
    settings: dict[str, Any] = HELP,
    cls: type[TyperCommand] | None = None,
) -> None:
    to.command(name, cls=cls, context_settings=settings, epilog=f"Example: {example}")(verb(function))


_add(app, "fit", fit, "flawsight fit good/ -o part.flaw", settings=SPARE)
_add(app, "score", judge.score, "flawsight score part.flaw new/ -o results/")
_add(app, "evaluate", evaluate, "flawsight evaluate dataset/ --report report.html", settings=SPARE)
_add(app, "info", judge.info, "flawsight info part.flaw")
_add(app, "threshold", judge.threshold, "flawsight threshold part.flaw --max-false-rejects 10%")
_add(app, "bench", judge.bench, "flawsight bench part.flaw new/")
_add(app, "demo", demo, "flawsight demo demo/")
for group, title, verbs in (
    ("backbones", "Manage the weights of networks.", backbones.VERBS),
    ("datasets", "Check data sets.", datasets.VERBS),
):
    grouped = typer.Typer(help=title, no_args_is_help=True, context_settings=HELP)
    for name, (function, example) in verbs.items():
        _add(grouped, name, function, example)
    app.add_typer(grouped, name=group)
_add(app, "tables", tables.tables, "flawsight tables --data mvtec/ --out tables/ --preset embedded", cls=tables.ManyValues)
_add(app, "list", list_names, "flawsight list methods")


def _version(value: bool) -> None:
    if value:
        from flawsight._version import __version__

        typer.echo(f"flawsight {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Learn what a good part looks like from good pictures alone; score, localise and explain defects in new ones."""


def main() -> None:
    """The `flawsight` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    # numpy is not imported yet. Its products share small work among threads that wait by spinning: beside other programs on the
    # same cores a PaDiM fit then takes thirty times as long. What is heavy runs elsewhere or in threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.filterwarnings("ignore", "Image size .* decompression bomb")  # Pillow's: such a picture is refused in our own words
    app()
