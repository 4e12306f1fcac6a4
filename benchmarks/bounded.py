"""Many pictures fitted in little memory: what was allowed, what was taken, and how well the bank then covers all patches.

    python benchmarks/bounded.py [--pictures 20000] [--memory 1GB] [--size 128] [--free]

The pictures are drawn plates and varied copies of them, those of growth.py. Each fit is a process of its own that reports the most
memory it ever held. --free fits each number of pictures without a bound as well, which takes the more memory the more there are.
Prints a Markdown table; "at most" says how many times the radius of a choice from all patches at once the radius can be.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from growth import write_pictures
from timing import machine, table

from flawsight.system import memory

FIT = """
import json, sys, time
import flawsight as fs
from flawsight import fitting
from flawsight.system import memory
folder, size, allowed, out = sys.argv[1:]
plan = fs.Plan("patchcore", size=int(size), memory=allowed or None)
told = fitting.estimate(folder, plan)
started = time.perf_counter()
model = fs.fit(folder, plan)
model.save(out)
seconds = time.perf_counter() - started
facts = {"seconds": seconds, "peak": memory.peak(), "told_s": told.total_s, "told_mb": told.peak_mb, "patches": told.patches}
state = model.method.state()
facts |= {"bank": len(state["bank"]), "radius": state["radius"].item(), "factor": state["radius_factor"].item()}
print(json.dumps({**facts, "blocks": told.blocks, "notes": model.training.notes}))
"""


def fitted(folder: Path, size: int, allowed: str, out: Path) -> dict[str, Any]:
    """What a process tells of its fit."""
    command = [sys.executable, "-c", FIT, str(folder), str(size), allowed, str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    message: dict[str, Any] = json.loads(done.stdout)
    return message


def row(pictures: int, allowed: str, message: dict[str, Any]) -> Sequence[object]:
    """A line of the table."""
    blocks = next((note.split(" in ")[1].split()[0] for note in message["notes"] if "blocks" in note), "1")
    return (
        pictures,
        f"{message['patches']:,}",
        f"{message['bank']:,}",
        allowed or "free",
        memory.in_words(message["peak"]),
        memory.in_words(1e6 * message["told_mb"]),
        f"{message['seconds']:.0f}",
        f"{message['told_s']:.0f}",
        blocks,
        f"{message['radius']:.4f}",
        f"{message['factor']:.2f}",
    )


HEADS = (
    "pictures",
    "patches",
    "bank",
    "allowed",
    "peak",
    "message",
    "seconds",
    "estimated, s",
    "blocks",
    "radius",
    "at most, times",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="20000", help="how many, separated by commas")
    parser.add_argument("--memory", default="1GB", help="for the whole process")
    parser.add_argument("--size", type=int, default=128, help="pixels of a picture's side, and what the network sees")
    parser.add_argument("--free", action="store_true", help="fit without a bound as well")
    chosen = parser.parse_args()
    counts = sorted({int(text) for text in chosen.pictures.split(",")})
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for count in counts:
            (folder / f"{count}").mkdir()
        write_pictures({count: folder / f"{count}" for count in counts}, chosen.size)
        for count in counts:
            for allowed in (chosen.memory, "") if chosen.free else (chosen.memory,):
                message = fitted(folder / f"{count}", chosen.size, allowed, folder / "part.flaw")
                rows.append(row(count, allowed, message))
                print(f"{count} pictures: {message['seconds']:.0f} s", file=sys.stderr, flush=True)
    print(f"{machine('numpy', 'onnxruntime')}. Drawn plates, {chosen.size}×{chosen.size}, JPEG.\n")
    print(table(HEADS, rows))


if __name__ == "__main__":
    main()
