"""Sketches: coarse copies of vectors in whole numbers of 8 bits, whose products bound the closeness of the vectors themselves.

The closeness of a row b to a query q is q·b − ‖b‖²/2; the nearest row has the highest. Along d orthonormal axes let q = (q₁, q₂)
and b = (b₁, b₂), the second parts being what the axes leave, and let q̂ and b̂ be q₁ and b₁ rounded to whole steps. By Cauchy
and Schwarz

    q·b ≤ q̂·b̂ + ‖q₂‖‖b₂‖ + ‖q₁ − q̂‖‖b₁‖ + ‖q̂‖‖b₁ − b̂‖

The two lengths, rounded up, are further coordinates, so the first two terms are one product of bytes, three times as fast as one of
float32. Several coordinates share a length evenly: one alone would be much longer than the others, and the steps would have to be
wide for it. The last two terms are small and taken at their largest over a group of rows, so that only each group's maximum leaves
the product. Each row has a step of its own, as one for all would be too wide for most; queries have one step, as the product does.

Rows differ along some axes far more than along others; the axes are turned among each other so that they share this, and all
coordinates fill the range of a byte alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.parts import graphs
from flawsight.types import Float

GROUP = 256  # rows, as built into the graph
BLOCK_ROWS = 8 * GROUP  # whose products with one picture's queries exist at once: near enough to an outer cache
SHARE, AXES = 2 / 3, (15, 255)  # axes: of the dimensions, but at least and at most so many
LEFT = 32  # dimensions that the axes leave, for each coordinate of their length
SAMPLE_ROWS = 4096  # from which the axes are found
WIDE, NARROW = 127, 63  # whole steps that a query's coordinate may have


@dataclass(frozen=True)
class Sketched:
    """Queries as sketches.

    whole: uint8 [Q,d+e], e coordinates for the length, where query_steps() + 1 stands for 0. step: what one is worth. lost, kept:
    ‖q₁ − q̂‖ and ‖q̂‖, float32 [Q].
    """

    whole: NDArray[np.uint8]
    step: np.float32
    lost: Float
    kept: Float
    axes: Float

    def __getitem__(self, chosen: Any) -> Sketched:
        """Some of the queries, by their places or whether they are wanted."""
        return Sketched(self.whole[chosen], self.step, self.lost[chosen], self.kept[chosen], self.axes)


class Sketches:
    """Rows that bound the closeness of queries to groups of them.

    rows: float32 [N,D], N a multiple of GROUP, counted from where queries are. axes: as `principal_axes` gives them.
    """

    def __init__(self, rows: Float, axes: Float) -> None:
        along, d = _along(rows, axes), axes.shape[1]
        step = _steps(along, WIDE)
        whole = _rounded(along, step[:, None], d)
        n_blocks = -(-len(rows) // BLOCK_ROWS)
        block_rows = -(-(len(rows) // GROUP) // n_blocks) * GROUP  # blocks of one size, the last with some empty rows
        padded = np.zeros((n_blocks * block_rows, whole.shape[1]), np.int8)
        padded[: len(rows)] = whole
        self._blocks = np.ascontiguousarray(padded.reshape(n_blocks, block_rows, -1).transpose(0, 2, 1))  # [blocks,d+e,rows]
        self._steps = np.ones((n_blocks, block_rows), np.float32)
        self._steps.reshape(-1)[: len(rows)] = step
        self._longest = _norms(along[:, :d]).reshape(-1, GROUP).max(1)
        self._coarsest = _norms(along[:, :d] - whole[:, :d] * step[:, None]).reshape(-1, GROUP).max(1)

    def bounds(self, queries: Sketched, bias: Float) -> Float:
        """What the closeness of each query to the rows of each group does not exceed but for rounding: float32 [Q,N/GROUP].

        bias: float32 [N], −‖b‖²/2, or −inf for a row that does not count.
        """
        padded = np.append(bias, np.zeros(self._steps.size - len(bias), np.float32)).reshape(self._steps.shape)
        found = graphs.run("block_maxima", _inputs(queries.whole, self._blocks, queries.step * self._steps, padded))
        bounds: Float = found.transpose(1, 0, 2).reshape(len(queries.whole), -1)[:, : len(bias) // GROUP]  # from [blocks,Q,groups]
        bounds += queries.lost[:, None] * self._longest
        bounds += queries.kept[:, None] * self._coarsest
        return bounds


def sketched(queries: Float, axes: Float) -> Sketched:
    """The queries' sketches along the axes."""
    parts, d = list(blocks(len(queries))), axes.shape[1]
    along = [_along(queries[block], axes) for block in parts] if len(parts) == 1 else []  # of many, twice is better than kept
    step = max(_steps(one, query_steps()).max() for one in along or (_along(queries[block], axes) for block in parts))
    whole = np.empty((len(queries), d + _n_lengths(axes)), np.uint8)
    lost, kept = np.empty(len(queries), np.float32), np.empty(len(queries), np.float32)
    for i, block in enumerate(parts):
        here = along[i] if along else _along(queries[block], axes)
        rounded = _rounded(here, step, d)
        lost[block] = _norms(here[:, :d] - rounded[:, :d] * step)
        kept[block] = step * _norms(rounded[:, :d])
        whole[block] = rounded + _zero()
    return Sketched(whole, step, lost, kept, axes)


