"""Exact nearest neighbours of one picture's patches: flawsight's bank beside faiss-cpu's flat index and blocks of numpy.

    .venv-test/bin/python benchmarks/neighbours.py [--rounds 9] [--queries 784] [--rows 25088] [--dims 152]

All on the same cores, in turns. The rows are clusters of different spread, as patches are; their values cost none of them time.
"""

from __future__ import annotations

import argparse

import numpy as np
import timing

from flawsight.parts.neighbours import Bank


def rows_of(n: int, dims: int, rng: np.random.Generator) -> np.ndarray:
    centres = np.random.default_rng(0).normal(0, 2, (50, dims))
    return (centres[rng.integers(0, 50, n)] + rng.normal(size=(n, dims)) * rng.gamma(2, 0.5, (n, 1))).astype(np.float32)


def by_numpy(queries: np.ndarray, rows: np.ndarray, norms: np.ndarray, block: int = 2048) -> np.ndarray:
    """The plain way: products a block at a time, and the least of them."""
    least = np.full(len(queries), np.inf, np.float32)
    for start in range(0, len(rows), block):
        distance = norms[start : start + block] - 2 * (queries @ rows[start : start + block].T)
        np.minimum(least, distance.min(1), out=least)
    return least + np.einsum("qd,qd->q", queries, queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--queries", type=int, default=784)
    parser.add_argument("--rows", type=int, default=25_088)
    parser.add_argument("--dims", type=int, default=152)
    chosen = parser.parse_args()
    import faiss

    rng = np.random.default_rng(1)
    rows, queries = rows_of(chosen.rows, chosen.dims, rng), rows_of(chosen.queries, chosen.dims, rng)
    bank, norms = Bank(rows), np.einsum("md,md->m", rows, rows)
    flat = faiss.IndexFlatL2(chosen.dims)
    flat.add(rows)
    found, theirs = bank.nearest(queries), flat.search(queries, 1)
    same = int((found[1] == theirs[1]).sum())
    seconds = timing.in_turns(
        {
            "flawsight": lambda: bank.nearest(queries),
            "faiss IndexFlatL2": lambda: flat.search(queries, 1),
            "blocks of numpy, distances only": lambda: by_numpy(queries, rows, norms),
        },
        chosen.rounds,
    )
    print(f"{timing.machine('numpy', 'onnxruntime', 'faiss-cpu')}. Medians of {chosen.rounds} rounds.\n")
    print(f"{chosen.queries} queries, {chosen.rows} rows of {chosen.dims} dimensions:\n")
    print(timing.comparison(seconds, "flawsight"))
    print(f"\n{same} of {chosen.queries} nearest rows are the same as faiss's.")


if __name__ == "__main__":
    main()
