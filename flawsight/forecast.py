"""What a fit will take of memory and time, before it starts: shares of a given memory, and work tried out on a few pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flawsight import image, loader, memory, threads
from flawsight.errors import PictureError, UsageError
from flawsight.methods.base import BankMethod
from flawsight.parts.streaming import Need
from flawsight.preprocess import Preprocess
from flawsight.types import Float, Sample

KEPT_BYTES = 256 << 20  # of reduced pictures, kept from the check until the network sees them
KEPT_SHARE = 8  # but at most one such part of the memory that is left
QUEUE_SHARE = 4  # likewise of pictures that are decoded ahead
DECODED = 9  # bytes a pixel while a picture is decoded: Pillow's copy, ours, and one on the way
KNOWN_BYTES = 2048  # kept of each picture: name, fingerprint, sizes, and its place in several lists
SIZED = 64  # pictures whose headers are read to see how large they are
SET_UP_ROWS = 8192  # of noise, on which a method's parts are set up
SET_UP_BYTES = 256 << 20  # more than that takes
SPARE = 1.05  # times the memory that just does, named as what would
PROBED = 3  # pictures that are tried out
PROBE_BYTES = 12 << 20  # of patches that the choice is tried out on
GROWTH = 0.7  # exponent of rows × picks in a choice's time, for rows too near to matter are left out: measured 0.6 to 0.75
JITTER = 0.05  # standard deviations by which copies of patches are moved apart for that


@dataclass(frozen=True)
class Pace:
    """How pictures are read ahead: threads, results that may wait for each, and the bytes all that takes at most."""

    workers: int
    waiting: int
    bytes: int


def pace(left: int, picture_hw: tuple[int, int], input_hw: tuple[int, int]) -> Pace:
    """The usual pace, or one picture at a time where the usual one would take more than its share of the bytes left."""

    def paced(workers: int, waiting: int) -> Pace:
        ahead = workers * (waiting + 1) + 1
        return Pace(workers, waiting, workers * DECODED * _area(picture_hw) + ahead * 12 * _area(input_hw))

    usual = paced(os.cpu_count() or 1, threads.AHEAD)
    return usual if usual.bytes <= left // QUEUE_SHARE else paced(1, 1)


def kept_bytes(left: int) -> int:
    """Bytes of reduced pictures to keep, where so many are left."""
    return max(0, min(KEPT_BYTES, left // KEPT_SHARE))


@dataclass(frozen=True)
class Room:
    """The memory of a fit.

    budget: bytes for the whole process. taken: by all but patches and work on them. patches: how many there will be.
    """

    budget: int
    taken: int
    patches: int
    need: Need

    @property
    def left(self) -> int:
        return self.budget - self.taken

    @property
    def smallest(self) -> int:
        """The smallest budget that would do, with a little to spare: what is taken differs from run to run."""
        return int(SPARE * (self.taken + self.need.smallest(self.patches)))

    @property
    def peak(self) -> int:
        """The most bytes that will be held."""
        if self.in_passes:
            return self.taken + self.need.of_projections(self.patches)
        return self.taken + self.need.at_once(min(self.patches, self.need.capacity(self.left)))

    @property
    def in_passes(self) -> bool:
        """Whether patches are chosen by their projections, and made again for it."""
        return self.need.in_passes(self.patches, self.left)

    def check(self) -> None:
        """Raise UsageError where the budget does not do."""
        if self.budget < self.taken + self.need.smallest(self.patches):
            words = memory.in_words
            raise UsageError(
                f"fit: {self.patches:,} patches, of which {self.need.n_kept(self.patches):,} are kept, need at least "
                f"{words(self.smallest)} of memory; {words(self.budget)} may be used. Give it more with --memory, or keep fewer "
                "patches: with coreset=greedy, a bank_limit or a smaller coreset_ratio, or a smaller --size."
            )


def room(method: BankMethod, budget: int, inputs_hw: Sequence[tuple[int, int]], taken: int) -> Room:
    """The Room for pictures of these network inputs (high, wide). taken: bytes, beside what this process holds by now.

    The network sees the largest input first, so that what it takes is held by now. Where memory may be short all other parts do a
    little work too: libraries and runtime keep what they once needed. The method, an unfitted one, is then left fitted on nothing.
    """
    largest = max(inputs_hw, key=_area)
    image = np.zeros((1, 3, *largest), np.float32)
    rows, grid, _ = method.embed(image)
    density = grid[0] * grid[1] / _area(largest)
    found = Room(budget, memory.resident() + taken, sum(round(_area(hw) * density) for hw in inputs_hw), method.need(rows.shape[2]))
    if found.peak + SET_UP_BYTES < found.budget:
        return found
    _set_up(method, image, grid, rows.shape[2])
    return replace(found, taken=memory.resident() + taken)


def _set_up(method: BankMethod, image: Float, grid: tuple[int, int], dims: int) -> None:
    noise = np.random.default_rng(0).standard_normal((SET_UP_ROWS, dims), dtype=np.float32)
    scales = np.ones(dims, np.float32)
    for _ in range(2):  # the runtime lays its memory out anew when it sees sizes again
        method.reduce(noise, noise[:, 0], len(noise) // 10, scales)
    few = noise[: len(noise) // 4]
    method.build(few, np.zeros((len(few), 3), np.int32), scales, np.array([grid], np.int32), 0.0)
    method.score(image)
    memory.give_back()


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What any fit will need, tried out on a few of its pictures on this machine and scaled up. Megabytes are 10⁶ bytes.

    pictures: good ones. peak_mb: the most memory of this process, a GPU's not counted; budget_mb: what it may take, smallest_mb:
    the least that would do. seconds: of each step of the fit. latency_ms: to score one picture with the model.
    """

    pictures: int
    peak_mb: float
    budget_mb: float
    smallest_mb: float
    seconds: dict[str, float]
    latency_ms: float

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True, kw_only=True)
class Estimate(Needs):
    """What a method that keeps a bank will need. blocks: in which patches are gathered, 1 if all, or their projections, are held at
    once.
    """

    patches: int
    bank_rows: int
    bank_dims: int
    bank_mb: float
    blocks: int


