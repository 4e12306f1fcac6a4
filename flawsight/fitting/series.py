"""Which good pictures are no evidence of their own: near copies of another, turned or re-encoded ones too, and series.

A picture whose near copy was learned from scores lower than the next new part will, so such pictures are held out together and
count as one. Where nobody says which, the pictures do. Each is reduced to SIDE × SIDE grey pixels without shading, and the mean of
the set is taken away: what parts that always lie alike have in common says nothing. Two rules link pictures:

- Near copies. What differs between two after the best fit of contrast and a small shift (tangent distance: Simard, LeCun, Denker,
  NIPS 1992), in any of the eight ways to turn and mirror one of them, is far below what usually differs between a picture and the
  one most like it. No fixed difference is small enough to tell copies: parts that always lie alike may differ by the camera's
  noise alone, and the larger a picture, the less of that is left in it. `hardly_differ` counts pictures that may be either.
- Order of names. Neighbours in it are alike far more often than pictures far apart are; then those neighbours are linked that are
  more alike than all but one in a hundred pairs far apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import UsageError
from flawsight.types import Float, Pixels

FOLDER = "folder"  # what groups pictures by where they lie
SIDE = 32
FINE, SHADING = 0.7, 3.0  # sigma in these pixels: below is noise, above is shading
RIM = 1  # of these pixels that are left out, for what a shift brings in
COPY = 0.33  # of the usual distance to the picture most alike: below, two are near copies
SAME = 0.015  # of the contrast of a picture: by less it may differ from its copy, and from parts that lie quite alike
JUMP = 2.5  # between the distances to the k-th and the next picture most alike, where most pictures have k near copies
RANKS = 8  # of the pictures most alike that are looked at, for each way of turning
TURNS = 8
TINY = 1e-6
NEAR, APART = 3, 10  # places in the order of names: linked at most, far apart at least
RARE, LUCK = 0.01, 5e-4  # share of pairs far apart that are as alike; chance that neighbours are by luck
FEWEST = 20  # pictures for series in the order of names
PAIRS = 20_000  # pairs far apart that are looked at, at most
BLOCK = 32  # pictures that are compared with all at once


def small(pixels: Pixels) -> NDArray[np.uint8]:
    """A picture uint8 [H,W,3] averaged to uint8 [SIDE,SIDE], grey and stretched to a square."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX).convert("L"))


def found(looks: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.int64]:
    """For each picture the lowest index of a picture that it is linked with, else its own. looks: uint8 [N,SIDE,SIDE]."""
    if len(looks) < 2:
        return np.arange(len(looks))
    plain = _plain(looks)
    return joined(len(looks), np.concatenate([_copies(plain), _neighbours(plain, names)]))


def hardly_differ(looks: NDArray[np.uint8]) -> int:
    """How many pictures differ so little from another that they may be copies, or parts that always lie alike.

    looks: uint8 [N,SIDE,SIDE], one of each group that `found` finds.
    """
    n = len(looks)
    if n < 2:
        return 0
    plain = _plain(looks)
    x, fits = plain.reshape(n, -1), _tangents(plain)
    contrast, least = (x**2).sum(1), np.empty(n, np.float32)
    for rows in _blocks(n):
        most = _most_alike(x[rows], x, rows, min(RANKS, n - 1))
        remains = _remains(x[rows], fits[rows], x[most], fits[most])
        least[rows] = (remains / np.maximum(np.minimum(contrast[rows, None], contrast[most]), TINY)).min(1)
    return int(np.count_nonzero(least < SAME**2))


