"""The recipe: good pictures → checked → preprocessed → method.fit → threshold → Model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flawsight import loader, threshold
from flawsight.backbones.joined import JoinedBackbone
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.errors import UsageError
from flawsight.fitting import forecast, rehearsal, series, sharing
from flawsight.fitting.holding import Together, held_out_notes, held_together
from flawsight.fitting.inspecting import check_shown, coarseness, few_bits, grouped, inspect, names_left_out, show, told_of
from flawsight.fitting.pictures import pictures_of, unused
from flawsight.fitting.plan import Plan
from flawsight.images import traits
from flawsight.loader import Inspection
from flawsight.methods import make
from flawsight.methods.base import BankMethod, LearnedMethod, Method
from flawsight.model import Model, now
from flawsight.modelfile import crops
from flawsight.modelfile.training import Training
from flawsight.preprocess import Preprocess
from flawsight.system import memory, threads
from flawsight.types import Float, Pixels, Progress, Sample

if TYPE_CHECKING:
    from PIL import Image

Picture = Sample | str | Path | bytes | Pixels

UNTOLD = "the method neither keeps a bank nor learns by gradient, or no picture that was tried can be read"


def fit(
    pictures: str | Path | Sequence[Sample | str | Path | bytes | Pixels | Image.Image],
    plan: Plan | None = None,
    progress: Progress | None = None,
    backbone: OnnxBackbone | JoinedBackbone | None = None,
) -> Model:
    """A Model that has learned what good parts look like.

    pictures: a folder of good pictures, or a sequence of pictures as `Model.predict` takes them. progress: called with what is
    being done, steps done, steps in all. backbone: what `Plan.network` gave, where several fits share it. Raises
    DataError (naming every unreadable picture) or UsageError before time is spent.
    """
    plan = plan or Plan()
    preprocess, backbone, method, chosen = _opened(pictures, plan, backbone)
    left_out = names_left_out(chosen, plan.leave_out)
    _check_promise(plan, method, len(chosen) - len(left_out))
    if plan.memory is not None and isinstance(method, LearnedMethod):
        _rehearsed(method, plan, preprocess, chosen)
    budget = memory.budget(plan.memory)
    left = budget - memory.resident()
    pace = _pace(left, preprocess, forecast.sizes_hw(chosen))
    readable, inspections, skipped, bits = _checked(plan, chosen, preprocess, left, pace, left_out, progress)
    names = [loader.named(*item) for item in readable]
    copies, notes = grouped(names, inspections, 2 if plan.needs_threshold else 1)
    notes += few_bits(bits, plan.bits)
    together = _together(plan, copies, inspections, names)
    notes += [*unused(pictures, plan.group_by == series.FOLDER), *backbone.notes, *coarseness(preprocess, inspections)]
    _check_promise(plan, method, len(set(together.groups)), together.is_one)  # copies do not count
    pace = _pace(left, preprocess, [one.size_hw for one in inspections])
    shown = show(method, plan.defects, preprocess, plan.skip_bad, progress, {one.fingerprint for one in inspections}, bits)
    images = _Images(preprocess, readable, inspections, pace, progress, bits)
    inspections = [one._replace(kept=None) for one in inspections]  # what is kept, images alone hold
    held_out, more = _learn(method, images, together.groups, plan, budget, progress)
    notes += more
    training = Training(
        names=names,
        fingerprints=[one.fingerprint for one in inspections],
        sizes_hw=np.array([one.size_hw for one in inspections], np.int32),
        held_out=held_out,
        skipped=skipped,
        notes=[*notes, *told_of(shown)],
        defects=shown,
        series=together.of_each if together.matter else [],
        left_out=left_out,
        pictures=traits.learned_from([one.traits for one in inspections], bits),
    )
    chosen_threshold = _threshold(plan, training)
    training.notes.extend(held_out_notes(training, chosen_threshold, together) if plan.needs_threshold else [])
    created = now()
    keep = crops.kept(method, preprocess, [one.size_hw for one in inspections], images.seen) if plan.crops else None
    return Model(preprocess, method, plan.backbone_name, backbone, chosen_threshold, training, created, created, crops=keep)


def _learn(
    method: Method, images: _Images, groups: list[int], plan: Plan, budget: int, progress: Progress | None
) -> tuple[Float, list[str]]:
    """Fit the method: the held-out scores, float32 [N], and notes on how it was fitted. budget: bytes of memory."""
    if isinstance(method, BankMethod):
        sizes_hw = [images.preprocess.input_hw(one.size_hw) for one in images.inspections]
        room = sharing.room(method, budget, sizes_hw, images.pace.bytes)
        if not room.fits:
            images = images.sparing()
            memory.give_back()
            room = sharing.room(method, budget, sizes_hw, images.pace.bytes)
        room.check()
        return method.fit_within(images, groups, room.left, progress)
    if isinstance(method, LearnedMethod):
        held_out = method.fit_kept(images, groups, plan.checkpoints, progress)
        return held_out, [_shared(int(np.count_nonzero(np.isnan(held_out))), len(held_out)), *method.notes()]
    return method.fit(images, groups, progress), []


def estimate(
    pictures: str | Path | Sequence[Sample | str | Path | bytes | Pixels | Image.Image], plan: Plan | None = None
) -> forecast.Estimate | rehearsal.TrainingEstimate | None:
    """What `fit` will need of memory and time: a few pictures are tried out. None where that cannot be estimated.

    So it is for methods that neither keep a bank nor learn by gradient, and where no picture that is tried can be read. Raises
    UsageError as `fit` would, and also where a training would take more than half of the memory that is free.
    """
    plan = plan or Plan()
    preprocess, _, method, chosen = _opened(pictures, plan)
    left_out = names_left_out(chosen, plan.leave_out)
    chosen = [picture for i, picture in enumerate(chosen, 1) if loader.named(picture, i) not in left_out]
    _check_promise(plan, method, len(chosen))
    if isinstance(method, LearnedMethod):
        return _rehearsed(method, plan, preprocess, chosen)
    if not isinstance(method, BankMethod):
        return None
    return forecast.estimate(method, preprocess, chosen, plan.memory)


def _checked(
    plan: Plan,
    pictures: Sequence[Any],
    preprocess: Preprocess,
    left: int,
    pace: sharing.Pace,
    left_out: list[str],
    progress: Progress | None,
) -> tuple[list[tuple[Any, int]], list[Inspection], dict[str, str], int]:
    """What `inspect` gives, and the bits in use of 16-bit files. Only all the pictures together tell these, so where they are fewer
    the pictures are gone through again.
    """
    look = series.small if plan.needs_threshold and plan.group_by is None else None

    def checked(bits: int) -> tuple[list[tuple[Any, int]], list[Inspection], dict[str, str]]:
        keeper = _Keeper(preprocess, sharing.kept_bytes(left))
        return inspect("fit", pictures, plan.skip_bad, progress, keeper, pace, look, bits, left_out)

    found = checked(plan.bits or traits.ALL_BITS)
    bits = plan.bits or traits.bits_used(one.traits for one in found[1])
    if plan.bits is None and bits != traits.ALL_BITS:
        found = checked(bits)
    return *found, bits


def _rehearsed(
    method: LearnedMethod, plan: Plan, preprocess: Preprocess, pictures: Sequence[Any]
) -> rehearsal.TrainingEstimate | None:
    """What the training will need; shown the plan's defective pictures too."""
    show(method, plan.defects, preprocess, plan.skip_bad, None, set())
    return rehearsal.estimate(method, preprocess, pictures, plan.memory)


