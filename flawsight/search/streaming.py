"""Rows of more pictures than memory holds: chosen block by block, the chosen united and chosen from again (merge and reduce).

As many rows as may be held are gathered. Do all fit, that is all, and what is chosen is what it always was. When they do not, the
block is reduced to m rows, as many as are wanted in the end; these survivors stay, and the next block is gathered beside them. When
survivors fill half of the room they are united and reduced too. In the end n ≤ m rows are chosen from the survivors and the rest.

How good that is. Let OPT be the smallest radius within which any n centres, wherever they lie, cover all rows P, and R the radius
that greedy k-center reaches when it chooses n from all of P at once. Greedy's n picks and the row then farthest from them are
n + 1 rows, no two nearer than its radius r. Two of them share an optimal centre, so r ≤ 2 OPT (Gonzalez 1985). This holds on every
part of P, a block or a union of survivors, as the n optimal centres of P cover it too. So

- beforehand: a row is within 2 OPT of a survivor of its block, that one within 2 OPT of a survivor of the next level, and so on:
  after L levels, the last choice counted, the radius over all rows is at most 2 L OPT ≤ 2 L R; with one union (L = 2) 4 R.
- afterwards, and sharper: the last choice's radius r, over the rows it chose from, proves 2 R ≥ 2 OPT ≥ r, since one-shot picks are
  n centres as well. The radius ρ over all of P is measured in a second pass (`Covering`), so ρ / R ≤ 2 ρ / r, which is near 2
  when survivors are dense and never needs to be trusted to L. It holds whatever the scale of the levels was while blocks
  were reduced, and with greedy's other start: there every pick is still r from those before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import UsageError
from flawsight.search import coreset
from flawsight.search.neighbours import Bank
from flawsight.search.spread import BLOCK_ROWS, Spread
from flawsight.system.memory import give_back, in_words
from flawsight.types import Float, Index

MIN_SHARE = 4  # times as many rows as are chosen must fit: half may be survivors, and a block halves at least
MOST_SPARE = 512 << 20  # bytes of maps kept at most
SPARE = 2  # times the rows expected, that memory is reserved for at first: pictures to come may be larger

Reduce = Callable[[Float, Float, int, Float], Index]  # rows [N,D], a draw for each [N], how many, scales [D] → which


@dataclass(frozen=True)
class Need:
    """What a choice of rows takes of memory. dims: of a row. measured: dims in which greedy measures, 0 if nothing is measured.

    ratio, limit: see coreset.n_kept. all_kept: every row is kept, so none can be left out. projected: what is measured of a row are
    its projections to fewer dimensions, and no other row is needed to make them. spare: bytes of the network's maps for each row,
    kept to save time where memory is left over.
    """

    dims: int
    measured: int
    ratio: float
    limit: int
    all_kept: bool = False
    projected: bool = False
    spare: int = 0

    def n_kept(self, n: int) -> int:
        """Rows of the bank chosen from n."""
        return n if self.all_kept else coreset.n_kept(n, self.ratio, self.limit)

    def at_once(self, n: int) -> int:
        """Bytes to hold n rows and choose from them, or to hold them beside the bank, whichever is more."""
        blocks = 4 * BLOCK_ROWS * (2 * self.dims + self.measured)
        choosing = blocks + coreset.working_bytes(n, self.n_kept(n), self.measured) if self.measured else 0
        return n * (4 * self.dims + 16) + max(choosing, self.bank(self.n_kept(n)))

    def beside(self, n: int, room: int) -> int:
        """Bytes of maps kept beside n rows where so many bytes may be taken in all: at most half of what the rows leave over."""
        return max(0, min(n * self.spare, MOST_SPARE, (room - self.at_once(n)) // 2))

    def of_projections(self, n: int) -> int:
        """Bytes to hold the projections of n rows and choose from them, or to hold the bank, whichever is more."""
        choosing = 4 * BLOCK_ROWS * (2 * self.dims + self.measured) + coreset.working_bytes(n, self.n_kept(n), self.measured)
        return max(choosing, self.bank(self.n_kept(n)))

    def in_passes(self, n: int, room: int) -> bool:
        """Whether n rows are chosen from by their projections: these can be held where the rows themselves cannot."""
        return self.projected and self.at_once(n) > room >= self.of_projections(n)

    def bank(self, n: int) -> int:
        """Bytes of a bank of n rows while it is built, and of what measures its radius."""
        return 4 * n * (4 * self.dims + 2 * self.measured) + 16 * self.dims**2

    def capacity(self, room: int) -> int:
        """The most rows that can be held and chosen from in so many bytes."""
        low, high = 0, max(0, room // (4 * self.dims)) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at_once(middle) <= room else (low, middle)
        return low

    def smallest(self, n: int) -> int:
        """The fewest bytes in which n rows can be chosen from, whether at once, by their projections or block by block."""
        in_blocks = self.at_once(n if self.all_kept else MIN_SHARE * self.n_kept(n))
        return min(self.at_once(n), in_blocks, *([self.of_projections(n)] if self.projected else []))

    def blocks(self, n: int, room: int) -> int:
        """In about how many blocks n rows are gathered; 1 if they, or their projections, are held at once."""
        block, m, survivors, blocks = self.capacity(room), self.n_kept(n), 0, 1
        if n <= block or self.in_passes(n, room):
            return 1
        n -= block
        while n > 0:
            survivors = m if survivors + 2 * m > block // 2 else survivors + m
            n -= block - survivors
            blocks += 1
        return blocks


@dataclass
class Gathered:
    """What was gathered. rows: float32 [N,D], as they came. source: int32 [N,3], picture and place of each, see `Stream.add`.

    draws: float32 [N], a random number for each. n_seen: rows that came. blocks, levels: 1 if none were left out.
    """

    rows: Float
    source: NDArray[np.int32]
    draws: Float
    n_seen: int
    blocks: int
    levels: int


class Stream:
    """Gathers rows picture by picture in at most `room` bytes, those of choosing included; None for any number.

    scales: of the columns, from the spread of the rows seen so far. where: who asks, for errors.
    """

    def __init__(
        self,
        where: str,
        need: Need,
        room: int | None,
        n_pictures: int,
        scales: Callable[[NDArray[np.float64]], Float],
        reduce: Reduce,
    ) -> None:
        self._where, self._need, self._room, self._n_pictures = where, need, room, max(n_pictures, 1)
        self._scales, self._reduce = scales, reduce
        self.spread = Spread(need.dims)
        self._limit = np.iinfo(np.int64).max if room is None else need.capacity(room)
        self._held = Gathered(np.empty((0, need.dims), np.float32), np.empty((0, 3), np.int32), np.empty(0, np.float32), 0, 1, 1)
        self._n = self._survivors = self._pictures = 0

    @property
    def overflowed(self) -> bool:
        """Whether rows were left out."""
        return self._held.blocks > 1

    def add(self, rows: Float, grid: tuple[int, int], draws: Float) -> None:
        """The rows of the next picture, float32 [P,D], P = rows · columns of its grid; draws: float32 [P].

        Raises UsageError, with the first picture if all are alike, where even block by block there is too little room.
        """
        held = self._held
        held.n_seen += len(rows)
        self._pictures += 1
        self._check_room()
        row, column = np.divmod(np.arange(len(rows)), grid[1])
        source = np.stack([np.full(len(rows), self._pictures - 1), row, column], 1).astype(np.int32)
        start = 0
        while start < len(rows):
            if self._n == self._limit:
                self._overflow()
            self._grow(len(rows) - start)
            end = start + min(len(rows) - start, len(held.rows) - self._n)
            here = slice(self._n, self._n + end - start)
            held.rows[here], held.source[here], held.draws[here] = rows[start:end], source[start:end], draws[start:end]
            self._n, start = self._n + end - start, end

    def finish(self) -> Gathered:
        """All that was gathered: every row, or survivors and the last block's rows."""
        if self.overflowed:
            self.spread.add(self._held.rows[self._survivors : self._n])
            self._held.levels += 1
        held = self._held
        return Gathered(held.rows[: self._n], held.source[: self._n], held.draws[: self._n], held.n_seen, held.blocks, held.levels)

    @property
    def _expected(self) -> int:
        """Rows in all, if the pictures to come are like those that came."""
        return -(-self._held.n_seen * max(self._n_pictures, self._pictures) // self._pictures)

    def _check_room(self) -> None:
        if self._room is None or self._expected <= self._limit:
            return
        needed = self._need.smallest(self._expected)
        if needed > self._room:
            n = self._need.n_kept(self._expected)
            cure = "Give it more memory, or keep fewer: coreset=greedy with a bank_limit, a smaller coreset_ratio or size."
            raise UsageError(
                f"{self._where}: to choose {n:,} of {self._expected:,} patches needs {in_words(needed)} beside network and "
                f"pictures; there are {in_words(max(self._room, 0))}. {cure}"
            )

    def _grow(self, more: int) -> None:
        """Make room for some more rows, so far as the limit allows. What is not yet written takes no memory."""
        held, wanted = self._held, self._n + more
        if wanted <= len(held.rows):
            return
        size = SPARE * self._expected if not len(held.rows) else len(held.rows) + len(held.rows) // 8
        size = min(max(size, wanted), self._limit)
        held.rows, held.source, held.draws = (_resized(a, self._n, size) for a in (held.rows, held.source, held.draws))

    def _overflow(self) -> None:
        """Reduce the rows since the last survivors to survivors; all survivors to fewer, if they take half of the room."""
        held = self._held
        m = self._need.n_kept(self._expected)
        self.spread.add(held.rows[self._survivors : self._n])
        scales = self._scales(self.spread.variance)
        self._n = self._survivors = self._keep(slice(self._survivors, self._n), m, scales)
        held.levels = max(held.levels, 1)
        held.blocks += 1
        if self._survivors + m > self._limit // 2:
            self._n = self._survivors = self._keep(slice(0, self._n), m, scales)
            held.levels += 1

    def _keep(self, block: slice, m: int, scales: Float) -> int:
        """Move the block's m survivors to its start, in their order; where they end."""
        held = self._held
        m = min(m, block.stop - block.start)
        give_back()
        kept = self._reduce(held.rows[block], held.draws[block], m, scales) + block.start
        for array in (held.rows, held.source, held.draws):
            array[block.start : block.start + m] = array[kept]
        give_back()
        return int(block.start + m)


def _resized(array: NDArray[Any], filled: int, size: int) -> NDArray[Any]:
    larger = np.empty((size, *array.shape[1:]), array.dtype)
    larger[:filled] = array[:filled]
    return larger


class Covering:
    """The largest distance of any row to its nearest of some centres, of rows that come a few at a time. centres: float32 [M,d]."""

    def __init__(self, centres: Float) -> None:
        self._bank = Bank(centres)
        self._squared = np.float32(0)

    def add(self, rows: Float, near: Index) -> None:
        """rows: float32 [P,d]. near: int64 [P], a centre close to each: who is within the radius of it needs no search."""
        apart = rows - self._bank.rows[near]
        beyond = np.einsum("pd,pd->p", apart, apart) > self._squared
        if beyond.any():
            self._squared = max(self._squared, self._bank.nearest(rows[beyond])[0].max())

    @property
    def radius(self) -> float:
        return float(np.sqrt(self._squared))


def radius_factor(radius: float, chosen: float) -> float:
    """How many times the one-shot radius `radius` can be at most, if the last choice reached `chosen` over what it chose from."""
    if chosen > 0:
        return max(1.0, 2 * radius / chosen)
    return 1.0 if radius == 0 else float("inf")


def in_blocks(held: Gathered, covering: tuple[float, float] | None) -> str:
    """What a reader must know of a choice made in blocks. covering: its radius, and that as radius_factor says."""
    message = f"{held.n_seen:,} patches did not fit into memory at once: the bank was chosen from them in {held.blocks} blocks"
    if covering is None:
        return f"{message}."
    radius, factor = covering
    reached = f"It covers all of them within {radius:.4g}, at most {factor:.3g} times the radius"
    return f"{message}. {reached} that a choice from all at once would reach."
