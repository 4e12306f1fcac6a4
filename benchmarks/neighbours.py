"""Exact nearest neighbours of one picture's patches: flawsight's bank beside faiss-cpu's flat index and blocks of numpy.

    .venv-test/bin/python benchmarks/neighbours.py [--rounds 9] [--good 320] [--rows 25088] [--pictures GOOD_DIR]

All on the same cores, in turns. The rows are patches of good pictures, chosen by the greedy coreset, and the queries those of
other pictures; what flawsight leaves out depends on them. Pictures are the drawn plates of benchmarks/growth.py unless named. Wide
rows are patches beside their eight neighbours, 1,024 dimensions of these, drawn at random. Last comes what flawsight's worst case
costs: rows that point everywhere alike.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import growth
import numpy as np
import timing

from flawsight.backbones import open_backbone
from flawsight.fitting import Plan, good_pictures
from flawsight.loader import read
from flawsight.search import coreset
from flawsight.search.neighbours import Bank

SIZE, GRID = 224, 28
WIDE = 1024
JUDGED = 9  # pictures whose patches are the queries, in turn


def patches(paths: list[Path]) -> np.ndarray:
    """Patch vectors as PatchCore has them, but for its level scales: float32 [N,28,28,152]."""
    preprocess, backbone = Plan(size=SIZE).preprocess(), open_backbone("efficientnet_lite0")
    found = []
    for path in paths:
        fine, coarse = backbone.features(preprocess.apply(read(path, 0))[None])
        found.append(np.concatenate([fine[0], coarse[0].repeat(2, 1).repeat(2, 2)]).transpose(1, 2, 0))
    return np.stack(found)


def unfolded(grids: np.ndarray) -> np.ndarray:
    """Each patch beside its eight neighbours, WIDE of the dimensions: float32 [N,28,28,WIDE]."""
    padded = np.pad(grids, ((0, 0), (1, 1), (1, 1), (0, 0)))
    beside = np.concatenate([padded[:, i : i + GRID, j : j + GRID] for i in range(3) for j in range(3)], 3)
    return beside[..., np.random.default_rng(0).permutation(beside.shape[3])[:WIDE]]


def by_numpy(queries: np.ndarray, rows: np.ndarray, norms: np.ndarray, block: int = 2048) -> np.ndarray:
    """The plain way: products a block at a time, and the least of them."""
    least = np.full(len(queries), np.inf, np.float32)
    for start in range(0, len(rows), block):
        distance = norms[start : start + block] - 2 * (queries @ rows[start : start + block].T)
        np.minimum(least, distance.min(1), out=least)
    return least + np.einsum("qd,qd->q", queries, queries)


def compare(rows: np.ndarray, judged: list[np.ndarray], rounds: int) -> None:
    import faiss

    bank, norms = Bank(rows), np.einsum("md,md->m", rows, rows)
    flat = faiss.IndexFlatL2(rows.shape[1])
    flat.add(rows)
    same = sum(int((bank.nearest(queries)[1] == flat.search(queries, 1)[1]).sum()) for queries in judged)
    turn = {"flawsight": 0, "faiss": 0, "numpy": 0}

    def queries(name: str) -> np.ndarray:
        turn[name] += 1
        return judged[turn[name] % len(judged)]

    seconds = timing.in_turns(
        {
            "flawsight": lambda: bank.nearest(queries("flawsight")),
            "faiss IndexFlatL2": lambda: flat.search(queries("faiss"), 1),
            "blocks of numpy, distances only": lambda: by_numpy(queries("numpy"), rows, norms),
        },
        rounds,
    )
    print(f"{len(judged[0])} queries, {len(rows)} rows of {rows.shape[1]} dimensions:\n")
    print(timing.comparison(seconds, "flawsight"))
    print(f"\n{same} of {sum(map(len, judged))} nearest rows are the same as faiss's.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--good", type=int, default=320, help="pictures whose patches the bank is chosen from")
    parser.add_argument("--rows", type=int, default=25_088)
    parser.add_argument("--wide-rows", type=int, default=16_385)
    parser.add_argument("--pictures", type=Path, help="a folder of good pictures; the last few of them are judged")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if not chosen.pictures:
            growth.write_pictures({chosen.good + JUDGED: Path(temporary)}, SIZE)
        grids = patches([sample.path for sample in good_pictures(chosen.pictures or Path(temporary))])
    known, judged = grids[:-JUDGED], grids[-JUDGED:]
    every, rng = known.reshape(-1, known.shape[3]), np.random.default_rng(0)
    kept, _ = coreset.greedy(coreset.project(every, 128, rng), min(chosen.rows, len(every)))
    what = chosen.pictures.name if chosen.pictures else "drawn plates"
    print(f"{timing.machine('numpy', 'onnxruntime', 'faiss-cpu')}. Patches of {len(known)} {what}; {chosen.rounds} rounds.\n")
    compare(every[kept], [one.reshape(-1, known.shape[3]) for one in judged], chosen.rounds)
    step = -(-known.shape[0] * GRID * GRID // chosen.wide_rows)
    wide = np.concatenate(
        [unfolded(known[i : i + 1]).reshape(-1, WIDE)[-i * GRID * GRID % step :: step] for i in range(len(known))]
    )
    compare(wide[: chosen.wide_rows], list(unfolded(judged).reshape(JUDGED, -1, WIDE)), chosen.rounds)
    print("Rows that point everywhere alike, which no bound tells apart:\n")
    even = rng.normal(size=(chosen.rows + GRID * GRID, known.shape[3])).astype(np.float32)
    compare(even[: chosen.rows], [even[chosen.rows :]], chosen.rounds)


if __name__ == "__main__":
    main()
