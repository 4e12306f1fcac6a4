"""The command line's options that several verbs share."""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flawsight.errors import UsageError

if TYPE_CHECKING:
    from flawsight.fitting import Plan

THRESHOLD, NETWORK, TRAINED = "Threshold", "Method and network", "Methods that learn by gradient"  # headings in --help

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, as `flawsight fit` writes it.")]
SomePictures = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PICTURES]", help="Picture files and folders. A picture is drawn if there are none."),
]
Seconds = Annotated[float, typer.Option(help="How long to measure, in seconds.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is standard output.")]
Category = Annotated[str | None, typer.Option(help="Which category of DATA, where it holds several.")]
Layout = Annotated[str | None, typer.Option(help="Layout of DATA, where it is not recognised; see `flawsight list datasets`.")]
Method = Annotated[
    str | None,
    typer.Option(help="Method to fit instead of the preset's; see `flawsight list methods`.", rich_help_panel=NETWORK),
]
BackboneName = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="Network to use instead of the preset's, or several joined by +; see `flawsight list backbones`.",
        rich_help_panel=NETWORK,
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Levels of the network to use, finest first, such as stage3,stage5.",
        rich_help_panel=NETWORK,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|random",
        help="Weights for the network instead of the published ones: a file, or random ones.",
        rich_help_panel=NETWORK,
    ),
]
Primed = Annotated[
    bool | None,
    typer.Option(
        "--primed/--not-primed",
        help="Pass one picture of ones through the network in training mode first, as PatchCore's code does. "
        "The preset decides by default.",
        rich_help_panel=NETWORK,
    ),
]
Maps = Annotated[
    str | None,
    typer.Option(metavar="tiff|npy", help="Also write each anomaly map to DIR/maps, as float32 in the picture's size."),
]
Masks = Annotated[
    bool,
    typer.Option("--masks", help="Also write a mask of the regions above the threshold to DIR/predicted_masks."),
]
ResultsDir = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Write scores.csv, scores.json, report.html and overlays to this folder."),
]
GoodDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Good pictures that the model learned from, to draw the nearest patch of them."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print one line a picture and nothing else: verdict, score, name, tabs between."),
]
Device = Annotated[
    str,
    typer.Option(
        help="Device for networks and searches: cpu, or cuda if the extra `torch` is installed.",
        rich_help_panel=NETWORK,
    ),
]
PresetName = Annotated[str, typer.Option("--preset", help="Named settings; see `flawsight list presets`.")]
Size = Annotated[
    int | None,
    typer.Option(
        help="Side of the network's input in pixels. A larger one finds smaller defects and takes longer. "
        "The preset decides by default."
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the method. Repeatable.", rich_help_panel=NETWORK),
]
Seed = Annotated[int | None, typer.Option(help="Random seed.", rich_help_panel=NETWORK)]
FalseRejects = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Largest share of good parts that may be rejected, such as 5%. "
        "It is refused if there are too few good pictures to promise it.",
        rich_help_panel=THRESHOLD,
    ),
]
Confidence = Annotated[float, typer.Option(help="Confidence level of the promise.", rich_help_panel=THRESHOLD)]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip unreadable pictures and list them, instead of stopping.")]
Runtime = Annotated[
    str,
    typer.Option(
        help="Inference runtime: onnxruntime; or, if the extra `openvino` is installed, openvino or openvino-bf16. "
        "bfloat16 is faster and changes scores a little; `flawsight bench` measures both.",
        rich_help_panel=NETWORK,
    ),
]
EnsembleNorm = Annotated[
    str,
    typer.Option(
        help="What scales the members of an ensemble: the held-out scores, or the test pictures as in the paper's "
        "code (held-out or test).",
        rich_help_panel=NETWORK,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory that may be used, such as 1GB. Half of what is free by default."),
]
Checkpoints = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder to save checkpoints in and to resume from.", rich_help_panel=TRAINED),
]
Defects = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of defective pictures, for a method that learns from a few of them too.",
        rich_help_panel=TRAINED,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="folder|REGEX",
        help="Hold out the pictures of a series together. A series is a folder, or what the first group of a regular "
        "expression matches in a picture's name. Series are detected by likeness by default.",
        rich_help_panel=THRESHOLD,
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(help="Bits that the camera uses in 16-bit files, 8 to 16. They are detected by default."),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace a model whose threshold was changed, or a file that holds no model."),
]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option("--leave-out", metavar="NAME", help="Good picture to leave out, by its name or path. Repeatable."),
]
Crops = Annotated[
    bool,
    typer.Option(
        " /--no-crops",
        help="Keep no small crops of good pictures in the model file. Reports draw the nearest good patch from them.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only estimate the time and memory needed.")]


def names(text: str | None) -> tuple[str, ...]:
    """The names in a text like "stage3,stage5"."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


OF_A_PLAN: dict[str, tuple[Any, Any]] = {  # name → what it is, default; in the order of --help
    "preset": (PresetName, "default"),
    "size": (Size, None),
    "leave_out": (LeaveOut, None),
    "bits": (Bits, None),
    "skip_bad": (SkipBad, False),
    "memory": (Memory, None),
    "crops": (Crops, True),
    "max_false_rejects": (FalseRejects, None),
    "confidence": (Confidence, 0.95),
    "group_by": (GroupBy, None),
    "method": (Method, None),
    "options": (Options, None),
    "seed": (Seed, None),
    "backbone": (BackboneName, None),
    "levels": (Levels, None),
    "weights": (Weights, None),
    "primed": (Primed, None),
    "runtime": (Runtime, "onnxruntime"),
    "device": (Device, "cpu"),
    "checkpoints": (Checkpoints, None),
    "defects": (Defects, None),
}


def with_plan(function: Callable[..., None]) -> Callable[..., None]:
    """The verb with all options of a fit in place of its parameter `plan`, which it gets made from them."""
    own = inspect.signature(function).parameters
    kinds = typing.get_type_hints(function, localns={"Plan": Any}, include_extras=True)
    shared = {name: _option(name, kind, default) for name, (kind, default) in OF_A_PLAN.items()}
    every: dict[str, inspect.Parameter] = {}
    for name, parameter in own.items():
        if name == "plan":
            every |= shared
        else:
            every[name] = _option(name, kinds[name], parameter.default)

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
