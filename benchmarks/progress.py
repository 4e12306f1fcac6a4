"""What is told of a training beforehand, beside what the whole training then takes.

    python benchmarks/progress.py DATA [--rows dsebm,itae] [--recipe smoke] [--rounds 3] [--steps N]

Each row of the published tables that learns by gradient, as its recipe has it, on the first category of DATA: what the dry run of
`flawsight fit` tells, and what `flawsight fit` takes. Each is a process of its own, kept to one core and one thread. Seconds are
the processor's, which a process alone on its core needs by the clock too, so that others on the machine hardly disturb them; peaks
are those of the whole process. Libraries are loaded before the clock starts, as they are when a fit begins that was told of. Prints
a Markdown table with medians over the rounds; what each part was told to take and took goes to standard error as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from timing import machine, table

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
WHATS = ("estimated", "took")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", metavar="NAMES", help="of the tables; without, all that learn by gradient")
    parser.add_argument("--recipe", default="smoke")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, help="of gradient descent, in place of the recipe's, to see that it runs")
    parser.add_argument("--only", choices=WHATS, help=argparse.SUPPRESS)  # in the process of its own
    chosen = parser.parse_args()
    if chosen.only:
        print(json.dumps(measured(chosen)))
        return
    rows = []
    for name in names(chosen.rows):
        found = {what: [in_a_process(chosen, name, what) for _ in range(chosen.rounds)] for what in WHATS}
        middle = {(what, of): statistics.median(one[of] for one in found[what]) for what in WHATS for of in ("seconds", "peak_mb")}
        cells = [f"{middle[what, of]:.0f}" for of in ("seconds", "peak_mb") for what in WHATS]
        ratios = [f"{middle['estimated', of] / middle['took', of]:.2f}" for of in ("seconds", "peak_mb")]
        rows.append((name, *cells[:2], ratios[0], *cells[2:], ratios[1]))
        print(json.dumps({name: found}), file=sys.stderr, flush=True)
    print(f"{machine('torch', 'onnxruntime')}; one core, one thread\n")
    print(table(("row", "estimated, s", "took, s", "estimated / took", "estimated, MB", "took, MB", "estimated / took"), rows))


def names(chosen: str | None) -> list[str]:
    """The rows named; without names all that learn by gradient."""
    from flawsight.methods import METHODS
    from flawsight.methods.learned import Learned
    from flawsight.reproduce.rows import ROWS, get_row

    if chosen:
        return [get_row(name).name for name in chosen.split(",")]
    return [name for name, row in ROWS.items() if issubclass(METHODS[row.method], Learned)]


def in_a_process(chosen: argparse.Namespace, name: str, what: str) -> dict[str, Any]:
    """What `measured` says of that row there."""
    command = [sys.executable, __file__, str(chosen.data), "--rows", name, "--recipe", chosen.recipe, "--only", what]
    command += [] if chosen.steps is None else ["--steps", str(chosen.steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", env={**os.environ, **ONE_THREAD}, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(chosen: argparse.Namespace) -> dict[str, Any]:
    """Seconds and megabytes of one row, in this process. parts: seconds of each step, where they are told."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    time.perf_counter = time.process_time  # the clock that the dry run goes by
    import onnx  # noqa: F401
    import torch  # noqa: F401

    from flawsight import fitting
    from flawsight.reproduce import pictures
    from flawsight.reproduce.planning import Request, make_work
    from flawsight.system import memory
    from flawsight.types import DETAIL

    group = make_work(Request(chosen.data, methods=(chosen.rows,), recipe=chosen.recipe)).groups[0]
    cell = group.cells[0]
    plan, train, _ = pictures.of_cell(group, cell)
    if chosen.steps is not None:
        plan = replace(plan, options={**plan.options, "steps": chosen.steps})
    started = time.process_time()
    if chosen.only == "estimated":
        message = fitting.estimate(train, plan)
        if message is None:
            raise SystemExit(f"told: a dry run of {cell.row} was needed; nothing can be told of these pictures. Name others.")
        return {
            "seconds": message.total_s,
            "peak_mb": message.peak_mb,
            "parts": message.seconds,
            "cost": time.process_time() - started,
        }
    before: dict[str, float] = {}
    ends: dict[str, float] = {}

    def progress(what: str, done: int, total: int) -> None:
        name, now = what.partition(DETAIL)[0], time.process_time()
        before.setdefault(name, max(ends.values(), default=started))
        ends[name] = now

    fitting.fit(train, plan, progress)
    seconds = time.process_time() - started
    parts = {name: ends[name] - before[name] for name in ends}
    return {"seconds": seconds, "peak_mb": memory.peak() / 1e6, "parts": parts}


if __name__ == "__main__":
    main()
