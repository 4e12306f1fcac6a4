"""flawsight beside other PatchCore libraries, on the same pictures in one run: fit, score, memory, size and start.

    make bench-peers [ARGS="[GOOD TEST] [--good 64] [--test 36] [--size 1024] [--rounds 5] [--networks lite0,wrn50]"]

GOOD and TEST are folders of pictures; without them the demo's plate is drawn. Each product runs in an environment of its own
(`.venv-peers/`) and in processes of its own (`peer_work.py`, where it is said how each is used), one of them busy at a time. They
take turns, and a ratio compares two products in the same round: quoted are its median over the rounds, the lowest and the highest.
Nothing is downloaded while it runs, so all networks hold weights that a package brings (lite0) or random ones (wrn50). Leave the
machine to it: torch's threads wait for each other and suffer most from other programs. The last line says how much these took.

Fit: from PNG files to a fitted detector saved on disk, a tenth of all patches kept, in a fresh process each time, imports not
counted. flawsight also reads each picture to check it, and sets a threshold from held-out scores. Score: from one PNG file to its
score and map, one picture after another; every product searches a bank of as many rows and dimensions as flawsight's. A product
that cannot do a work is named below the tables with what it said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timing

from flawsight import demo
from flawsight.images import image

HERE = Path(__file__).parent
NETWORKS = {
    "lite0": "EfficientNet-Lite0, two levels (40 channels at stride 8, 112 at stride 16)",
    "wrn50": "WideResNet-50-2, layers 2 and 3, random weights",
}
FITTED = ("lite0",)  # networks whose fit is timed
FITTERS = ("flawsight", "anomalib")  # products whose fit is timed: the others have none of these networks
FEW = 16  # good pictures that fill the other networks' banks
WAYS = {
    "flawsight": ("predict", "stream"),
    "flawsight-bf16": ("predict", "stream"),
    "anomalib": ("model", "engine"),
    "pyimgano": ("map", "both"),
    "anomavision": ("predict",),
}
STREAMS = {"stream": "predict_batch", "engine": "Engine.predict"}  # ways that take all pictures at once
EXPORTER = "anomalib"  # hands wrn50 to flawsight


class Refused(Exception):
    """What a product said when it could not do a work."""


class Worker:
    """A product's process. `peak_mib`: the most memory it has held."""

    def __init__(self, product: str, python: Path, scratch: Path) -> None:
        offline = {"HF_HUB_OFFLINE": "1", "TORCH_HOME": str(scratch / "torch"), "PYTHONWARNINGS": "ignore"}
        self.product, self.log = product, (scratch / f"{product}.log").open("w+")
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [python, HERE / "peer_work.py", product],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=os.environ | offline,
            cwd=scratch,
            text=True,
        )
        self.import_seconds = self._answer()["import_seconds"]
        self.start_seconds = time.perf_counter() - started

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The answer to a request. Raises Refused."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            last = [text for text in self.log.read().splitlines() if text.strip()][-1:]
            raise Refused(f"its process ended with status {self.process.returncode}: {''.join(last)}")
        message: dict[str, Any] = json.loads(line)
        self.peak_mib = message["peak_mib"]
        if "error" in message:
            raise Refused(message["error"].strip().splitlines()[0])
        return message


