"""Run the benchmarks that need no data of their own, and put what they print into a document.

    python benchmarks/run.py [NAME…] [--write docs/performance.md]

Each runs as a process of its own, one after another. What it prints takes the place of what stood between its markers in the
document, `<!-- NAME -->` and `<!-- /NAME -->`, as soon as it is done; markers that are not there yet are added at the end. All else
in the document stays.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent

CORE = HERE.parent / ".venv/bin/python"  # of the environment that `make demo` sets up, with the core requirements alone

# A benchmark is a line here: its name, which is its file's, and its arguments. {folder} is the document's, for plots; {core} the
# core environment's Python, where there is one.
BENCHMARKS: dict[str, str] = {
    "coreset": "--good 128 --rows 100000 --compared 1000 --rounds 3",
    "neighbours": "--rounds 21",
    "pixels": "--timed 2",
    "growth": "--pictures 50,100,200,400,800,1600,3200 --svg {folder}/growth.svg",
    "footprint": "--rounds 5 --python {core}",
}


def output(name: str, folder: Path) -> str:
    """What a benchmark prints; what it says meanwhile goes to standard error as it comes."""
    places = {"folder": str(folder), "core": str(CORE) if CORE.exists() else sys.executable}
    arguments = [argument.format(**places) for argument in BENCHMARKS[name].split()]
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"run: {name} was to end with 0; it ended with {done.returncode}. See what it said above.")
    return done.stdout.strip()


def replaced(document: str, name: str, content: str) -> str:
    """The document with the content between the markers of that name."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    block = f"{opening}\n{content}\n{closing}"
    if (document.count(opening), document.count(closing)) == (0, 0):
        return f"{document.rstrip()}\n\n{block}\n".lstrip()
    before, found, rest = document.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended) or opening in rest or closing in after:
        raise SystemExit(f"run: one {opening} and after it one {closing} were needed; the document has others. Mend them.")
    return f"{before}{block}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none is named")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a document with markers; otherwise all is printed")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    document = chosen.write.read_text("utf-8") if chosen.write and chosen.write.exists() else ""
    for name in chosen.names or BENCHMARKS:
        replaced(document, name, "")  # refuses a document that cannot take it before time is spent
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.write.parent if chosen.write else Path(temporary)
        for name in chosen.names or BENCHMARKS:
            started = time.perf_counter()
            content = output(name, folder)
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
            if chosen.write:
                document = replaced(document, name, content)
                chosen.write.write_text(document, encoding="utf-8")
            else:
                print(f"{content}\n", flush=True)


if __name__ == "__main__":
    main()
