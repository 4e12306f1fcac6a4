"""How a given memory is shared in a fit: pictures decoded ahead, reduced ones that are kept, and the room left for patches."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flawsight.errors import UsageError
from flawsight.methods.base import BankMethod
from flawsight.search.streaming import Need
from flawsight.system import memory, threads
from flawsight.types import Float

KEPT_BYTES = 256 << 20  # of reduced pictures, kept from the check until the network sees them
KEPT_SHARE = 8  # but at most one such part of the memory that is left
QUEUE_SHARE = 4  # likewise of pictures that are decoded ahead
DECODED = 9  # bytes a pixel while a picture is decoded: Pillow's copy, ours, and one on the way
SET_UP_ROWS = 8192  # of noise, on which a method's parts are set up
SET_UP_BYTES = 256 << 20  # more than that takes
SPARE = 1.05  # times the memory that just does, named as what would


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
        return Pace(workers, waiting, workers * DECODED * math.prod(picture_hw) + ahead * 12 * math.prod(input_hw))

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
        n = min(self.patches, self.need.capacity(self.left))
        return self.taken + self.need.at_once(n) + self.need.beside(self.patches, self.left)

    @property
    def in_passes(self) -> bool:
        """Whether patches are chosen by their projections, and made again for it."""
        return self.need.in_passes(self.patches, self.left)

    @property
    def fits(self) -> bool:
        """Whether the budget does."""
        return self.budget >= self.taken + self.need.smallest(self.patches)

    def check(self) -> None:
        """Raise UsageError where the budget does not do."""
        if not self.fits:
            words = memory.in_words
            raise UsageError(
                f"fit: {self.patches:,} patches, of which {self.need.n_kept(self.patches):,} are kept, need at least "
                f"{words(self.smallest)} of memory; {words(self.budget)} may be used. Give it more memory, or keep fewer "
                "patches: with coreset=greedy, a bank_limit or a smaller coreset_ratio, or a smaller size."
            )


def room(method: BankMethod, budget: int, inputs_hw: Sequence[tuple[int, int]], taken: int) -> Room:
    """The Room for pictures of these network inputs (high, wide). taken: bytes, beside what this process holds by now.

    The network sees the largest input first, so that what it takes is held by now. Where memory may be short all other parts do a
    little work too: libraries and runtime keep what they once needed. The method, an unfitted one, is then left fitted on nothing.
    """
    largest = max(inputs_hw, key=math.prod)
    image = np.zeros((1, 3, *largest), np.float32)
    rows, grid, _ = method.embed(image)
    density = grid[0] * grid[1] / math.prod(largest)
    found = Room(
        budget, memory.resident() + taken, sum(round(math.prod(hw) * density) for hw in inputs_hw), method.need(rows.shape[2])
    )
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
