"""How large the core install is, and how long it takes to start: import, --help.

    python benchmarks/footprint.py [--rounds 7] [--python .venv/bin/python]

The environment should hold flawsight and its core requirements alone, as `.venv` from `make demo` does.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from timing import machine, table

LAUNCHES = {
    "an empty program": ["-c", "pass"],
    "import flawsight": ["-c", "import flawsight"],
    "flawsight --help": ["-m", "flawsight", "--help"],
    "load the library to fit and score": ["-c", "import flawsight as fs; fs.fit, fs.load; import onnxruntime"],
}


def seconds(python: str, arguments: list[str], rounds: int) -> float:
    """Median wall time of a fresh process."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([python, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--python", default=sys.executable, help="of the environment to measure; the one that runs this by default")
    chosen = parser.parse_args()
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([chosen.python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
    size = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file() and not file.is_symlink())
    kind = "core requirements and more, as torch is among them" if (packages / "torch").exists() else "no torch among them"
    rows = [(name, f"{seconds(chosen.python, arguments, chosen.rounds):.2f}") for name, arguments in LAUNCHES.items()]
    print(f"{machine()}. Installed packages: {size / 2**20:.0f} MiB ({kind}).\n")
    print(table(("process", "seconds"), rows))


if __name__ == "__main__":
    main()