def _opened(
    pictures: Any, plan: Plan, backbone: OnnxBackbone | JoinedBackbone | None = None
) -> tuple[Preprocess, OnnxBackbone | JoinedBackbone, Method, list[Any]]:
    """Preprocessing, network (opened unless it comes along), unfitted method and pictures of a plan."""
    preprocess = plan.preprocess()
    backbone = backbone or plan.network()
    method = make(plan.method_name, plan.method_options(), backbone)
    if plan.memory is not None and not isinstance(method, BankMethod | LearnedMethod):
        raise UsageError(f"fit: {method.name} cannot keep to a given memory. Leave out memory, or choose patchcore.")
    if plan.checkpoints is not None and not isinstance(method, LearnedMethod):
        raise UsageError(f"fit: {method.name} does not learn by gradient and needs no checkpoints. Leave out checkpoints.")
    if plan.checkpoints is not None and plan.checkpoints.exists() and not plan.checkpoints.is_dir():
        raise UsageError(f"fit: {plan.checkpoints}: a folder for checkpoints was needed; it is a file. Name another.")
    check_shown(method, plan.defects)
    chosen = pictures_of(pictures, plan) if isinstance(pictures, str | Path) else list(pictures)
    return preprocess, backbone, method, chosen


def _together(plan: Plan, copies: list[int], inspections: list[Inspection], names: list[str]) -> Together:
    """The series that the plan names, or the pictures show; each picture by itself where no threshold is wanted."""
    if plan.needs_threshold or plan.group_by is not None:
        return held_together(names, copies, inspections, plan.group_by)
    return Together(copies, copies, None)