def n_axes(dims: int) -> int:
    """How many directions sketches of vectors of so many dimensions keep."""
    return int(np.clip(SHARE * dims, *AXES))


def principal_axes(rows: Float) -> Float | None:
    """Directions in which the rows differ most, found on a sample of them, and turned: float32 [D,d]. None if D is small."""
    from scipy.linalg import eigh

    dims = rows.shape[1]
    if dims <= AXES[0]:
        return None
    n = n_axes(dims)
    sample = rows[:: -(-len(rows) // SAMPLE_ROWS)]
    _, axes = eigh(sample.T @ sample, subset_by_index=(dims - n, dims - 1))
    return np.ascontiguousarray(axes.astype(np.float32) @ _turn(n))


@cache
def query_steps() -> int:
    """Whole steps that a query's coordinate may have on this machine.

    Without an instruction for products of bytes, processors add two of them in 16 bits, which overflow where bytes are large; so a
    product of the largest is tried.
    """
    n = 64
    queries, rows = np.full((2, n), 2 * WIDE + 1, np.uint8), np.full((1, n, GROUP), WIDE, np.int8)
    one, bias = np.ones((1, GROUP), np.float32), np.zeros((1, GROUP), np.float32)
    tried = graphs.run("block_maxima", _inputs(queries, rows, one, bias, WIDE + 1))
    return WIDE if (tried == n * WIDE * WIDE).all() else NARROW


def _zero() -> int:
    """The byte that stands for 0 in queries: as low as their steps allow."""
    return query_steps() + 1


def _inputs(
    queries: NDArray[Any], rows: NDArray[Any], scale: Float, bias: Float, zero: int | None = None
) -> dict[str, NDArray[Any]]:
    zero = _zero() if zero is None else zero
    return {"queries": queries, "zero": np.array(zero, np.uint8), "rows": rows, "scale": scale, "bias": bias}


def _steps(along: Float, steps: int) -> Float:
    """How much a step of each vector is, so that no coordinate has more than so many: float32 [n].

    A little more, lest rounding up pass the last.
    """
    longest: Float = np.abs(along).max(1) * np.float32((1 + 1e-6) / steps)
    return np.where(longest > 0, longest, np.float32(1))


def _rounded(along: Float, step: Float | np.float32, d: int) -> Float:
    """Coordinates in whole steps, those after the first d, of a length, rounded up. step: one, or [n,1]."""
    whole: Float = along / step
    np.rint(whole[:, :d], out=whole[:, :d])
    np.ceil(whole[:, d:], out=whole[:, d:])
    return whole


def blocks(n: int) -> Iterator[slice]:
    """Slices of BLOCK_ROWS of n rows."""
    for start in range(0, n, BLOCK_ROWS):
        yield slice(start, start + BLOCK_ROWS)


def _along(vectors: Float, axes: Float) -> Float:
    """Coordinates along the axes, and the length of what they leave, evenly shared: float32 [n,d+e]."""
    along: Float = graphs.run("sketches", {"vectors": vectors, "axes": axes})
    e = _n_lengths(axes)
    return (
        along if e == 1 else np.concatenate([along[:, :-1], np.repeat(along[:, -1:] / np.float32(np.sqrt(e)), e, axis=1)], axis=1)
    )


def _n_lengths(axes: Float) -> int:
    """How many coordinates share the length of what these axes leave."""
    left: int = axes.shape[0] - axes.shape[1]
    return max(1, -(-left // LEFT))


def _norms(vectors: Float) -> Float:
    norms: Float = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return norms


@cache
def _turn(n: int) -> Float:
    """A rotation that mixes n axes, always the same: float32 [n,n]."""
    from scipy.linalg import qr

    turned, _ = qr(np.random.default_rng(0).normal(size=(n, n)))
    return np.ascontiguousarray(turned, np.float32)
