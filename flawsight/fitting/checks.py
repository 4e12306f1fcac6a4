"""Whether a Plan can be followed, as far as that can be known without pictures, networks or extras."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from flawsight import threshold
from flawsight.backbones.onnx import RUNTIMES
from flawsight.errors import UnknownName, UsageError
from flawsight.fitting import series
from flawsight.images import traits
from flawsight.methods import get_method
from flawsight.methods.base import make_params
from flawsight.system import memory

if TYPE_CHECKING:
    from flawsight.fitting.plan import Plan

NAME, FLAG = (str, NoneType), ((bool,), "True or False")
KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # field → its types, and in words what is expected
    "method": (NAME, "the name of a method"),
    "backbone": (NAME, "the name of a network"),
    "preset": ((str,), "the name of a preset"),
    "size": ((int, NoneType), "a whole number of pixels"),
    "levels": ((tuple, list), 'the names of levels, such as ("stage3", "stage5")'),
    "options": ((Mapping,), "the method's params by their names"),
    "max_false_rejects": ((int, float, NoneType), "a share such as 0.01"),
    "confidence": ((int, float), "a share such as 0.95"),
    "skip_bad": FLAG,
    "runtime": ((str,), "the name of a runtime"),
    "weights": (NAME, 'a file of weights as text, or "random"'),
    "device": ((str,), '"cpu" or "cuda"'),
    "memory": ((str, int, NoneType), 'a size such as "1GB" or a number of bytes'),
    "needs_threshold": FLAG,
    "checkpoints": ((str, Path, NoneType), "a folder"),
    "defects": ((str, Path, Sequence, NoneType), "a folder or a list of pictures"),
    "primed": ((bool, NoneType), "True, False or None"),
    "bits": ((int, NoneType), "a whole number, 8 to 16"),
    "crops": FLAG,
    "leave_out": ((tuple, list), "names of pictures"),
    "group_by": (NAME, '"folder" or a regular expression'),
}


def check_plan(plan: Plan) -> None:
    """Raise UsageError, or UnknownName, for the first field that holds what it cannot."""
    for name in (field.name for field in dataclasses.fields(plan)):
        kinds, words = KINDS[name]
        value = getattr(plan, name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise UsageError(f"Plan: {name}: expected {words}, got {value!r}.")
    if not all(isinstance(one, str) for one in (*plan.levels, *plan.options, *plan.leave_out)):
        came = f"{plan.levels!r}, {list(plan.options)!r} and {plan.leave_out!r}"
        raise UsageError(f"Plan: levels, options and leave_out: expected names as text, got {came}.")
    if plan.runtime not in RUNTIMES:
        raise UnknownName("Plan: runtime", plan.runtime, RUNTIMES)
    if not re.fullmatch(r"cpu|cuda(:\d+)?", plan.device):
        raise UnknownName("Plan: device", plan.device, ("cpu", "cuda"))
    if plan.memory is not None:
        memory.parse(plan.memory)
    series.check_pattern(plan.group_by)
    traits.check_bits(plan.bits)
    threshold.check_confidence(plan.confidence)
    if plan.max_false_rejects is not None:
        threshold.check_share(plan.max_false_rejects)
    make_params(get_method(plan.method_name).Params, plan.method_options(), plan.method_name)
    plan.backbone_levels()
    plan.preprocess()
