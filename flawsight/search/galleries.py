"""The closest vectors to those of one map among the maps of several others, which are known only when they are to be compared.

A vector r is closest to q where q·r − ‖r‖²/2 is highest: a matrix product, of which only the largest of each block of vectors
leaves the runtime. Where the vectors are long, most of it is left out: along a quarter of the dimensions, those in which they
differ most, let q = (q₁, q₂) and r = (r₁, r₂). By Cauchy and Schwarz q·r ≤ q₁·r₁ + ‖q₂‖‖r₂‖, itself a product, a quarter as
long. Only groups of vectors in which it exceeds what was found before are looked through, on real pictures some in a hundred;
places that lie together make a group, as neighbours on a map are alike. Nothing is kept of the maps but they themselves.

The distances come from the differences, for the product loses digits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flawsight.parts import graphs
from flawsight.types import Float, Index

SIDE = 8  # of the squares of places that are looked through together
GROUP = SIDE * SIDE
BLOCK = 12 * GROUP  # vectors of either side, so that a block of their product stays near the cache
LEAST_DIMS = 96  # below which the whole product takes hardly longer than a part of it and its looking through
LEAST_SIZE = 1 << 18  # numbers in a map, below which it takes no longer than all that bounds need besides
SHARE, MOST_AXES = 1 / 4, 255
SLACK = np.float32(1e-5)  # of the lengths' product: far above what rounding adds to a closeness

MapOf = Callable[[int], Float]  # number of a picture → its map [C,h,w]


def vectors(level: Float) -> Float:
    """A map [C,h,w] as the vectors of its places: float32 [h·w,C]."""
    return np.ascontiguousarray(level.reshape(len(level), -1).T)


def main_axes(rows: Float) -> Float | None:
    """The directions in which vectors [N,C] are longest, that bound their products: float32 [C,d]. None where C is small."""
    from scipy.linalg import eigh

    dims = rows.shape[1]
    if dims < LEAST_DIMS:
        return None
    n = min(int(SHARE * dims), MOST_AXES)
    _, axes = eigh(rows.T @ rows, subset_by_index=(dims - n, dims - 1))
    return np.ascontiguousarray(axes, np.float32)


def closest(queries: Float, map_of: MapOf, n: int, axes: Float | None = None) -> tuple[Float, Index, Index]:
    """Of each vector [P,C] the squared distance to the closest of n pictures', whose it is and at which place: [P] each.

    Of equally close ones, that of the first picture. axes: see main_axes; they change the time taken alone.
    """
    if axes is None or queries.size < LEAST_SIZE:
        return _by_products(queries, map_of, n)
    return _by_bounds(queries, map_of, n, axes)


def k_closest(queries: Float, map_of: MapOf, n: int, k: int) -> tuple[Float, Index, Index]:
    """Squared distances of vectors [P,C] to the k closest, rising, whose these are and at which places: [P,≤k] each."""
    squared = np.empty((len(queries), 0), np.float32)
    picture, place = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.int64)
    for number in range(n):
        rows = vectors(map_of(number))
        bias = _bias(rows)
        for start in range(0, len(rows), BLOCK):
            closeness = queries @ rows[start : start + BLOCK].T + bias[start : start + BLOCK]
            at = np.argsort(-closeness, 1, kind="stable")[:, :k] + start
            difference = queries[:, None] - rows[at]
            squared = np.append(squared, np.einsum("pkc,pkc->pk", difference, difference), 1)
            picture, place = np.append(picture, np.full(at.shape, number), 1), np.append(place, at, 1)
            keep = np.argsort(squared, 1, kind="stable")[:, :k]
            squared = np.take_along_axis(squared, keep, 1)
            picture, place = np.take_along_axis(picture, keep, 1), np.take_along_axis(place, keep, 1)
    return squared, picture, place


def _by_products(queries: Float, map_of: MapOf, n: int) -> tuple[Float, Index, Index]:
    """First which block of vectors holds the closest, then which of it that is."""
    best, whose = np.full(len(queries), -np.inf, np.float32), np.zeros(len(queries), np.int64)
    block = np.zeros(len(queries), np.int64)
    with_one = np.append(queries, np.ones((len(queries), 1), np.float32), 1)
    for picture in range(n):
        columns = map_of(picture).reshape(queries.shape[1], -1)
        columns = np.concatenate([columns, -0.5 * np.einsum("cn,cn->n", columns, columns)[None]])
        for start in range(0, columns.shape[1], BLOCK):
            part = np.ascontiguousarray(columns[:, start : start + BLOCK])
            closeness = _maxima(with_one, part, part.shape[1])[:, 0]
            closer = closeness > best
            best[closer], whose[closer], block[closer] = closeness[closer], picture, start
    squared, place = np.empty(len(queries), np.float32), np.empty(len(queries), np.int64)
    for picture in np.unique(whose).tolist():
        own, rows = np.flatnonzero(whose == picture), vectors(map_of(picture))
        bias = _bias(rows)
        for start in np.unique(block[own]).tolist():
            members, chosen = own[block[own] == start], slice(start, start + BLOCK)
            at = graphs.run("closest", {"queries": queries[members], "rows": rows[chosen], "bias": bias[chosen]}) + start
            place[members], squared[members] = at, _squared(queries[members], rows[at])
    return squared, whose, place


def _by_bounds(queries: Float, map_of: MapOf, n: int, axes: Float) -> tuple[Float, Index, Index]:
    """Picture after picture, those groups of it that may hold closer vectors than were found so far."""
    best, squared = np.full(len(queries), -np.inf, np.float32), np.full(len(queries), np.inf, np.float32)
    whose, place = np.zeros(len(queries), np.int64), np.zeros(len(queries), np.int64)
    lengths = np.sqrt(np.einsum("qc,qc->q", queries, queries))
    short = np.append(_along(queries, axes), np.ones((len(queries), 1), np.float32), 1)
    every = np.arange(len(queries))
    for picture in range(n):
        level = map_of(picture)
        order = _together(*level.shape[1:])
        rows = vectors(level)[order]
        bias = _bias(rows)
        bounds = _bounds(short, np.append(_along(rows, axes), bias[:, None], 1))
        longest = np.sqrt(-2 * bias.min())
        bounds += (SLACK * longest * (lengths + longest))[:, None]
        first = bounds.argmax(1)
        wanted = np.zeros(bounds.shape, np.bool_)
        wanted[every, first] = bounds[every, first] > best
        for turn in range(2):  # the likeliest group gives a good vector, which leaves few others to look through
            for group in np.flatnonzero(wanted.any(0)).tolist():
                members, part = np.flatnonzero(wanted[:, group]), slice(group * GROUP, (group + 1) * GROUP)
                inputs = {"queries": queries[members], "rows": rows[part], "bias": bias[part]}
                at, closeness = graphs.run_all("closest", inputs)
                closer = closeness > best[members]
                members, at = members[closer], at[closer] + group * GROUP
                best[members], whose[members], place[members] = closeness[closer], picture, order[at]
                squared[members] = _squared(queries[members], rows[at])
            if turn == 0:
                wanted = bounds > best[:, None]
                wanted[every, first] = False
    return squared, whose, place


def _bounds(queries: Float, rows: Float) -> Float:
    """The highest product of each query [Q,d] with the rows [N,d] of each group: float32 [Q,N/GROUP, rounded up]."""
    missing = -len(rows) % GROUP
    columns = np.append(rows, np.repeat(rows[-1:], missing, 0), 0).T
    blocks = range(0, columns.shape[1], BLOCK)
    return np.concatenate([_maxima(queries, np.ascontiguousarray(columns[:, at : at + BLOCK]), GROUP) for at in blocks], 1)


def _maxima(queries: Float, columns: Float, group: int) -> Float:
    """The highest product of each query [Q,d] with each `group` columns of [d,N]: float32 [Q,N/group]."""
    groups = np.array([0, -1, group])
    blocks = (queries[at : at + BLOCK] for at in range(0, len(queries), BLOCK))
    return np.concatenate([graphs.run("group_maxima", {"queries": q, "columns": columns, "groups": groups}) for q in blocks])


def _along(rows: Float, axes: Float) -> Float:
    """Coordinates along the axes, and the length of what they leave: float32 [N,d+1]."""
    along: Float = graphs.run("sketches", {"vectors": rows, "axes": axes})
    return along


def _together(high: int, wide: int) -> Index:
    """The places of a grid in an order in which those of a square of SIDE follow each other."""
    y, x = np.divmod(np.arange(high * wide), wide)
    return np.lexsort((x % SIDE, y % SIDE, x // SIDE, y // SIDE))


def _bias(rows: Float) -> Float:
    bias: Float = -0.5 * np.einsum("nc,nc->n", rows, rows)
    return bias


def _squared(one: Float, other: Float) -> Float:
    """Squared distances between rows: float32 [N]."""
    difference = one - other
    squared: Float = np.einsum("nc,nc->n", difference, difference)
    return squared
