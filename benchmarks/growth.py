"""How a fit and its model grow with the number of good pictures: time, memory, file, bank, and the time a picture then takes.

    python benchmarks/growth.py [--pictures 50,100,200,400,800,1600,3200] [--size 320] [--rounds 1] [--svg FILE]

The pictures are drawn plates, each later one a copy that is shifted, of another brightness and with noise of its own, as JPEG. Each
fit is `flawsight fit` in a process of its own: its time is that process's, start included, its memory the most it ever held. Rounds
go through all numbers of pictures, and medians count, so that a busy spell spoils no single row.
Prints a Markdown table, then the exponents between successive rows, 1 being linear; --svg draws the figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from growth_chart import Panel, draw
from timing import machine, table

from flawsight import demo
from flawsight.images import image

PLATES = 60  # drawn; later pictures are copies of them
SHIFT = 6  # pixels that a copy is moved by at most
JUDGED = 15  # pictures timed with each model, after two that are not

JUDGE = """
import statistics, sys, time
import flawsight as fs
model, times = fs.load(sys.argv[1]), []
for path in sys.argv[2:]:
    started = time.perf_counter()
    model.predict(path)
    times.append(time.perf_counter() - started)
print(1000 * statistics.median(times[2:]))
"""

QUANTITIES = {  # name → heading, digits
    "fit_s": ("fit, s", 2),
    "cpu_s": ("fit, CPU s", 2),
    "memory_mib": ("peak memory, MiB", 0),
    "file_mb": ("model file, MB", 2),
    "bank_rows": ("bank rows", 0),
    "judge_ms": ("a picture, ms", 1),
}
PLOTTED = ("fit_s", "memory_mib", "file_mb", "judge_ms")

WHY = """
- **fit**: starting is a constant part, which hides the rest at first. Reading and the network pass over the pictures once: 1. The
  greedy choice weighs the patches of all N pictures against each pick, and picks are a tenth of them until the bank is full: up to
  2, then 1. Patches too near to matter are left out, so that it is less; how much less depends on the pictures. Each picture's
  held-out score searches the bank: 2, then 1 likewise.
- **peak memory**: libraries and network are a constant part; patch vectors are kept until the bank is chosen, all or as many
  as a fit may hold: from 0 towards 1, and 0 again where there is such a bound.
