"""What a fit will take of memory and time, before it starts: work tried out on a few pictures, and scaled up."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flawsight import loader
from flawsight.errors import PictureError
from flawsight.fitting import sharing
from flawsight.images import image
from flawsight.methods.base import BankMethod
from flawsight.preprocess import Preprocess
from flawsight.system import memory
from flawsight.types import Float, Sample

KNOWN_BYTES = 2048  # kept of each picture: name, fingerprint, sizes, and its place in several lists
SIZED = 64  # pictures whose headers are read to see how large they are
PROBED = 3  # pictures that are tried out
PROBE_BYTES = 12 << 20  # of patches that the choice is tried out on
GROWTH = 0.7  # exponent of rows × picks in a choice's time, for rows too near to matter are left out: measured 0.6 to 0.75
JITTER = 0.05  # standard deviations by which copies of patches are moved apart for that


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
    largest = max(sizes, key=math.prod), max(inputs, key=math.prod)
    reading = sharing.pace(left, *largest)
    reduced = 3 * sum(map(math.prod, inputs)) * len(pictures) // len(inputs)
    kept = min(sharing.kept_bytes(left), reduced)
    every = [hw for hw in inputs for _ in range(-(-len(pictures) // len(inputs)))][: len(pictures)]
    space = sharing.room(method, budget, every, reading.bytes + known + kept)
    if not space.fits:  # a fit then keeps none and reads one at a time
        reading, kept = sharing.pace(0, *largest), 0
        space = sharing.room(method, budget, every, reading.bytes + known)
    tried = _try(method, preprocess, pictures, space)
    if tried is None:
        return None
    memory.give_back()
    taken = memory.resident() + known
    space = replace(space, taken=max(space.taken, taken + reading.bytes + kept))
    if not space.fits:
        kept = 0
        space = replace(space, taken=taken + sharing.pace(0, *largest).bytes)
    space.check()
    blocks = space.need.blocks(space.patches, space.left)
    n = space.need.n_kept(space.patches) * method.banks
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
        seconds=_seconds(tried, space, len(pictures), blocks, kept / reduced, method.banks),
        latency_ms=1000 * (tried.read + tried.prepare + tried.embed + _search(tried, n // method.banks)),
    )


def _seconds(tried: _Tried, space: sharing.Room, n: int, blocks: int, kept: float, banks: int) -> dict[str, float]:
    """Seconds of each step of a fit on n pictures, of which a share is kept reduced, for so many banks."""
    cores = os.cpu_count() or 1
    chosen, held = space.need.n_kept(space.patches), space.need.capacity(space.left)
    looking = tried.embed + ((1 - kept) * tried.read + tried.prepare) / cores
    passed = space.patches + (0 if blocks == 1 else held // 2)  # the last choice is from survivors and a part of a block
    again = looking if blocks > 1 or space.in_passes else 0
    maps = space.patches * space.need.spare  # what of them is kept the network need not make again for the next bank
    passes = 1 + (banks - 1) * (1 - space.need.beside(space.patches, space.left) / maps if maps else 1)
    return {
        "checking pictures": n * (tried.read + tried.prepare) / cores,
        "looking at pictures": n * looking * passes,
        "choosing patches": (banks * _choice(tried, passed * chosen) if space.need.measured else 0.0)
        + n * looking * space.in_passes,
        "scoring good pictures": n * (_search(tried, chosen) + again),
    }


def _choice(tried: _Tried, pairs: int) -> float:
    """Seconds of a choice of so many rows times picks."""
    more = pairs / tried.pairs
    return tried.choice * (more**GROWTH if more > 1 else more)


def _search(tried: _Tried, bank_rows: int) -> float:
    """Seconds of scoring without the network, which grow with the bank."""
    return max(tried.score - tried.embed, 0.0) * max(1.0, bank_rows / tried.bank_rows)


def _try(method: BankMethod, preprocess: Preprocess, pictures: Sequence[Any], space: sharing.Room) -> _Tried | None:
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


def _try_bank(method: BankMethod, images: list[Float], space: sharing.Room) -> tuple[float, int, float, int]:
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
