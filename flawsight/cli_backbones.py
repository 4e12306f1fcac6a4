"""The command line's `backbones` verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flawsight import options as opt

Name = Annotated[str, typer.Argument(metavar="NAME", help="A network; see `flawsight backbones list`.")]


def show_list() -> None:
    """List the networks: whether they are here, and which weights they need."""
    from rich.console import Console

    from flawsight.backbones import BACKBONES, cache
    from flawsight.report.console import show_facts

    facts = {
        name: f"{cache.state(card)}; {card.source}; sha256 {card.sha256[:12]}{'…' if len(card.sha256) < 64 else ''}; {card.licence}"
        for name, card in BACKBONES.items()
    }
    show_facts(Console(), {**facts, "cache folder": cache.folder()})


def pull(name: Name) -> None:
    """Fetch a network's published weights and check them."""
    from flawsight.backbones import cache, get_card
    from flawsight.report.console import meter

    with meter() as progress:
        wrote = cache.pull(get_card(name), progress)
    typer.echo(f"Wrote {wrote}.")


def take_in(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its published weights, from wherever you got them.")],
) -> None:
    """Check a file of published weights and copy it to where they are kept."""
    from flawsight.backbones import cache, get_card
    from flawsight.report.console import meter

    with meter() as progress:
        wrote = cache.take_in(get_card(name), file, progress)
    typer.echo(f"Wrote {wrote}.")


def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A network; without it, all that are here.")] = None,
) -> None:
    """Check that the weights that are here are whole. Exit status 1 if some are not."""
    from rich.console import Console

    from flawsight.backbones import BACKBONES, cache, get_card
    from flawsight.errors import ModelFileError
    from flawsight.report.console import show_facts

    asked = [get_card(name)] if name else [card for card in BACKBONES.values() if cache.state(card) != "not here"]
    told, damaged = {}, False
    for card in asked:
        try:
            told[card.name] = cache.verify(card)
        except ModelFileError as error:
            told[card.name], damaged = str(error), True
    show_facts(Console(), told)
    if damaged:
        raise typer.Exit(1)


def export(
    name: Name,
    levels: opt.Levels = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The file to write; NAME.onnx if not said.")
    ] = None,
    weights: opt.Weights = None,
    primed: Annotated[
        int,
        typer.Option(
            metavar="SIDE", min=0, help="Prime it with a picture of ones of so many pixels a side, as PatchCore's code does."
        ),
    ] = 0,
) -> None:
    """Write a network as an ONNX file that gives these levels, for --weights elsewhere or for other programs."""
    from flawsight.backbones.opening import export as write
    from flawsight.files import check_writable

    path = out or Path(f"{name}.onnx")
    check_writable(path)
    written, origin = write(name, opt.names(levels), path, weights, primed)
    typer.echo(f"Wrote {path}: levels {', '.join(written)}; {origin.told}.")


VERBS: dict[str, Callable[..., None]] = {"list": show_list, "pull": pull, "import": take_in, "verify": verify, "export": export}
