"""What all methods that learn by gradient do alike: which pictures they learn from, how it is kept, what comes out.

Training needs torch (extra `torch`). What is learned leaves it as an ONNX graph, in bytes like any array, and scoring runs that
under onnxruntime, one picture at a time: just after the fit as after loading, and a picture cannot depend on its batch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import PIXELS, Backbone, BackboneCard
from flawsight.errors import LearningFailed, MissingExtra, NotFitted, UsageError
from flawsight.methods.base import check, check_types
from flawsight.parts.folds import held_back, n_held_back
from flawsight.types import Arrays, Float, Progress, Scores

if TYPE_CHECKING:
    from flawsight.networks.descend import Run

SIDES = (64, 128, 256, 512)  # of cuts: what networks that halve them again and again take
CONSTANT = 1e-6  # relative difference between scores under which they are all the same


@dataclass(frozen=True)
class LearnedParams:
    """steps: of gradient descent. batch: pictures, or cuts of them, that a step sees. lr: the learning rate. held_out: share of the
    good pictures that are not learned from, for the threshold. seed: of all that is drawn at random.
    """

    steps: int = 2000
    batch: int = 32
    lr: float = 2e-4
    held_out: float = 0.2
    seed: int = 0

    def check_training(self, where: str) -> None:
        """Raise UsageError unless these, and the types of all params, are right."""
        check_types(self, where)
        check(self.steps >= 1, where + "steps", "≥ 1", self.steps)
        check(self.batch >= 1, where + "batch", "≥ 1", self.batch)
        check(0 < self.lr < 1, where + "lr", "above 0 and below 1", self.lr)
        check(0 <= self.held_out < 1, where + "held_out", "a share, 0 or more and below 1", self.held_out)
        check(self.seed >= 0, where + "seed", "≥ 0", self.seed)


@dataclass(frozen=True)
class CutParams(LearnedParams):
    """Of methods that look at square cuts. crop: a cut's side, 64, 128, 256 or 512 pixels. stride: pixels from window to window
    when a picture is judged. latent: numbers that a cut is reduced to. width: channels of the first layers. angle: degrees by which
    a cut may be turned for training, either way. shift: share of its side by which it may be moved, where it is as large as the
    picture. flips: whether it may be mirrored, left to right and upside down. The others: see LearnedParams.
    """

    crop: int = 128
    stride: int = 32
    latent: int = 100
    width: int = 32
    angle: float = 0.0
    shift: float = 0.0
    flips: bool = False

    def check_cuts(self, where: str) -> None:
        """Raise UsageError unless these, and those of LearnedParams, are right."""
        self.check_training(where)
        check(self.crop in SIDES, where + "crop", f"one of {', '.join(map(str, SIDES))}", self.crop)
        check(1 <= self.stride <= self.crop, where + "stride", f"1 to crop, {self.crop}", self.stride)
        check(self.latent >= 1, where + "latent", "≥ 1", self.latent)
        check(self.width >= 1, where + "width", "≥ 1", self.width)
        check(0 <= self.angle <= 180, where + "angle", "0 to 180", self.angle)
        check(0 <= self.shift < 1, where + "shift", "0 or more and below 1", self.shift)


class Learned:
    """A method but for `_learn` and `_judge`, and its name, title and Params, a LearnedParams."""

    name: ClassVar[str]
    title: ClassVar[str]
    Params: ClassVar[type[Any]]
    any_size: ClassVar[bool] = True
    default_backbone: ClassVar[str] = PIXELS
    files: ClassVar[tuple[str, ...]] = ()  # params that name files: their contents, not their names, `_learn` adds to its run's key

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """See Method.default_levels. Raises UsageError for a network where the method learns from the picture itself."""
        if cls.default_backbone == PIXELS and card.name != PIXELS:
            raise UsageError(f"{cls.name}: it learns from the picture itself; the network {card.name} came. Leave out backbone.")
        return card.default_levels

    def __init__(self, params: Any, backbone: Backbone) -> None:
        self.params = params
        self.backbone = backbone
        self._state: Arrays = {}

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit. Raises as fit_kept."""
        return self.fit_kept(images, groups, None, progress)

    def fit_kept(
        self, images: Iterable[Float], groups: list[int], checkpoints: Path | None, progress: Progress | None = None
    ) -> Float:
        """See LearnedMethod.fit_kept. Raises MissingExtra without torch."""
        self._check_extras()
        from flawsight.networks.descend import Run

        pictures, params = list(images), self.params
        unseen = held_back(groups, params.held_out, np.random.default_rng(params.seed))
        good = [picture for picture, left_out in zip(pictures, unseen, strict=True) if not left_out]
        others = [picture for picture, left_out in zip(pictures, unseen, strict=True) if left_out]
        run = Run(self.name, params.seed, self.backbone.device, checkpoints, self._key(good), progress)
        with run.seeded():
            self.with_state(self._learn(good, others, run))
        scores = np.full(len(pictures), np.nan, np.float32)
        scores[unseen] = self._scored(others, progress)
        self._check(good, scores[unseen])
        return scores

    def rehearse(self, images: list[Float], n: int) -> tuple[dict[str, float], float]:
        """See LearnedMethod.rehearse."""
        self._check_extras()
        from flawsight.networks.descend import Rehearsal

        run = Rehearsal(self.name, self.params.seed, self.backbone.device, stands_for=n / len(images))
        with run.seeded():
            self.with_state(self._learn(images, images, run))
        self._judge(images[0])
        started = time.perf_counter()
        self._judge(images[0])
        return run.seconds, time.perf_counter() - started

    def n_held_out(self, n: int) -> int:
        """See LearnedMethod.n_held_out."""
        return n_held_back(n, self.params.held_out)

    def notes(self) -> list[str]:
        """See LearnedMethod.notes."""
        return []

    def score(self, images: Float) -> Scores:
        """See Scorer.score. Raises NotFitted."""
        _ = self._fitted
        judged = [self._judge(image) for image in images]
        maps = [heat for _, heat in judged if heat is not None]
        return Scores(np.array([score for score, _ in judged], np.float32), np.stack(maps) if maps else None)

    def state(self) -> Arrays:
        """See Method.state."""
        return self._fitted

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Method.with_state."""
        self._state = dict(arrays)
        self._open()
        return self

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """What is learned from pictures [3,h,w], as plain arrays. unseen: those left out, for what must not know the picture.

        torch's random numbers come from the run's seed.
        """
        raise NotImplementedError

    def _open(self) -> None:
        """Make what `_judge` needs from `self._state`."""
        raise NotImplementedError

    def _judge(self, image: Float) -> tuple[float, Float | None]:
        """Score and map [h,w] of a picture [3,h,w]."""
        raise NotImplementedError

    def _check_extras(self) -> None:
        for library in ("torch", "onnx"):
            needs(library, f"{self.name}, to be fitted")

    @property
    def _fitted(self) -> Arrays:
        if not self._state:
            raise NotFitted(f"{self.name}: it has not been fitted. Call fit on good pictures first.")
        return self._state

    def _scored(self, pictures: Sequence[Float], progress: Progress | None) -> Float:
        scores = []
        for done, picture in enumerate(pictures, 1):
            scores.append(self._judge(picture)[0])
            if progress:
                progress("scoring good pictures", done, len(pictures))
        return np.array(scores, np.float32)

    def _key(self, pictures: Sequence[Float]) -> str:
        """Tells a training from all others: what it learns from, and how."""
        settings = {name: value for name, value in dataclasses.asdict(self.params).items() if name not in self.files}
        content = hashlib.sha256(repr(settings).encode())
        for picture in pictures:
            content.update(repr(picture.shape).encode())
            content.update(np.ascontiguousarray(picture).data)
        return content.hexdigest()

    def _check(self, pictures: Sequence[Float], known: Float) -> None:
        """Raise LearningFailed if scores are no numbers, or the same whatever is judged."""
        first = pictures[0]
        odd = [first, first[:, ::-1], first.max() + first.min() - first]  # as it is, upside down, as a negative
        scores = np.append(known, [self._judge(np.ascontiguousarray(one))[0] for one in odd])
        message = ""
        if not np.isfinite(scores).all():
            message = "a score is not a number"
        elif np.ptp(scores) <= CONSTANT * np.abs(scores).max():
            message = f"it scores every picture {scores[0]:.4g}"
        if message:
            raise LearningFailed(
                f"{self.name}: a model that tells pictures apart was needed; {message}. Try another seed, a lower lr, more steps."
            )


def needs(library: str, who: str) -> None:
    """Raise MissingExtra unless that library of the extra `torch` is installed."""
    if find_spec(library) is None:
        raise MissingExtra(f"methods: {who}", library, "torch")