def by_name(names: Sequence[str], group_by: str) -> NDArray[np.int64]:
    """The series of each picture by its name: of one folder, or of one match of a regular expression; the lowest index in it.

    Raises UsageError where that does not say the series of every picture.
    """
    if group_by == FOLDER:
        keys = [PurePath(name).parent.as_posix() for name in names]
    else:
        pattern = _pattern(group_by)
        matches = [pattern.search(name) for name in names]
        missed = [name for name, match in zip(names, matches, strict=True) if match is None or _said(match) is None]
        if missed:
            which = (
                "no picture's name matches" if len(missed) == len(names) else f"{len(missed)} of {len(names)} names do not match"
            )
            raise UsageError(
                f"fit: group_by: a pattern that says the series of every picture was needed; got {group_by!r}, which {which}: "
                f"{', '.join(missed[:3])}{' …' if len(missed) > 3 else ''}. Write one that matches all, or leave it out."
            )
        keys = [str(_said(match)) for match in matches if match]
    first: dict[str, int] = {}
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], np.int64)


def check_pattern(group_by: str | None) -> None:
    """Raise UsageError for what is neither FOLDER nor a regular expression."""
    if group_by is not None and group_by != FOLDER:
        _pattern(group_by)


def joined(n: int, links: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lowest index that each of n can be reached from over links, int64 [L,2]."""
    group = np.arange(n)
    for a, b in links:
        low, high = sorted((group[a], group[b]))
        group[group == high] = low
    return group


def in_order(names: Sequence[str]) -> list[int]:
    """Indices in the order of names, numbers in them by their value."""

    def key(i: int) -> list[tuple[bool, int, str]]:
        return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", names[i]) if part]

    return sorted(range(len(names)), key=key)


def _pattern(group_by: str) -> re.Pattern[str]:
    try:
        return re.compile(group_by)
    except re.error as error:
        raise UsageError(
            f"fit: group_by: {FOLDER} or a regular expression was needed; got {group_by!r}: {error}. Put a backslash before "
            "characters that are meant as they are."
        ) from None


def _said(match: re.Match[str]) -> str | None:
    """The first group of a match, or all of it where the pattern has none; None where that is empty."""
    return (match.group(1) if match.re.groups else match.group(0)) or None


def _plain(looks: NDArray[np.uint8]) -> Float:
    """Without noise and shading, float32 [N,S,S]."""
    grey = looks.astype(np.float32)
    fine, shading = _gauss(FINE), _gauss(SHADING)
    plain = fine @ grey @ fine.T - shading @ grey @ shading.T
    return plain[:, RIM:-RIM, RIM:-RIM].astype(np.float32)


def _gauss(sigma: float) -> Float:
    """A blur of SIDE pixels as a matrix; its rows sum to 1, at the ends too."""
    away = np.subtract.outer(np.arange(SIDE), np.arange(SIDE))
    weights = np.exp(-(away**2) / (2 * sigma**2))
    matrix: Float = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return matrix


def _copies(plain: Float) -> NDArray[np.int64]:
    """The pairs that are near copies, int64 [L,2]."""
    n = len(plain)
    ranks = min(RANKS, n - 1)
    near = np.empty((n, TURNS, ranks), np.float32)
    who = np.empty((n, TURNS, ranks), np.int64)
    turns, fits = _turns(plain), _tangents(plain)
    for k, turned in enumerate(turns):
        mean = plain.mean(0) if k == 0 else turns.mean((0, 1))
        x, y = ((one - mean).reshape(n, -1) for one in (plain, turned))
        size_x, size_y = (x**2).sum(1), (y**2).sum(1)
        fits_y = fits if k == 0 else _tangents(turned)
        for rows in _blocks(n):
            who[rows, k] = most = _most_alike(x[rows], y, rows, ranks)
            remains = _remains(x[rows], fits[rows], y[most], fits_y[most])
            near[rows, k] = remains / np.maximum(np.minimum(size_x[rows, None], size_y[most]), TINY)
    found = np.argwhere(near < (COPY * _usual(near, who)) ** 2)
    return np.stack([found[:, 0], who[tuple(found.T)]], 1)


def _blocks(n: int) -> list[NDArray[np.int64]]:
    """The numbers below n, BLOCK at a time."""
    return [np.arange(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


def _most_alike(x: Float, y: Float, rows: NDArray[np.int64], ranks: int) -> NDArray[np.int64]:
    """For each of pictures x [A,D], which are the `rows` of y [N,D], the others in y that are most like it: [A,ranks]."""
    far = (y**2).sum(1)[None] - 2 * x @ y.T
    far[np.arange(len(rows)), rows] = np.inf
    most: NDArray[np.int64] = np.argpartition(far, ranks - 1, 1)[:, :ranks]
    return most


def _remains(x: Float, fits_x: Float, y: Float, fits_y: Float) -> Float:
    """The squares of what pictures x [A,D] and y [A,K,D] differ by after the better fit of either's tangents: [A,K]."""
    gap = x[:, None] - y
    fitted = np.minimum(_along(fits_x[:, None], gap), _along(fits_y, gap))
    remains: Float = np.maximum((gap**2).sum(2) - fitted, 0)
    return remains


def _along(fits: Float, gap: Float) -> Float:
    """How much of the squares of vectors [A,K,D] lies along orthonormal ones [A,K,Q,D]: [A,K]."""
    along: Float = ((fits @ gap[..., None])[..., 0] ** 2).sum(-1)
    return along


def _usual(near: Float, who: NDArray[np.int64]) -> float:
    """How far the picture most alike usually is, near copies left out; near: squares of distances [N,TURNS,K] to pictures `who`."""
    n, ranks = len(near), near.shape[2]
    nearest = np.full((n, ranks), np.inf, np.float32)
    for i in range(n):
        best = np.full(n, np.inf, np.float32)
        np.minimum.at(best, who[i].ravel(), near[i].ravel())
        nearest[i] = np.sort(best)[:ranks]
    typical = np.sqrt(np.median(nearest, 0))
    for k in range(min(ranks - 1, n // 3)):
        if JUMP * typical[k] < typical[k + 1] < np.inf:
            return float(typical[k + 1])
    return float(typical[0])


def _turns(plain: Float) -> Float:
    """The eight ways to turn and mirror pictures [N,S,S]: [8,N,S,S], the first as they are."""
    return np.stack([np.rot90(one, k, (1, 2)) for one in (plain, plain[:, :, ::-1]) for k in range(4)])


def _tangents(pictures: Float) -> Float:
    """What a change of contrast and a shift add to pictures [N,S,S], orthonormal: [N,3,S·S]."""
    along = [pictures, np.gradient(pictures, axis=1), np.gradient(pictures, axis=2)]
    q, _ = np.linalg.qr(np.stack([one.reshape(len(pictures), -1) for one in along], 2))
    return np.ascontiguousarray(q.transpose(0, 2, 1))


def _neighbours(plain: Float, names: Sequence[str]) -> NDArray[np.int64]:
    """The pairs of neighbours in the order of names that are linked, int64 [L,2]."""
    from scipy.special import bdtrc

    n = len(plain)
    none = np.empty((0, 2), np.int64)
    if n < FEWEST:
        return none
    order = np.array(in_order(names))
    x = (plain - plain.mean(0)).reshape(n, -1)[order]
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    a, b = _far_apart(n, max(APART, n // 4))
    blocks = zip(np.array_split(a, 20), np.array_split(b, 20), strict=True)
    alike = float(np.quantile(np.concatenate([(x[i] * x[j]).sum(1) for i, j in blocks]), 1 - RARE))
    near = [(x[:-k] * x[k:]).sum(1) > alike for k in range(1, NEAR + 1)]
    if bdtrc(np.count_nonzero(near[0]) - 1, n - 1, RARE) >= LUCK:
        return none
    pairs = [np.stack([np.flatnonzero(linked), np.flatnonzero(linked) + k], 1) for k, linked in enumerate(near, 1)]
    return order[np.concatenate(pairs)]


def _far_apart(n: int, least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of places among n at least so far apart, all or PAIRS drawn at random: the lower places and the higher ones."""
    if (n - least) * (n - least + 1) // 2 <= PAIRS:
        return np.triu_indices(n, least)
    places = np.sort(np.random.default_rng(0).integers(0, n, (4 * PAIRS, 2)), 1)  # at least every second pair is far enough apart
    places = places[places[:, 1] - places[:, 0] >= least][:PAIRS]
    return places[:, 0], places[:, 1]