@dataclass(frozen=True)
class _Tried:
    """Seconds that were measured: of reading, preparing, embedding and scoring a picture, and of a choice.

    pairs: rows times picks of that choice.
    """

    read: float
    prepare: float
    embed: float
    score: float
    bank_rows: int
    choice: float
    pairs: int


def estimate(method: BankMethod, preprocess: Preprocess, pictures: Sequence[Any], asked: int | str | None) -> Estimate | None:
    """The Estimate of a fit on these pictures; None if none that is tried can be read: the fit will name them all.

    method: an unfitted one, left fitted on next to nothing. asked: memory, see memory.budget. Raises UsageError if that is too
    little.
    """
    budget = memory.budget(asked)
    sizes = sizes_hw(pictures)
    if not sizes:
        return None
    inputs = [preprocess.input_hw(hw) for hw in sizes]
    left = budget - memory.resident()
    known = len(pictures) * KNOWN_BYTES
    reading = pace(left, max(sizes, key=_area), max(inputs, key=_area))
    reduced = 3 * sum(map(_area, inputs)) * len(pictures) // len(inputs)
    kept = min(kept_bytes(left), reduced)
    every = [hw for hw in inputs for _ in range(-(-len(pictures) // len(inputs)))][: len(pictures)]
    space = room(method, budget, every, reading.bytes + known + kept)
    space.check()
    tried = _try(method, preprocess, pictures, space)
    if tried is None:
        return None
    memory.give_back()
    space = replace(space, taken=max(space.taken, memory.resident() + reading.bytes + known + kept))
    space.check()
    blocks = space.need.blocks(space.patches, space.left)
    n = space.need.n_kept(space.patches)
    return Estimate(
        pictures=len(pictures),
        patches=space.patches,
        bank_rows=n,
        bank_dims=space.need.dims,
        bank_mb=4e-6 * n * space.need.dims,
        blocks=blocks,
        peak_mb=space.peak / 1e6,
        budget_mb=budget / 1e6,
        smallest_mb=space.smallest / 1e6,
        seconds=_seconds(tried, space, len(pictures), blocks, kept / reduced),
        latency_ms=1000 * (tried.read + tried.prepare + tried.embed + _search(tried, n)),
    )


def _seconds(tried: _Tried, space: Room, n: int, blocks: int, kept: float) -> dict[str, float]:
    """Seconds of each step of a fit on n pictures, of which a share is kept reduced."""
    cores = os.cpu_count() or 1
    chosen, held = space.need.n_kept(space.patches), space.need.capacity(space.left)
    looking = tried.embed + ((1 - kept) * tried.read + tried.prepare) / cores
    passed = space.patches + (0 if blocks == 1 else held // 2)  # the last choice is from survivors and a part of a block
    again = looking if blocks > 1 or space.in_passes else 0
    return {
        "checking pictures": n * (tried.read + tried.prepare) / cores,
        "looking at pictures": n * looking,
        "choosing patches": (_choice(tried, passed * chosen) if space.need.measured else 0.0) + n * looking * space.in_passes,
        "scoring good pictures": n * (_search(tried, chosen) + again),
    }


def _choice(tried: _Tried, pairs: int) -> float:
    """Seconds of a choice of so many rows times picks."""
    more = pairs / tried.pairs
    return tried.choice * (more**GROWTH if more > 1 else more)


def _search(tried: _Tried, bank_rows: int) -> float:
    """Seconds of scoring without the network, which grow with the bank."""
    return max(tried.score - tried.embed, 0.0) * max(1.0, bank_rows / tried.bank_rows)


def _try(method: BankMethod, preprocess: Preprocess, pictures: Sequence[Any], space: Room) -> _Tried | None:
    """A few pictures through each step of a fit, with a bank of copies of their patches, each moved a little."""
    times: dict[str, list[float]] = {"read": [], "prepare": [], "embed": []}
    images: list[Float] = []
    for at in sorted({round(share * (len(pictures) - 1)) for share in np.linspace(0, 1, PROBED)}):
        try:
            reading, pixels = timed(loader.read, pictures[at], at + 1)
        except PictureError:
            continue  # named with all others when pictures are checked
        hashing, _ = timed(loader.fingerprint, pixels)
        preparing, prepared = timed(preprocess.apply, pixels)
        images.append(prepared[None])
        method.embed(images[-1])
        embedding, _ = timed(method.embed, images[-1])
        for name, seconds in zip(times, (reading + hashing, preparing, embedding), strict=True):
            times[name].append(seconds)
    if not images:
        return None
    choice, pairs, score, bank_rows = _try_bank(method, images, space)
    read, prepare, embed = (float(np.median(of_step)) for of_step in times.values())
    return _Tried(read, prepare, embed, score, bank_rows, choice, pairs)


def _try_bank(method: BankMethod, images: list[Float], space: Room) -> tuple[float, int, float, int]:
    """Seconds of a choice, its rows times picks, seconds of scoring a picture, and the rows of the bank it was scored with."""
    found = [method.embed(one) for one in images]
    rows, rng = np.concatenate([patches[0] for patches, _, _ in found]), np.random.default_rng(0)
    n = max(1, min(space.patches, PROBE_BYTES // rows[0].nbytes))
    tried = np.resize(rows, (n, rows.shape[1]))
    tried += JITTER * rows.std(0) * rng.standard_normal(tried.shape, dtype=np.float32)
    scales, picks = np.ones(rows.shape[1], np.float32), max(1, space.need.n_kept(n))
    choosing, _ = timed(method.reduce, tried, rng.random((n,), dtype=np.float32), picks, scales)
    bank = tried[: space.need.n_kept(space.patches)]
    method.build(bank, np.zeros((len(bank), 3), np.int32), scales, np.array([found[0][1]], np.int32), 0.0)
    method.score(images[0])
    scoring = [timed(method.score, one)[0] for one in images]
    return choosing, n * picks, float(np.median(scoring)), len(bank)


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds of the work, and what it gives."""
    started = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - started, result


def sizes_hw(pictures: Sequence[Any]) -> list[tuple[int, int]]:
    """The sizes (high, wide) of pictures evenly taken from these, from their headers where they are files."""
    step = max(1, len(pictures) // SIZED)
    sizes = []
    for picture in pictures[::step]:
        path = picture.path if isinstance(picture, Sample) else picture
        try:
            shape = image.size_hw(Path(path)) if isinstance(path, str | Path) else loader.read(picture, 0).shape
        except PictureError:
            continue
        sizes.append((int(shape[0]), int(shape[1])))
    return sizes


def _area(hw: tuple[int, int]) -> int:
    return hw[0] * hw[1]
