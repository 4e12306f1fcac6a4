"""What every method promises: the Method protocol and its params."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import Backbone, BackboneCard
from flawsight.errors import DataError, UnknownName, UsageError
from flawsight.search.streaming import Need
from flawsight.types import Arrays, Float, Progress, Scores

P = TypeVar("P")


class Scorer(Protocol):
    """float32 [B,3,H,W] → Scores. A picture's scores do not depend on the others of its batch."""

    def score(self, images: Float) -> Scores: ...


class Method(Scorer, Protocol):
    """A scorer that learns from good pictures alone; but see ShownMethod.

    Params are one frozen dataclass, checked in its `__post_init__`; what is learned is plain arrays. any_size: whether pictures of
    different sizes can be learned from and judged; where not, DataError is raised for the first that differs. default_backbone: the
    network to learn on unless another is named; PIXELS where it is the picture itself.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    default_backbone: ClassVar[str]
    Params: ClassVar[type[Any]]
    any_size: ClassVar[bool]
    params: Any

    def __init__(self, params: Any, backbone: Backbone) -> None: ...

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """The levels of that network to learn from unless others are named, finest first.

        Raises UsageError for a network that it cannot learn on.
        """
        ...

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """Learn from pictures float32 [3,h,w] and return a held-out score of each, float32 [N].

        A held-out score is what the picture would score had it and all pictures of its group not been learned from; NaN where
        that is not known, as of pictures that were learned from where a fit is too long to be done again. groups: one
        number a picture; pictures that are the same, or were taken together, share it. A second fit forgets the first.
        """
        ...

    def state(self) -> Arrays:
        """What was learned. Raises NotFitted."""
        ...

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take over what `state` returned; returns self. Raises ModelFileError, which names an array that does not fit."""
        ...


@runtime_checkable
class BankMethod(Method, Protocol):
    """A method whose fit is `build` on what `reduce` leaves of the patches that `embed` gives, and can be in bounded memory.

    banks: how many of as many patches each, one chosen after the other; what the functions here say is of one.
    All but `fit_within` and `build` depend on params and network alone, so pictures may be embedded and blocks reduced anywhere.
    """

    banks: ClassVar[int]

    def embed(self, images: Float) -> tuple[Float, tuple[int, int], list[int]]:
        """Patch vectors, float32 [B,P,D], their grid (rows, columns), and how the dimensions divide into levels."""
        ...

    def need(self, dims: int) -> Need:
        """What a choice from patches of so many dimensions takes of memory."""
        ...

    def reduce(self, rows: Float, draws: Float, n: int, scales: Float | None = None) -> NDArray[np.int64]:
        """Indices, rising, of n rows of a block that stand for all of it. draws: float32 [N], a random number for each.

        scales: of rows that are not scaled yet, float32 [D].
        """
        ...

    def build(self, rows: Float, source: NDArray[np.int32], scales: Float, grids: NDArray[np.int32], radius: float) -> None:
        """Take scaled rows [M,D] for the bank. source: int32 [M,3], picture, grid row and column of each. grids: int32 [N,2]."""
        ...

    def fit_within(
        self, images: Iterable[Float], groups: list[int], room: int | None, progress: Progress | None = None
    ) -> tuple[Float, list[str]]:
        """As `fit`, and what a reader must know of it. room: bytes of memory to take at most for patches and work on them.

        images: may be gone through twice. Raises UsageError where there is too little room.
        """
        ...


@runtime_checkable
class LearnedMethod(Method, Protocol):
    """A method that learns by gradient. Some of the good pictures are kept from it, and they alone have held-out scores."""

    def n_held_out(self, n: int) -> int:
        """Of so many different good pictures, how many will have a held-out score."""
        ...

    def notes(self) -> list[str]:
        """What a reader must know of what it was fitted with."""
        ...

    def fit_kept(
        self, images: Iterable[Float], groups: list[int], checkpoints: Path | None, progress: Progress | None = None
    ) -> Float:
        """As `fit`, with what was reached kept in a folder of checkpoints now and then, and taken up there.

        Raises DataError for checkpoints that cannot be used, LearningFailed.
        """
        ...

    def rehearse(self, images: list[Float], n: int) -> tuple[dict[str, float], float]:
        """Seconds of each part of learning from n pictures, and of judging one: tried out with a few steps on these few.

        It takes about the memory that learning takes, without the pictures, and leaves the method fitted on next to nothing.
        Raises MissingExtra, LearningFailed.
        """
        ...