class Bench:
    """The pictures, the products that take part, and what could not be done."""

    def __init__(self, pythons: Mapping[str, Path], scratch: Path, rounds: int) -> None:
        self.pythons, self.scratch, self.rounds = pythons, scratch, rounds
        self.good, self.test = scratch / "good", scratch / "test"
        self.refusals: dict[str, None] = {}

    @contextmanager
    def worker(self, product: str) -> Iterator[Worker]:
        worker = Worker(product, self.pythons[product], self.scratch)
        try:
            yield worker
        finally:
            worker.close()

    def refused(self, product: str, what: str, error: Refused) -> None:
        """Note what a peer cannot do; flawsight has to do all."""
        if product == "flawsight":
            raise error
        self.refusals[f"{product}, {what}: {error}"] = None

    def fit(self, network: str) -> str:
        """The table of fits; the fitted models and banks are left in the scratch folder."""
        seconds: timing.Seconds = {}
        peaks: dict[str, float] = {}
        banks: dict[str, str] = {}
        able = [product for product in self.pythons if product in FITTERS]
        for number in range(self.rounds):
            for product in list(able):
                say(f"fit {network}, round {number + 1}: {product}")
                try:
                    with self.worker(product) as worker:
                        message = worker.ask("fit", network=network, good=str(self.good), out=str(self.path(network, product)))
                        seconds.setdefault(product, []).append(message["seconds"])
                        peaks[product] = max(peaks.get(product, 0), worker.peak_mib)
                        banks[product] = f"{message['rows']:,} × {message['dims']}"
                except Refused as error:
                    self.refused(product, f"{network}, fit", error)
                    able.remove(product)
                    seconds.pop(product, None)
        rows = [
            (name, f"{statistics.median(times):.3g}", times_ours(seconds, name), f"{peaks[name]:.0f}", banks[name])
            for name, times in seconds.items()
        ]
        return timing.table(("product", "fit, s", "times flawsight's", "peak memory, MiB", "bank"), rows)

    def path(self, network: str, product: str) -> Path:
        return self.scratch / f"{network}-{product}.flaw"

    def score(self, network: str) -> str:
        """The table of scores. Every product's bank is cut to as many rows as flawsight's."""
        onnx = self.scratch / f"{network}.onnx"
        ours = self.path(network, "flawsight")
        if network not in FITTED:
            self._borrow(network, onnx)
        workers: dict[str, Worker] = {}
        try:
            rows = 0
            for product in self.pythons:
                own = self.path(network, product).with_suffix(".npy")
                bank = own if own.exists() else ours.with_suffix(".npy")
                try:
                    workers[product] = Worker(product, self.pythons[product], self.scratch)
                    given = {"model": str(ours), "onnx": str(onnx), "bank": str(bank), "rows": rows, "test": str(self.test)}
                    message = workers[product].ask("prepare", network=network, **given)
                    rows = rows or message["rows"]
                    assert message["rows"] == rows
                except Refused as error:
                    self.refused(product, network, error)
                    if product in workers:
                        workers.pop(product).close()
            middles, means = self._turns(network, workers)
            peaks = {product: worker.peak_mib for product, worker in workers.items()}
        finally:
            for worker in workers.values():
                worker.close()
        lines = []
        for name in means:
            product, way = name.split(": ")
            single = "" if way == "stream" else f"{1000 * statistics.median(middles[name]):.3g}"
            lines.append(
                (
                    f"{product}, {STREAMS.get(way, way)}",
                    single,
                    single and times_ours(middles, name, "flawsight: predict"),
                    f"{1 / statistics.median(means[name]):.3g}",
                    times_ours(means, name, "flawsight: stream"),
                    f"{peaks[product]:.0f}",
                )
            )
        heads = (
            "product, way",
            "one picture, ms",
            "times flawsight's",
            "all, pictures/s",
            "flawsight's is this many times",
            "peak memory, MiB",
        )
        return f"{rows:,} rows in each bank.\n\n{timing.table(heads, lines)}"

    def _borrow(self, network: str, onnx: Path) -> None:
        """The exporter's network as an ONNX file, and flawsight fitted with it on a few pictures. Raises Refused."""
        few = self.scratch / "few"
        few.mkdir(exist_ok=True)
        for path in sorted(self.good.iterdir())[:FEW]:
            shutil.copy(path, few)
        if EXPORTER not in self.pythons:
            raise Refused(f"the network is handed over by {EXPORTER}, which does not take part")
        say(f"handing {network} over")
        with self.worker(EXPORTER) as worker:
            worker.ask("export", network=network, out=str(onnx))
        with self.worker("flawsight") as worker:
            worker.ask("fit", network=network, good=str(few), out=str(self.path(network, "flawsight")), onnx=str(onnx))

    def _turns(self, network: str, workers: dict[str, Worker]) -> tuple[timing.Seconds, timing.Seconds]:
        """Median and mean seconds a picture in each round, by product and way."""
        pictures = [str(path) for path in sorted(self.test.iterdir())]
        middles: timing.Seconds = {}
        means: timing.Seconds = {}
        for number in range(-1, self.rounds):  # round -1 is not counted
            for product in list(workers):
                for way in WAYS[product]:
                    say(f"score {network}, {f'round {number + 1}' if number >= 0 else 'not counted'}: {product}, {way}")
                    few = number < 0 and way not in STREAMS
                    try:
                        times = workers[product].ask("score", way=way, pictures=pictures[:2] if few else pictures)["seconds"]
                    except Refused as error:
                        self.refused(product, f"{network}, score, {way}", error)
                        workers.pop(product).close()
                        break
                    if number >= 0:
                        middles.setdefault(f"{product}: {way}", []).append(statistics.median(times))
                        means.setdefault(f"{product}: {way}", []).append(statistics.mean(times))
        whole = [name for name, times in means.items() if len(times) == self.rounds]
        return {name: middles[name] for name in whole}, {name: means[name] for name in whole}

    def about(self) -> str:
        """The table of environments: versions, size, and time from a new process to the product imported."""
        message: dict[str, dict[str, Any]] = {}
        starts: timing.Seconds = {}
        for number in range(self.rounds + 1):  # the first is not counted: nothing is in the disk's cache
            for product in dict.fromkeys(name.partition("-")[0] for name in self.pythons):
                say(f"start, {f'round {number}' if number else 'not counted'}: {product}")
                with self.worker(product) as worker:
                    if number:
                        starts.setdefault(product, []).append(worker.start_seconds)
                    else:
                        message[product] = worker.ask("about")
        rows = [
            (
                f"{name} {message[name]['versions'][name]}",
                f"{message[name]['installed_mib']:.0f}",
                f"{statistics.median(times):.2f}",
                times_ours(starts, name),
                ", ".join(f"{key} {value}" for key, value in message[name]["versions"].items() if key != name),
            )
            for name, times in starts.items()
        ]
        return timing.table(("product", "installed, MiB", "start and import, s", "times flawsight's", "beside it"), rows)


