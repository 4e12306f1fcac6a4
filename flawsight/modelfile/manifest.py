"""The fields of a model file's manifest, each checked once, when the file is opened.

A field of a dataclass is checked against the type it is declared with, so that a new one needs no line here.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones.onnx import Origin
from flawsight.errors import FlawsightError, ModelFileError, UsageError
from flawsight.methods.stored import LONGEST_SIDE, Stored, check_finite, check_within
from flawsight.modelfile import bundle
from flawsight.threshold import Threshold
from flawsight.types import name_of

T = TypeVar("T")
LARGEST = 2**53  # beyond it a float64, which is what other readers of JSON have, no longer tells whole numbers apart


class Network(NamedTuple):
    """What a manifest says of the network."""

    name: str
    levels: list[str]
    origin: Origin


def method_of(contents: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the params of the method. Raises ModelFileError, as all here do."""
    stored = get(contents, "method", dict)
    return get(stored, "name", str, "method"), get(stored, "params", dict, "method")


def network_of(contents: Mapping[str, Any]) -> Network:
    """What is said of the network."""
    about = dict(get(contents, "backbone", dict))
    name, levels = get(about, "name", str, "backbone"), get(about, "levels", list[str], "backbone")
    del about["name"], about["levels"]
    return Network(name, levels, made(Origin, about, "backbone"))


def threshold_of(contents: Mapping[str, Any]) -> tuple[Threshold, str]:
    """The threshold, and when it was set."""
    values = dict(get(contents, "threshold", dict))
    time = get(values, "set", str, "threshold")
    del values["set"]
    if get(values, "value", float | None, "threshold") is None:
        return dataclasses.replace(made(Threshold, {**values, "value": 0.0}, "threshold"), value=math.inf), time
    return made(Threshold, values, "threshold"), time


def stored_threshold(threshold: Threshold) -> dict[str, Any]:
    """How a manifest holds a threshold: the value is null where nothing is rejected, as JSON has no infinity."""
    held = dataclasses.asdict(threshold)
    return {**held, "value": None if math.isinf(threshold.value) else threshold.value}


def history_of(contents: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The thresholds before, each with at least its value and when it was set."""
    history = get(contents, "threshold_history", list[dict[str, Any]])
    for number, before in enumerate(history):
        where = f"threshold_history[{number}]"
        get(before, "value", float | None, where)
        get(before, "set", str, where)
    return tuple(history)


def picture_arrays(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The sizes and held-out scores of the good pictures. All arrays of the file must be finite, but for scores not known."""
    stored = Stored(arrays)
    sizes_hw = stored.take("training.sizes_hw", np.int32, "pictures", 2)
    held_out = stored.take("training.held_out", np.float32, "pictures", unknown=True)
    check_within(sizes_hw, "training.sizes_hw", 1, LONGEST_SIDE)
    for name, array in arrays.items():
        check_finite(array, name, unknown=name.endswith("held_out"))
    return {"sizes_hw": sizes_hw, "held_out": held_out}


def check_lengths(lists: Mapping[str, Sequence[Any]], n: int) -> None:
    """Raise ModelFileError for a list that has not one entry for each of n good pictures."""
    for name, values in lists.items():
        if len(values) != n:
            raise ModelFileError(
                f"its field 'training.{name}': expected one for each of {n} good pictures, got {len(values)}. "
                "Copy the file again or refit."
            )


def to_replace(path: str | Path, force: bool = False) -> tuple[dict[str, Any], ...]:
    """The thresholds of the model in a file that another will replace, oldest first, each with which model it was of.

    None where there is no file, or a model whose threshold was never changed. Raises UsageError for a model whose threshold was,
    and for a file that holds no model, unless forced.
    """
    if not Path(path).is_file():
        return ()
    try:
        contents, _ = bundle.read(Path(path))
        history, (last, time) = history_of(contents), threshold_of(contents)
        of = {"created": get(contents, "created", str), "fingerprint": get(contents, "fingerprint", str)}
    except FlawsightError:
        if force:
            return ()
        raise UsageError(
            f"{name_of(path)}: expected no file or a model, got a file of another kind or a damaged model. Name another file, or "
            "replace it with force."
        ) from None
    if not history:
        return ()
    if not force:
        raise UsageError(
            f"{name_of(path)}: holds a model whose threshold was changed, last at {time}. Name another file, or replace it with "
            "force: the new model's history then begins with these thresholds."
        )
    every = (*history, {**stored_threshold(last), "set": time})
    return tuple({**before, "replaced": before.get("replaced", of)} for before in every)


def made(cls: type[T], values: object, where: str, given: Mapping[str, Any] | None = None) -> T:
    """An instance of a dataclass from a JSON object. given: fields that come from elsewhere, unchecked.

    Raises ModelFileError that names the field, and what the dataclass itself raises for values that do not fit together.
    """
    if not isinstance(values, dict):
        raise ModelFileError(f"its field '{where}': expected an object, got {_shown(values)}. Copy it again or refit.")
    held, given = values, given or {}
    kinds = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        lacks_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name not in given and (field.name in held or lacks_default):
            get(held, field.name, kinds[field.name], where)
    names = {field.name for field in dataclasses.fields(cls)} - given.keys()  # type: ignore[arg-type]
    if unknown := sorted(held.keys() - names):
        raise ModelFileError(f"its field '{where}.{unknown[0]}' is unknown to this flawsight. Update flawsight or refit.")
    return cls(**held, **given)


def get(values: Mapping[str, Any], name: str, kind: Any, where: str = "") -> Any:
    """The value of a field, of this type. Raises ModelFileError."""
    path = f"{where}.{name}" if where else name
    if name not in values:
        raise ModelFileError(f"its field '{path}' is missing. Copy the file again or refit.")
    if not _fits(values[name], kind):
        raise ModelFileError(f"its field '{path}': expected {_words(kind)}, got {_shown(values[name])}. Copy it again or refit.")
    return values[name]


def _fits(value: object, kind: Any) -> bool:
    """Whether a value read from JSON has this type; lists count as tuples, whole numbers as floats, no number is NaN."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is list or (origin is tuple and inside[1:] == (...,)):
        return isinstance(value, list | tuple) and all(_fits(one, inside[0]) for one in value)
    if origin is tuple:
        return isinstance(value, list | tuple) and len(value) == len(inside) and all(map(_fits, value, inside))
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, inside[1]) for one in value.values())
    if kind is Any:
        return True
    if kind in (int, float):
        allowed = isinstance(value, int | float if kind is float else int) and not isinstance(value, bool)
        return allowed and ((isinstance(value, float) and math.isfinite(value)) or abs(value) <= LARGEST)  # type: ignore[arg-type]
    return isinstance(value, kind)


def _words(kind: Any) -> str:
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, inside))
    if origin is tuple and inside[1:] != (...,):
        return f"{len(inside)} values, each {_words(inside[0])}"
    if origin in (list, tuple):
        return f"a list, each of it {_words(inside[0])}"
    if origin is dict:
        return f"an object, each value {_words(inside[1])}"
    names = {
        str: "text",
        int: "a whole number",
        float: "a finite number",
        bool: "true or false",
        type(None): "null",
        dict: "an object",
    }
    return names.get(kind, str(kind))


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes out
        return "a number too large"
    return text if len(text) <= 60 else f"{text[:57]}…"