def _threshold(plan: Plan, training: Training) -> threshold.Threshold:
    """What the plan asks for, from the held-out scores."""
    if not plan.needs_threshold:
        return threshold.none(plan.confidence)
    return threshold.choose(training.independent, plan.max_false_rejects, plan.confidence, training.independent_series)


def _check_promise(plan: Plan, method: Method, n: int, one_series: bool = False) -> None:
    """Raise UsageError unless so many different good pictures or series can give the threshold that is wanted."""
    unseen = method.n_held_out(n) if isinstance(method, LearnedMethod) else n
    if plan.needs_threshold and isinstance(method, LearnedMethod) and unseen < 2:
        raise UsageError(
            f"fit: {method.name} would hold {unseen} of {n} different good pictures out of what it learns from; a threshold needs "
            "at least 2. Add good pictures, or set held_out higher."
        )
    threshold.most_rejected(unseen, plan.max_false_rejects, plan.confidence, one_series)


def _shared(n_learned: int, n: int) -> str:
    """How the good pictures of a method that learns by gradient were shared between it and the threshold."""
    if n_learned == n:
        return f"All {n} good pictures were learned from; none is held out for a threshold."
    return f"{n_learned} of {n} good pictures were learned from; the others are held out for the threshold."


def _pace(left: int, preprocess: Preprocess, sizes_hw: Sequence[tuple[int, int]]) -> sharing.Pace:
    inputs = [preprocess.input_hw(hw) for hw in sizes_hw]
    return sharing.pace(left, max(sizes_hw, key=math.prod, default=(0, 0)), max(inputs, key=math.prod, default=(0, 0)))


class _Keeper:
    """What the network will see of each picture that is inspected, so long as that takes less than so many bytes in all."""

    def __init__(self, preprocess: Preprocess, most: int) -> None:
        self._preprocess = preprocess
        self._left = most

    def __call__(self, pixels: Pixels) -> Pixels | None:
        if self._left <= 0:
            return None
        reduced = self._preprocess.reduce(pixels)
        self._left -= reduced.nbytes
        return reduced


@dataclass(frozen=True)
class _Images:
    """The network's inputs, float32 [3,h,w], of inspected pictures; they can be gone through again. Progress is reported once.

    reached: how far it was.
    """

    preprocess: Preprocess
    pictures: list[tuple[Any, int]]
    inspections: list[Inspection]
    pace: sharing.Pace
    progress: Progress | None
    bits: int
    reached: list[int] = field(default_factory=lambda: [0])

    def sparing(self) -> _Images:
        """The same with as little memory as can be: nothing kept, one picture at a time."""
        self.inspections[:] = [one._replace(kept=None) for one in self.inspections]
        return replace(self, pace=_pace(0, self.preprocess, [one.size_hw for one in self.inspections]))

    def __iter__(self) -> Iterator[Float]:
        items = zip(self.pictures, self.inspections, strict=True)
        images = threads.ahead(self._prepare, items, self.pace.workers, self.pace.waiting)
        for done, image in enumerate(images, 1):
            if self.progress and done > self.reached[0]:
                self.reached[0] = done
                self.progress("looking at pictures", done, len(self.pictures))
            yield image

    def __getitem__(self, place: int) -> Float:
        return self._prepare((self.pictures[place], self.inspections[place]))

    def seen(self, places: Sequence[int]) -> Iterator[Pixels]:
        """What the network sees of the pictures at these places, see Preprocess.reduce."""
        items = ((self.pictures[place], self.inspections[place]) for place in places)
        return threads.ahead(self._reduced, items, self.pace.workers, self.pace.waiting)

    def _prepare(self, item: tuple[tuple[Any, int], Inspection]) -> Float:
        return self.preprocess.normalise(self._reduced(item))

    def _reduced(self, item: tuple[tuple[Any, int], Inspection]) -> Pixels:
        (picture, position), known = item
        return self.preprocess.reduce(loader.read(picture, position, self.bits)) if known.kept is None else known.kept
