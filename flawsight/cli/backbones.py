"""The command line's `backbones` verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flawsight.cli import options as opt
from flawsight.cli.arguments import NETWORK, check_places

Name = Annotated[str, typer.Argument(metavar="NAME", help="A network; see `flawsight backbones list`.")]


def show_list() -> None:
    """List the networks: which weights they need, and whether these are here."""
    from rich.console import Console

    from flawsight.backbones import BACKBONES, cache
    from flawsight.cli.console import show_facts

    facts = {
        name: f"{cache.state(card)}; {card.source}; sha256 {card.sha256[:12]}{'…' if len(card.sha256) < 64 else ''}; {card.licence}"
        for name, card in BACKBONES.items()
    }
    show_facts(Console(), {**facts, "cache folder": cache.folder()})


def pull(name: Name) -> None:
    """Download a network's published weights and check them."""
    from flawsight.backbones import cache, get_card
    from flawsight.cli.console import meter

    with meter() as progress:
        wrote = cache.pull(get_card(name), progress)
    typer.echo(f"Wrote {wrote}.")


def take_in(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of its published weights.")],
) -> None:
    """Check a file of published weights and copy it to the cache folder."""
    from flawsight.backbones import cache, get_card
    from flawsight.cli.console import meter

    with meter() as progress:
        wrote = cache.take_in(get_card(name), file, progress)
    typer.echo(f"Wrote {wrote}.")


def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A network. Without it, all whose weights are here.")] = None,
) -> None:
    """Check that downloaded weights are undamaged. Exit status 1 if some are not."""
    from rich.console import Console

    from flawsight.backbones import BACKBONES, cache, get_card
    from flawsight.cli.console import show_facts
    from flawsight.errors import ModelFileError

    asked = [get_card(name)] if name else [card for card in BACKBONES.values() if cache.state(card) != "not here"]
    states, damaged = {}, False
    for card in asked:
        try:
            states[card.name] = cache.verify(card)
        except ModelFileError as error:
            states[card.name], damaged = str(error), True
    show_facts(Console(), states)
    if damaged:
        raise typer.Exit(1)


def export(
    name: Name,
    levels: opt.Levels = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write. NAME.onnx by default.")] = None,
    weights: opt.Weights = None,
    primed: Annotated[
        int,
        typer.Option(
            metavar="SIDE",
            min=0,
            help="Prime the network with a picture of ones of this side, as PatchCore's code does.",
        ),
    ] = 0,
) -> None:
    """Write a network as an ONNX file with these levels, for --weights on another machine or for other programs."""
    from flawsight.backbones.opening import export as write

    path = out or Path(f"{name}.onnx")
    check_places((path, NETWORK))
    written, origin = write(name, opt.names(levels), path, weights, primed)
    typer.echo(f"Wrote {path}: levels {', '.join(written)}; {origin.message}.")


VERBS: dict[str, tuple[Callable[..., None], str]] = {  # name → function, example
    "list": (show_list, "flawsight backbones list"),
    "pull": (pull, "flawsight backbones pull wide_resnet50_2"),
    "import": (take_in, "flawsight backbones import wide_resnet50_2 wide_resnet50_2-95faca4d.pth"),
    "verify": (verify, "flawsight backbones verify"),
    "export": (export, "flawsight backbones export wide_resnet50_2 --levels layer2,layer3"),
}
