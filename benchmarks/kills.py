"""Commands ended at random moments: no file is half-written, and nothing is left behind by the next run.

    python benchmarks/kills.py [--kill 60] [--terminate 30] [--seed 0]

`fit` and `score --out`, in turn, are ended by SIGKILL or SIGTERM at a moment drawn evenly from the time that they take. After
each one every file must be whole; after SIGTERM nothing else may be there, and what was said must be one line. A run to the end
then leaves nothing but its results.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flawsight import demo
from flawsight.images import image
from flawsight.modelfile import bundle
from flawsight.system.files import ENDING, PREFIX

UNWATCHED = (-signal.SIGTERM, 0, 3)  # ended before the command had begun or when its work was done; or it went on


class Trial:
    """The two commands, and what they write."""

    def __init__(self, folder: Path, size: int = 64) -> None:
        self.folder, self.size = folder, size
        self.plate = demo.write(folder / "pictures", n_good=6, n_test_good=2, n_per_kind=1, size=96)
        self.model = folder / "part.flaw"
        self.results = folder / "results"
        self.takes = {verb: self.run(verb) for verb in ("fit", "score")}

    def command(self, verb: str) -> list[str]:
        """The words of the command line."""
        of_fit = [
            str(self.plate / "train/good"),
            "-o",
            str(self.model),
            "--size",
            str(self.size),
            "--json",
            str(self.folder / "f.json"),
        ]
        of_score = [str(self.model), str(self.plate / "test"), "--out", str(self.results)]
        return [sys.executable, "-m", "flawsight", verb, *(of_fit if verb == "fit" else of_score)]

    def run(self, verb: str) -> float:
        """Run it to the end; the seconds it took."""
        started = time.perf_counter()
        done = subprocess.run(self.command(verb), capture_output=True, check=False)
        assert done.returncode in (0, 3), done.stderr.decode()
        return time.perf_counter() - started

    def ended(self, verb: str, number: signal.Signals, after_s: float) -> tuple[bool, int, str]:
        """Run it and end it so: whether it was still running, its exit status and standard error."""
        process = subprocess.Popen(self.command(verb), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(after_s)
        runs = process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
        return runs, process.returncode, said

    def faults(self) -> list[str]:
        """Files that are not whole."""
        return [str(path) for path in self.folder.rglob("*") if path.is_file() and not self.is_part(path) and not whole(path)]

    def litter(self) -> list[str]:
        """What a write that was broken off has left behind."""
        return [str(path) for path in self.folder.rglob("*") if self.is_part(path)]

    @staticmethod
    def is_part(path: Path) -> bool:
        """Whether it is a file that is being written."""
        return path.name.startswith(PREFIX) and path.name.endswith(ENDING)


def whole(path: Path) -> bool:
    """Whether a file can be read to its end."""
    try:
        if path.suffix == ".flaw":
            bundle.read(path)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".csv":
            rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
            return len({len(row) for row in rows}) == 1
        elif path.suffix == ".html":
            return path.read_text(encoding="utf-8").rstrip().endswith("</html>")
        elif path.suffix in (".png", ".jpg"):
            image.read(path)
    except Exception:
        return False
    return True


def broken_off(trial: Trial, number: signal.Signals, n: int, rng: random.Random) -> dict[str, int]:
    """What n runs, each ended so while it was at work, did that they must not."""
    found = {
        "runs": 0,
        "went on": 0,
        "half-written": 0,
        "left a part": 0,
        "more than a line": 0,
        "left by the next run": 0,
    }
    while found["runs"] < n:
        verb = ("fit", "score")[found["runs"] % 2]
        runs, status, said = trial.ended(verb, number, rng.uniform(0, trial.takes[verb]))
        if not runs:  # it was done sooner than when it was timed
            continue
        found["runs"] += 1
        found["went on"] += status in (0, 3)
        found["half-written"] += bool(trial.faults())
        left = bool(trial.litter())
        found["left a part"] += left
        if number == signal.SIGTERM and status not in UNWATCHED:
            lines = [line for line in said.splitlines() if line]
            if "Traceback" in said or lines[-1:] != ["interrupted: no file was left half-written"]:
                found["more than a line"] += 1
                sys.stderr.write(f"{verb}, exit status {status}:\n{said}\n")
        if left or found["runs"] == n:
            trial.run("fit")
            trial.run("score")
            found["left by the next run"] += bool(trial.litter())
    return found


def main() -> None:
    """Print a row for each signal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill", type=int, default=60, help="runs ended by SIGKILL")
    parser.add_argument("--terminate", type=int, default=30, help="runs ended by SIGTERM")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    os.environ["PYTHONUTF8"] = "1"
    rows = []
    for number, n in ((signal.SIGKILL, asked.kill), (signal.SIGTERM, asked.terminate)):
        with tempfile.TemporaryDirectory() as name:
            rows.append((number.name, broken_off(Trial(Path(name)), number, n, random.Random(asked.seed))))
    print(f"| signal | {' | '.join(rows[0][1])} |")
    print("|---|" + "---:|" * len(rows[0][1]))
    for name, found in rows:
        print(f"| {name} | {' | '.join(map(str, found.values()))} |")


if __name__ == "__main__":
    main()