- **model file**: the network is a constant part, the bank grows until it is full: below 1, then 0 but for the pictures' names.
- **bank rows**: a tenth of all patches: 1, then 0 from `bank_limit` on.
- **a picture**: reading and the network take as long with any model, the search compares each patch with the bank: below 1, then 0.
"""


@dataclass(frozen=True)
class Fit:
    """What was measured of one fit. full_at: the number of pictures that fills the bank."""

    pictures: int
    fit_s: float
    cpu_s: float
    memory_mib: float
    file_mb: float
    bank_rows: int
    judge_ms: float
    full_at: float


def write_pictures(folders: Mapping[int, Path], size: int) -> None:
    """As many pictures as told into each folder, all from the beginning of one series that is always the same."""
    for i in range(max(folders)):
        rng = np.random.default_rng([1, i])
        plate = _plate(i % PLATES, size)
        if i >= PLATES:
            down, right = rng.integers(0, 2 * SHIFT + 1, 2)
            plate = np.pad(plate, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "edge")[down : down + size, right : right + size]
            changed = plate * rng.uniform(0.92, 1.08) + rng.normal(0, 2, plate.shape)
            plate = np.clip(changed, 0, 255).astype(np.uint8)
        data = image.encode(plate, "jpeg", 92)
        for count, folder in folders.items():
            if i < count:
                (folder / f"{i:05}.jpg").write_bytes(data)


_plates: dict[tuple[int, int], np.ndarray] = {}


def _plate(index: int, size: int) -> np.ndarray:
    if (index, size) not in _plates:
        _plates[index, size] = demo.draw(0, "train", index, size=size)[0]
    return _plates[index, size]


def run(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds of a process, those its threads computed in all, and the most memory it held, in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "flawsight", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"growth: flawsight {' '.join(arguments)} was to end with 0; it ended with {process.returncode}.")
    memory = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return seconds, usage.ru_utime + usage.ru_stime, memory


def measure(good: Path, pictures: int, size: int, folder: Path) -> Fit:
    """A fit on all pictures in `good`, and the median time the model takes for a picture."""
    model, facts = folder / "part.flaw", folder / "facts.json"
    seconds, cpu, memory = run(
        ["fit", str(good), "-o", str(model), "--method", "patchcore", "--size", str(size), "--json", str(facts)]
    )
    message = json.loads(facts.read_text("utf-8"))
    judged = (sorted(good.iterdir()) * JUDGED)[: JUDGED + 2]
    latency = subprocess.run([sys.executable, "-c", JUDGE, str(model), *map(str, judged)], check=True, capture_output=True).stdout
    rows, params = int(message["learned"]["bank"].split("×")[0]), message["params"]
    patches = int(np.prod([side // 8 for side in map(int, message["network_sees"].split("×"))]))
    full_at = params["bank_limit"] / params["coreset_ratio"] / patches
    return Fit(pictures, seconds, cpu, memory, model.stat().st_size / 1e6, rows, float(latency), full_at)


def median(fits: Sequence[Fit]) -> Fit:
    """The median of each figure over several fits on the same pictures; of an even number the lower one, as load only adds."""
    return Fit(**{one.name: statistics.median_low(getattr(fit, one.name) for fit in fits) for one in dataclasses.fields(Fit)})


def exponents(fits: Sequence[Fit], quantity: str) -> list[float]:
    """The slope of log quantity over log pictures, between each two successive fits."""
    return [
        math.log(getattr(b, quantity) / getattr(a, quantity)) / math.log(b.pictures / a.pictures)
        for a, b in itertools.pairwise(fits)
    ]


def report(fits: Sequence[Fit], size: int, rounds: int) -> str:
    """The tables, and what the exponents come from."""
    heads = [head for head, _ in QUANTITIES.values()]
    rows = [[fit.pictures, *(f"{getattr(fit, name):.{digits}f}" for name, (_, digits) in QUANTITIES.items())] for fit in fits]
    steps = [f"{a.pictures} → {b.pictures}" for a, b in itertools.pairwise(fits)]
    slopes = [[head, *(f"{one:.2f}" for one in exponents(fits, name))] for name, (head, _) in QUANTITIES.items()]
    full = f"The bank is full from {math.ceil(fits[0].full_at)} pictures on."
    parts = [
        f"{machine('numpy', 'onnxruntime')}. Drawn plates, {size}×{size}, JPEG; medians of {rounds} fits.",
        table(("pictures", *heads), rows),
        f"Exponents, 1 being linear: how each grows from a row to the next. {full}",
        table(("", *steps), slopes),
        WHY.strip(),
    ]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="50,100,200,400,800,1600,3200", help="how many, separated by commas")
    parser.add_argument("--size", type=int, default=320, help="pixels of a picture's side, and what the network sees")
    parser.add_argument("--rounds", type=int, default=1, help="fits of each number of pictures, of which the median counts")
    parser.add_argument("--svg", type=Path, help="draw the figures here")
    chosen = parser.parse_args()
    measured: dict[int, list[Fit]] = {count: [] for count in sorted({int(text) for text in chosen.pictures.split(",")})}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for count in measured:
            (folder / f"{count}").mkdir()
        write_pictures({count: folder / f"{count}" for count in measured}, chosen.size)
        for _ in range(chosen.rounds):
            for count, fits in measured.items():
                fits.append(measure(folder / f"{count}", count, chosen.size, folder))
                print(f"{count} pictures: {fits[-1].fit_s:.1f} s", file=sys.stderr, flush=True)
    fits = [median(rounds) for rounds in measured.values()]
    print(report(fits, chosen.size, chosen.rounds))
    if chosen.svg:
        panels = [Panel(QUANTITIES[name][0], [getattr(fit, name) for fit in fits], exponents(fits, name)) for name in PLOTTED]
        chosen.svg.write_text(draw([fit.pictures for fit in fits], panels, fits[0].full_at), encoding="utf-8")


if __name__ == "__main__":
    main()
