"""Sketches: coarse copies of vectors in whole numbers of 8 bits, whose products bound the closeness of the vectors themselves.

The closeness of a row b to a query q is q·b − ‖b‖²/2; the nearest row has the highest. Along d orthonormal axes let q = (q₁, q₂)
and b = (b₁, b₂), the second parts being what the axes leave, and let q̂ and b̂ be q₁ and b₁ rounded to whole steps. By Cauchy
and Schwarz

    q·b ≤ q̂·b̂ + ‖q₂‖‖b₂‖ + ‖q₁ − q̂‖‖b₁‖ + ‖q̂‖‖b₁ − b̂‖

The two lengths, rounded up, are one more coordinate, so the first two terms are one product of bytes, three times as fast as one of
float32. The last two are small and taken at their largest over a group of rows, so that only each group's maximum leaves
the product.

Rows differ along some axes far more than along others; the axes are turned among each other so that they share this, and all
coordinates fill the range of a byte alike.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.parts import graphs
from flawsight.types import Float

GROUP = 256  # rows, as built into the graph
BLOCK_ROWS = 8 * GROUP  # whose products with one picture's queries exist at once: near enough to an outer cache
ZERO = 128  # stands for 0 among the queries' bytes, which have no sign
WIDE, NARROW = 127, 63  # whole steps that a query's coordinate may have


class Sketches:
    """Rows that bound the closeness of queries to groups of them.

    rows: float32 [N,D], N a multiple of GROUP, counted from where queries are. axes: float32 [D,d], orthonormal columns.
    """

    def __init__(self, rows: Float, axes: Float) -> None:
        self._axes = axes @ _turn(axes.shape[1])
        along = _along(rows, self._axes)
        sketch, self._step = _rounded(along, WIDE)
        self._blocks = [
            np.ascontiguousarray(sketch[start : start + BLOCK_ROWS].T.astype(np.int8)) for start in range(0, len(rows), BLOCK_ROWS)
        ]
        self._longest = _norms(along[:, :-1]).reshape(-1, GROUP).max(1)
        self._coarsest = _norms(along[:, :-1] - sketch[:, :-1] * self._step).reshape(-1, GROUP).max(1)

    def bounds(self, queries: Float, bias: Float) -> Float:
        """What the closeness of each query to the rows of each group does not exceed but for rounding: float32 [Q,N/GROUP].

        queries: float32 [Q,D]. bias: float32 [N], −‖b‖²/2, or −inf for a row that does not count.
        """
        along = _along(queries, self._axes)
        steps = query_steps()
        sketch, step = _rounded(along, steps)
        inputs: dict[str, NDArray[Any]] = {
            "queries": (sketch + _zero(steps)).astype(np.uint8),
            "zero": np.array(_zero(steps), np.uint8),
        }
        inputs["scale"] = np.array(step * self._step, np.float32)
        starts = range(0, len(bias), BLOCK_ROWS)
        found = [
            graphs.run("block_maxima", {**inputs, "rows": block, "bias": bias[start : start + BLOCK_ROWS]})
            for start, block in zip(starts, self._blocks, strict=True)
        ]
        bounds: Float = np.concatenate(found, 1)
        bounds += _norms(along[:, :-1] - sketch[:, :-1] * step)[:, None] * self._longest
        bounds += (step * _norms(sketch[:, :-1]))[:, None] * self._coarsest
        return bounds


@cache
def query_steps() -> int:
    """Whole steps that a query's coordinate may have on this machine.

    Without an instruction for products of bytes, processors add two of them in 16 bits, which overflow where bytes are large; so a
    product of the largest is tried.
    """
    n = 64
    queries, rows = np.full((2, n), ZERO + WIDE, np.uint8), np.full((n, GROUP), WIDE, np.int8)
    inputs: dict[str, NDArray[Any]] = {"queries": queries, "zero": np.array(ZERO, np.uint8), "rows": rows}
    tried = graphs.run("block_maxima", {**inputs, "scale": np.array(1, np.float32), "bias": np.zeros(GROUP, np.float32)})
    return WIDE if (tried == n * WIDE * WIDE).all() else NARROW


def _zero(steps: int) -> int:
    """The byte that stands for 0: as low as the steps allow."""
    return steps + 1


def _rounded(along: Float, steps: int) -> tuple[Float, float]:
    """Coordinates in whole numbers from −steps to steps, the last, a length, rounded up; and how much a step is."""
    step = float(np.abs(along).max()) * (1 + 1e-6) / steps or 1.0  # a little more, so that the largest is not rounded beyond
    whole = along / np.float32(step)
    np.rint(whole[:, :-1], out=whole[:, :-1])
    np.ceil(whole[:, -1], out=whole[:, -1])
    return whole, step


def _along(vectors: Float, axes: Float) -> Float:
    """Coordinates along the axes, and the length of what they leave: float32 [n,d+1]."""
    along: Float = graphs.run("sketches", {"vectors": vectors, "axes": axes})
    return along


def _norms(vectors: Float) -> Float:
    norms: Float = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return norms


def _turn(n: int) -> Float:
    """A rotation that mixes n axes, always the same: float32 [n,n]."""
    from scipy.linalg import qr

    turned, _ = qr(np.random.default_rng(0).normal(size=(n, n)))
    return np.ascontiguousarray(turned, np.float32)
