"""The command line's `datasets` verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flawsight.cli import options as opt
from flawsight.cli.arguments import JSON, check_places


def verify(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A data set, or one category of it; see `flawsight list datasets`.")],
    category: opt.Category = None,
    layout: opt.Layout = None,
    json: opt.Json = None,
) -> None:
    """Check that a data set is complete: published counts, readable pictures, masks. Exit status 1 if something is wrong."""
    from flawsight.cli.console import meter, tell_verification
    from flawsight.datasets.verify import verify as check

    check_places((json, JSON))
    with meter() as progress:
        found = check(data, category, layout, progress)
    tell_verification(found, json)
    if found.problems:
        raise typer.Exit(1)


VERBS: dict[str, tuple[Callable[..., None], str]] = {"verify": (verify, "flawsight datasets verify mvtec/")}
