"""How large the core install is, and how long it takes to start: import, --help.

    python benchmarks/footprint.py [--rounds 7]

Run it with the Python of an environment that holds flawsight and its core requirements alone, as `.venv` from `make demo` does.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

LAUNCHES = {
    "an empty program": ["-c", "pass"],
    "import flawsight": ["-c", "import flawsight"],
    "flawsight --help": ["-m", "flawsight", "--help"],
    "load the library to fit and score": ["-c", "import flawsight as fs; fs.fit, fs.load; import onnxruntime"],
}


def seconds(arguments: list[str], rounds: int) -> float:
    """Median wall time of a fresh process."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    packages = Path(sysconfig.get_path("purelib"))
    size = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file() and not file.is_symlink())
    print(f"installed packages: {size / 2**20:.0f} MiB\n")
    print("| process | seconds |")
    print("|---|---|")
    for name, arguments in LAUNCHES.items():
        print(f"| {name} | {seconds(arguments, chosen.rounds):.2f} |")


if __name__ == "__main__":
    main()
