"""The command line's options that several verbs share."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flawsight.errors import UsageError

if TYPE_CHECKING:
    from flawsight.fitting import Plan

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
Primed = Annotated[
    bool | None,
    typer.Option(
        "--primed/--not-primed",
        help="Whether one pass of a picture of ones first moves the network's normalisation, as PatchCore's code does; the "
        "preset's choice by default.",
    ),
]
Maps = Annotated[
    str | None,
    typer.Option(metavar="tiff|npy", help="Also write each picture's map into DIR/maps: float32, at the picture's own pixels."),
]
Masks = Annotated[
    bool, typer.Option("--masks", help="Also write into DIR/predicted_masks where each picture is above the threshold.")
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
Runtime = Annotated[
    str,
    typer.Option(
        help="onnxruntime; or, where that extra is installed, openvino, or openvino-bf16: the network in bfloat16, which is faster "
        "and moves scores. `flawsight bench` tells by how much."
    ),
]
EnsembleNorm = Annotated[
    str,
    typer.Option(
        help="What an ensemble's members are scaled by: held-out, or test: the judged pictures, as the paper's code does."
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory to fit in, such as 1GB or 512MiB; half of what is free if not told."),
]
Checkpoints = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where a method that learns by gradient keeps what it reached, and takes it up again."),
]
Defects = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Pictures labelled defective, for a method that learns from a few of them too.")
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="folder|REGEX",
        help="Hold out pictures of one series together. A series is a folder, or what the first group of a regular expression "
        "matches in a picture's name; without this option series are found by likeness.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(help="Bits that the camera uses of its 16-bit files, 8 to 16; if not told, what the highest value of all needs."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that holds a model whose threshold was changed, or no model.")]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option("--leave-out", metavar="NAME", help="A good picture not to learn from, by its name or path; repeatable."),
]
Crops = Annotated[
    bool,
    typer.Option(
        " /--no-crops",
        help="Keep no small crops of the good pictures in the model file, from which reports draw the nearest good patch.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what this will need of time and memory.")]


def names(text: str | None) -> tuple[str, ...]:
    """The names in a text like "stage3,stage5"."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


OF_A_PLAN: dict[str, tuple[Any, Any]] = {  # name → what it is, default
    "method": (Method, None),
    "backbone": (BackboneName, None),
    "preset": (PresetName, "default"),
    "size": (Size, None),
    "levels": (Levels, None),
    "options": (Options, None),
    "seed": (Seed, None),
    "max_false_rejects": (FalseRejects, None),
    "confidence": (Confidence, 0.95),
    "skip_bad": (SkipBad, False),
    "runtime": (Runtime, "onnxruntime"),
    "weights": (Weights, None),
    "primed": (Primed, None),
    "device": (Device, "cpu"),
    "memory": (Memory, None),
    "checkpoints": (Checkpoints, None),
    "defects": (Defects, None),
    "group_by": (GroupBy, None),
    "bits": (Bits, None),
    "leave_out": (LeaveOut, None),
    "crops": (Crops, True),
}


def with_plan(function: Callable[..., None]) -> Callable[..., None]:
    """The verb with all options of a fit in place of its parameter `plan`, which it gets made from them."""
    own = dict(inspect.signature(function).parameters)
    shared = {name: _option(name, kind, default) for name, (kind, default) in OF_A_PLAN.items()}
    every: dict[str, inspect.Parameter] = {}
    for name, parameter in own.items():
        if name == "plan":
            every |= shared
        else:  # annotations that are postponed are text
            every[name] = _option(name, eval(parameter.annotation, function.__globals__), parameter.default)

    @functools.wraps(function)
    def run(*args: Any, **given: Any) -> None:
        options = {name: given.pop(name) for name in OF_A_PLAN}
        function(*args, **given, plan=_plan(options))

    run.__signature__ = inspect.Signature(list(every.values()))  # type: ignore[attr-defined]  # where typer reads what a verb takes
    run.__annotations__ = {name: parameter.annotation for name, parameter in every.items()}
    return run


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options from "name=value" texts; values are read as JSON where they can be, else as text. Raises UsageError."""
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"options: name=value was needed; got '{text}'.")
        try:
            options[name.strip()] = json.loads(value)
        except ValueError:
            options[name.strip()] = value.strip()
    return options


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _plan(options: dict[str, Any]) -> Plan:
    from flawsight.fitting import Plan
    from flawsight.threshold import parse_share

    of_method = parse_options(options.pop("options") or [])
    seed, share = options.pop("seed"), options.pop("max_false_rejects")
    if seed is not None:
        of_method["seed"] = seed
    levels, leave_out = names(options.pop("levels")), tuple(options.pop("leave_out") or ())
    promised = None if share is None else parse_share(share)
    return Plan(levels=levels, options=of_method, max_false_rejects=promised, leave_out=leave_out, **options)
