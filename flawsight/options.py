"""The command line's options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, as `flawsight fit` writes it.")]
SomePictures = Annotated[
    list[Path] | None, typer.Argument(metavar="[PICTURES]", help="Picture files and folders of them; without any, one is drawn.")
]
Seconds = Annotated[float, typer.Option(help="To measure for.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - for standard output.")]
Method = Annotated[str | None, typer.Option(help="What learns, if not the preset's; see `flawsight list methods`.")]
BackboneName = Annotated[
    str | None, typer.Option("--backbone", help="The network, or several a+b, if not the preset's; see `flawsight list backbones`.")
]
Levels = Annotated[str | None, typer.Option(metavar="NAMES", help="Of the network, finest first, such as stage3,stage5.")]
Weights = Annotated[
    str | None,
    typer.Option(metavar="FILE|random", help="Of the network, in place of the published ones: a file of them, or drawn at random."),
]
Device = Annotated[str, typer.Option(help="Where networks and searches run: cpu, or cuda where the extra torch is installed.")]
PresetName = Annotated[str, typer.Option("--preset", help="A named way to fit; see `flawsight list presets`.")]
Size = Annotated[
    int | None, typer.Option(help="Pixels: the network sees about SIZE × SIZE of them. More finds smaller defects, slower.")
]
Options = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One of the method's params; repeatable.")]
Seed = Annotated[int | None, typer.Option(help="For what is drawn at random.")]
FalseRejects = Annotated[
    str | None, typer.Option(metavar="SHARE", help="Promise at most this share of good parts rejected, such as 1%.")
]
Confidence = Annotated[float, typer.Option(help="With which the promise holds.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable pictures out, and list them, instead of stopping.")]
Runtime = Annotated[str, typer.Option(help="onnxruntime, or openvino where that extra is installed.")]
EnsembleNorm = Annotated[
    str,
    typer.Option(
        help="What an ensemble's members are scaled by: held-out, or test: the judged pictures, as the paper's code does."
    ),
]


def names(text: str | None) -> tuple[str, ...]:
    """The names in a text like "stage3,stage5"."""
    return tuple(name.strip() for name in text.split(",")) if text else ()