@runtime_checkable
class SeparableMethod(Method, Protocol):
    """A method that can judge as though it had not learned from some of its pictures: as held-out scores are made."""

    def without(self, pictures: Sequence[int]) -> Self:
        """The same method without what it learned from the pictures at these places. Raises NotFitted."""
        ...


class Kept(NamedTuple):
    """The patches of good pictures in a bank. rows: float32 [M,D]. pictures: int32 [M], the training picture that each is from.
    places: float32 [M,4], where, as in Scores.source_peak.
    """

    rows: Float
    pictures: NDArray[np.int32]
    places: Float


@runtime_checkable
class KeepingMethod(Method, Protocol):
    """A method that keeps patches of good pictures, among them all that its evidence can point at."""

    def kept(self) -> list[Kept]:
        """Those of each bank. Raises NotFitted."""
        ...


@runtime_checkable
class ShownMethod(Method, Protocol):
    """A method that learns from a few labelled defective pictures too. No other ever sees one."""

    def with_defects(self, images: Sequence[Float]) -> Self:
        """Take pictures float32 [3,h,w] that are defective, at least one, for all fits to come; returns self."""
        ...


def make_params(cls: type[P], options: Mapping[str, Any], where: str) -> P:
    """The method's params with these options set; UnknownName for an option it does not have, UsageError for a wrong type."""
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in options:
        if name not in fields:
            raise UnknownName(f"{where}: options", name, fields)
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}. See `flawsight list methods`.") from error


def check(condition: bool, where: str, needed: str, came: object) -> None:
    """Raise UsageError in the one form that all params use, unless the condition holds."""
    if not condition:
        raise UsageError(f"{where} must be {needed}; got {came!r}.")


def check_types(params: Any, where: str) -> None:
    """Raise UsageError unless every param has the type it is declared with; a whole number serves as a float.

    A bool counts as a number to Python and any text as true: `reweight="no"` would switch it on.
    """
    kinds = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        fits = isinstance(value, kinds[str(field.type)]) and isinstance(value, bool) == (field.type == "bool")
        check(fits, f"{where}{field.name}", f"of type {field.type}", value)
        check(not isinstance(value, float) or math.isfinite(value), f"{where}{field.name}", "a finite number", value)


def last_at_strides(card: BackboneCard, strides: Sequence[int]) -> tuple[str, ...]:
    """The last level of each of these strides that the network has; its default ones if it has none."""
    last = {stride: level for level, (_, stride) in card.levels.items()}
    return tuple(last[stride] for stride in strides if stride in last) or card.default_levels


def averages(backbone: Backbone, image: Float) -> list[Float]:
    """Each level of one picture [3,h,w] averaged over the picture: float32 [C] each."""
    return [level[0].mean((1, 2), dtype=np.float64).astype(np.float32) for level in backbone.features(image[None])]


def scaled_averages(backbone: Backbone, image: Float, scales: int, where: str) -> Float:
    """All averages of a picture [3,h,w], size by size: float32 [D]. A smaller one has every second pixel, then every fourth.

    Raises DataError for a picture too small.
    """
    steps = [2**scale for scale in range(scales)]
    if min(image.shape[1:]) < 16 * steps[-1]:
        raise DataError(
            f"{where}: scales={scales} needs pictures of {16 * steps[-1]} pixels on each side; the network gets "
            f"{image.shape[2]}×{image.shape[1]}. Ask for a larger size or fewer scales."
        )
    return np.concatenate([level for step in steps for level in averages(backbone, np.ascontiguousarray(image[:, ::step, ::step]))])


def picked(images: Iterable[Float], places: Sequence[int]) -> Iterator[Float]:
    """The images at these rising places; of what can be indexed only these are made."""
    if hasattr(images, "__getitem__"):
        return (images[place] for place in places)
    return (image for place, image in enumerate(images) if place in places)


class Judged(NamedTuple):
    """One picture's part of Scores."""

    score: float
    map: Float
    peak: Float
    source: int
    source_peak: Float


def stack(judged: Sequence[Judged]) -> Scores:
    """The Scores of a batch from those of its pictures."""
    return Scores(
        image=np.array([one.score for one in judged], np.float32),
        map=np.stack([one.map for one in judged]),
        peak=np.stack([one.peak for one in judged]),
        source=np.array([one.source for one in judged], np.int32),
        source_peak=np.stack([one.source_peak for one in judged]),
    )


def cell_box(cell: NDArray[np.integer], grid: NDArray[np.integer]) -> Float:
    """A grid's cell (row, column) as top, left, bottom, right in shares of the grid's (rows, columns): float32 [4].

    Of many cells, [M,2] each: float32 [M,4].
    """
    return np.concatenate([cell / grid, (cell + 1) / grid], -1).astype(np.float32)
