"""Greedy k-center: flawsight's selection beside the naive one and beside that of the paper's code, on the same rows in one run.

    .venv-test/bin/python benchmarks/coreset.py [--good 320] [--pictures GOOD_DIR] [--rows 250880] [--dims 128] [--ratio 0.1]

First the patches of good pictures, as PatchCore has them, projected; the drawn plates of benchmarks/growth.py unless pictures are
named. Then as many rows of whole numbers, so that float32 is exact and the picks of two programs can be compared one by one, ties
included: these lie in clusters that fill all dimensions, which no part's patches do, and tell less of each other.

The slower two cost the same for every pick; they are timed over a few picks, in turns with flawsight's whole run, and their time
for all picks is that times their number (`--compared` with all of them measures it whole). The paper's way is one distance pass
and one concatenation a pick (patchcore-inspection, ApproximateGreedyCoresetSampler); it needs torch, as the test environment has.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import growth
import numpy as np
from neighbours import SIZE, patches
from timing import comparison, machine

from flawsight.fitting import good_pictures
from flawsight.search import coreset

TIMED_PICKS = 60


def rows_of(n: int, dims: int) -> np.ndarray:
    """Whole numbers in clusters of very different spread, as patches of a picture are; mirrored, so that their mean is zero."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 12, (200, dims))
    spread = rng.gamma(2, 2, (n // 2, 1))
    half = np.rint(centres[rng.integers(0, 200, n // 2)] + rng.normal(size=(n // 2, dims)) * spread)
    return np.concatenate([half, -half]).astype(np.float32)


def naive(rows: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """The picks, and the seconds they took: each pick passes over every row once, in place."""
    norms = np.einsum("nd,nd->n", rows, rows)
    picks = np.empty(n, np.int64)
    picks[0] = norms.argmax()
    started = time.perf_counter()
    distance = norms + norms[picks[0]] - 2 * (rows @ rows[picks[0]])
    distance[picks[0]] = -1
    for i in range(1, n):
        picks[i] = distance.argmax()
        np.minimum(distance, norms + norms[picks[i]] - 2 * (rows @ rows[picks[i]]), out=distance)
        distance[picks[: i + 1]] = -1
    return picks, time.perf_counter() - started


def published(rows: np.ndarray, n: int) -> float:
    """Seconds for n picks as the paper's code makes them: norms, distances, a concatenation with the anchors, a minimum."""
    import torch

    with torch.no_grad():
        vectors = torch.from_numpy(rows)
        anchors = torch.linalg.vector_norm(vectors - vectors[0], dim=1, keepdim=True)
        started = time.perf_counter()
        for _ in range(n):
            centre = vectors[[int(torch.argmax(anchors))]]
            norms = vectors.unsqueeze(1).bmm(vectors.unsqueeze(2)).reshape(-1, 1)
            centre_norm = centre.unsqueeze(1).bmm(centre.unsqueeze(2)).reshape(1, -1)
            distances = (norms - 2 * vectors.mm(centre.T) + centre_norm).clamp(0).sqrt()
            anchors = torch.cat([anchors, distances], dim=-1).min(dim=1).values.reshape(-1, 1)
        return time.perf_counter() - started


def projected(pictures: Path | None, good: int, dims: int) -> np.ndarray:
    """Patches of pictures under a random projection, float32 [N,dims]."""
    with tempfile.TemporaryDirectory() as temporary:
        if pictures is None:
            growth.write_pictures({good: Path(temporary)}, SIZE)
        found = patches([sample.path for sample in good_pictures(pictures or Path(temporary))])
    return coreset.project(found.reshape(-1, found.shape[-1]), dims, np.random.default_rng(0))


def compare(rows: np.ndarray, ratio: float, compared: int, rounds: int) -> None:
    n = int(len(rows) * ratio)
    compared = min(compared, n)
    ours, theirs, plain = [], [], []
    for _ in range(rounds):
        started = time.perf_counter()
        picks, radius = coreset.greedy(rows, n)
        ours.append(time.perf_counter() - started)
        theirs.append(published(rows, TIMED_PICKS) / TIMED_PICKS * n)
        plain.append(naive(rows, TIMED_PICKS)[1] / TIMED_PICKS * n)
    expected, seconds = naive(rows - rows.mean(0, dtype=np.float64).astype(np.float32), compared)
    same = int((picks[:compared] == expected).sum())
    print(f"{len(rows)} rows × {rows.shape[1]}, {n} picks, covering radius {radius:.3g}; medians of {rounds} rounds.\n")
    seconds_by_way = {"flawsight": ours, "naive, in place": plain, "one pass and concatenation a pick": theirs}
    print(comparison(seconds_by_way, "flawsight", 1, "seconds"))
    print(f"\nPicks equal to the naive ones: {same} of the first {compared} (naive took {seconds:.1f} s for these).\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=320, help="plates drawn; a picture has 784 patches")
    parser.add_argument("--pictures", type=Path, help="a folder of good pictures instead")
    parser.add_argument("--rows", type=int, default=250_880, help="of whole numbers")
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--ratio", type=float, default=0.1)
    parser.add_argument("--compared", type=int, default=2000, help="picks compared one by one with the naive ones")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(f"{machine('numpy', 'torch')}.\n\nPatches of {chosen.pictures if chosen.pictures else 'drawn plates'}:\n")
    compare(projected(chosen.pictures, chosen.good, chosen.dims), chosen.ratio, chosen.compared, chosen.rounds)
    print("Whole numbers in clusters that fill all dimensions:\n")
    compare(rows_of(chosen.rows, chosen.dims), chosen.ratio, chosen.compared, chosen.rounds)


if __name__ == "__main__":
    main()