def times_ours(seconds: timing.Seconds, name: str, ours: str = "flawsight") -> str:
    """The median ratio over rounds, and the lowest and highest."""
    if name == ours:
        return "1"
    each = [a / b for a, b in zip(seconds[name], seconds[ours], strict=True)]
    return f"{timing.ratio(seconds, name, ours):.3g} ({min(each):.3g}–{max(each):.3g})"


def processor_seconds() -> tuple[float, float]:
    """Seconds of processor time that the machine has spent, and that this process and its ended children have; NaN if not told."""
    own = os.times()
    stat = Path("/proc/stat")
    if not stat.exists():
        return float("nan"), sum(own[:4])
    user, nice, system, _idle, _wait, irq, soft, *steal = map(int, stat.read_text().splitlines()[0].split()[1:])
    return (user + nice + system + irq + soft + sum(steal[:1])) / os.sysconf("SC_CLK_TCK"), sum(own[:4])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fill(folder: Path, n: int, given: Path | None, split: str, size: int) -> int:
    """So many pictures in a folder: the first of those given, or drawn. The number there are."""
    folder.mkdir()
    if given:
        for path in sorted(path for path in given.iterdir() if path.is_file())[:n]:
            shutil.copy(path, folder)
        return len(list(folder.iterdir()))
    kinds = ("good", *demo.KINDS) if split == "test" else ("good",)

    def draw(i: int) -> None:
        image.write(folder / f"{i:03}.png", demo.draw(0, split, i, kinds[i % len(kinds)], size)[0])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(draw, range(n)))
    return n


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path, metavar="GOOD TEST", help="two folders of pictures; drawn if none")
    parser.add_argument("--good", type=int, default=64, help="pictures to learn from")
    parser.add_argument("--test", type=int, default=36, help="pictures to score")
    parser.add_argument("--size", type=int, default=1024, help="of the drawn pictures, on each side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="anomalib,pyimgano,anomavision", help="'' for flawsight alone")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--environments", type=Path, default=Path(sys.prefix).parent, help="folder of the peers' environments")
    chosen = parser.parse_args()
    if len(chosen.data) not in (0, 2):
        parser.error("name the folder of good pictures and that of test pictures, or neither")
    return chosen


def main() -> None:
    chosen = arguments()
    peers = [name for name in chosen.peers.split(",") if name]
    environments = chosen.environments.absolute()
    ours = ["flawsight", *(["flawsight-bf16"] if find_spec("openvino") else [])]
    pythons = dict.fromkeys(ours, Path(sys.executable)) | {name: environments / name / "bin" / "python" for name in peers}
    missing = [str(python) for python in pythons.values() if not python.exists()]
    if missing:
        sys.exit(f"There is no {', '.join(missing)}. `make bench-peers` sets the environments up.")
    with tempfile.TemporaryDirectory() as scratch:
        bench, before = Bench(pythons, Path(scratch), chosen.rounds), processor_seconds()
        say("pictures")
        good_folder, test_folder = chosen.data or (None, None)
        good = fill(bench.good, chosen.good, good_folder, "train", chosen.size)
        test = fill(bench.test, chosen.test, test_folder, "test", chosen.size)
        first = image.read(next(bench.good.iterdir()))
        sizes = f"{first.shape[1]}×{first.shape[0]}"
        print(f"{timing.machine()}\n\n`python benchmarks/{' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}`\n")
        print(f"{good} good pictures and {test} to score, {sizes} px; medians of {chosen.rounds} rounds.\n")
        for network in chosen.networks.split(","):
            print(f"## {NETWORKS[network]}\n")
            try:
                if network in FITTED:
                    print(bench.fit(network) + "\n", flush=True)
                print(bench.score(network) + "\n", flush=True)
            except Refused as error:
                print(f"Not done: {error}.\n", flush=True)
        print(f"## Environments\n\n{bench.about()}")
        (machine_before, own_before), (machine_after, own_after) = before, processor_seconds()
        others = (machine_after - machine_before) - (own_after - own_before)
        share = 100 * max(0.0, others) / (machine_after - machine_before)
        print(f"\nOther programs took {share:.0f} % of all processor time spent meanwhile.")
        if bench.refusals:
            print("\nCould not be done:\n\n" + "\n".join(f"- {text}" for text in bench.refusals))


if __name__ == "__main__":
    main()
