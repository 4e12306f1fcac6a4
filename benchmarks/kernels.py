"""How far results move from processor to processor: the same fit under other kernels, chosen by environment variables.

    python benchmarks/kernels.py [DATA] [--category NAME] [--train 40] [--test 20] [--size N]
    python benchmarks/kernels.py --methods differnet,student [--seeds 0,1,2]

Libraries choose their kernels by what the processor can do, and kernels round differently. Every line is a process of its own.

The first command compares scores of the default model with those of this machine's own kernels: of a model fitted here and judging
there, and of one fitted there too. DATA is a data set; without it plates are drawn. onnxruntime cannot be given other kernels;
OpenVINO and torch, whose convolutions add up in other orders, stand for another processor's. Differences are shares of the
threshold.

The second fits methods that learn by gradient as their tests do, on the drawn textures of tests/methods/test_contract.py, under the
three sets of kernels that `make test-kernels` runs under, and prints what those tests ask for.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timing

TESTS = Path(__file__).parents[1] / "tests" / "methods"
TORCH = "torch"  # no runtime of the library's own on a processor; here it stands for another one's convolutions
OTHER_BLAS = ("Haswell", "SkylakeX", "Zen", "Nehalem")
NO_AVX512 = "AVX512_SPR AVX512_ICL X86_V4"
NO_SIMD = f"{NO_AVX512} X86_V3"
KERNELS: dict[str, dict[str, str]] = {  # as in the Makefile
    "plain": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Zen"},
    "native": {},
}


@dataclass(frozen=True)
class Way:
    """A processor that is stood for. one_core: what the process may use. runtime: of the network."""

    environment: dict[str, str] = field(default_factory=dict)
    one_core: bool = False
    runtime: str = "onnxruntime"


def ways() -> dict[str, Way]:
    made = {"this machine's own": Way(), "the same, again": Way(), "one core": Way(one_core=True)}
    for core in OTHER_BLAS:
        made[f"OpenBLAS {core}"] = Way({"OPENBLAS_CORETYPE": core})
    made["numpy without AVX-512"] = Way({"NPY_DISABLE_CPU_FEATURES": NO_AVX512})
    if importlib.util.find_spec("torch"):
        for name, kernels in KERNELS.items():
            made[f"torch's convolutions, {name}"] = Way(kernels, runtime=TORCH)
    if importlib.util.find_spec("openvino"):
        made["OpenVINO's convolutions"] = Way(runtime="openvino")
        least = {"NPY_DISABLE_CPU_FEATURES": NO_SIMD, "OPENBLAS_CORETYPE": "Nehalem"}
        made["OpenVINO's, OpenBLAS Nehalem, numpy without AVX2"] = Way(least, runtime="openvino")
    return made


def run(arguments: list[str], way: Way) -> Any:
    """What this file prints as JSON in a process under other kernels."""
    environment = {**os.environ, **way.environment}
    command = [sys.executable, __file__, *arguments, *(["--one-core"] if way.one_core else [])]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return json.loads(done.stdout)


def by_torch(data: bytes, levels: list[str]) -> Any:
    """The network as the training of CAVGA-R_w begins with it."""
    import torch

    from flawsight.backbones.gpu import Trunk

    network = Trunk(data, levels, "cpu")

    def run(images: Any) -> list[Any]:
        with torch.inference_mode():
            return [level.numpy() for level in network(torch.from_numpy(images))]

    return run


def judged(data: Path, category: str | None, n_train: int, n_test: int, size: int | None, runtime: str, base: Path) -> Any:
    """Scores of the test pictures by a model fitted here, and by the one at `base`, which is made if it is not there."""
    from flawsight.backbones.onnx import RUNTIMES
    from flawsight.datasets import open_dataset
    from flawsight.fitting import Plan, fit
    from flawsight.model import load

    if runtime == TORCH:
        RUNTIMES[TORCH] = by_torch
    dataset = open_dataset(data, category)
    train, test = (some[:: max(1, len(some) // n)][:n] for some, n in ((dataset.train, n_train), (dataset.test, n_test)))
    model = fit(train, Plan(runtime=runtime) if size is None else Plan(runtime=runtime, size=size))
    if not base.exists():
        model.save(base)
    found: dict[str, Any] = {}
    for name, one in (("moved", load(base, runtime)), ("fitted", model)):
        found[name] = {"threshold": one.threshold.value, "scores": [each.score for each in one.predict_batch(test)]}
    return found


def apart(one: Any, other: Any) -> tuple[str, ...]:
    """Largest and median difference of scores and that of the threshold, in % of the other's threshold, and verdicts changed."""
    (scores, others), (cut, known) = ([np.array(x["scores"]) for x in (one, other)], [x["threshold"] for x in (one, other)])
    moved = 100 * np.abs(scores - others) / known
    changed = int(((scores > cut) != (others > known)).sum())
    return (*(f"{x:.2g}" for x in (moved.max(), np.median(moved), 100 * abs(cut - known) / known)), f"{changed} of {len(scores)}")


def compare(chosen: argparse.Namespace) -> None:
    """Print the table of the default model."""
    with tempfile.TemporaryDirectory() as folder:
        data = chosen.data
        if data is None:
            from flawsight import demo

            data = demo.write(Path(folder))
        arguments = [str(data), "--train", str(chosen.train), "--test", str(chosen.test), "--base", f"{folder}/base.flaw"]
        arguments += ["--category", chosen.category] if chosen.category else []
        arguments += ["--size", str(chosen.size)] if chosen.size else []
        found = {name: run([*arguments, "--runtime", way.runtime], way) for name, way in list(ways().items())[: chosen.ways]}
    base = found["this machine's own"]
    rows = []
    for name, one in found.items():
        most, median, _, changed = apart(one["moved"], base["moved"])
        rows.append((name, most, median, changed, *apart(one["fitted"], base["fitted"])))
    print(f"{timing.machine('numpy', 'onnxruntime')}. {chosen.train} good pictures to learn from, {chosen.test} to judge.\n")
    heads = ("kernels", "fitted here: score, most %", "median %", "verdicts changed")
    print(timing.table((*heads, "fitted there too: score, most %", "median %", "threshold %", "verdicts changed"), rows))


def of_the_tests(name: str) -> Any:
    """One of the modules of the methods' tests."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trained(method: str, seed: int) -> Any:
    """What the contract's tests ask of a method that learns by gradient, fitted as they fit it."""
    import torch

    torch.set_num_threads(1)
    contract, shared = (of_the_tests(name) for name in ("test_contract", "conftest"))
    made = contract.unfitted(method, seed=seed)
    held_out = made.fit(contract.Drawn(method)(1), list(range(contract.N_GOOD)))
    clean = contract.Drawn(method)(2)
    before, after = (made.score(np.stack(some)) for some in (clean, [contract.pasted(one) for one in clean]))
    spread = float(np.ptp(before.image)) or 1.0
    maps = [] if after.map is None else list(after.map)
    return {
        "separation": float(after.image.min() - before.image.max()) / spread,
        "held_out": float(np.median(held_out[np.isfinite(held_out)]) / np.median(before.image)),
        "shares": [shared.share_within(heat, *contract.SQUARE) for heat in maps],
        "peaks": [bool(contract.peaks_in_square(heat)) for heat in maps],
    }


def sensitive(chosen: argparse.Namespace) -> None:
    """Print the table of the trained methods."""
    rows = []
    for method in chosen.methods.split(","):
        for name, kernels in KERNELS.items():
            found = [run(["--trained", method, "--seed", seed], Way(kernels)) for seed in chosen.seeds.split(",")]
            shares, peaks = ([x for one in found for x in one[what]] for what in ("shares", "peaks"))
            ratios = [one["held_out"] for one in found]
            rows.append(
                (
                    method,
                    name,
                    f"{min(one['separation'] for one in found):.2g}",
                    f"{min(ratios):.2f}–{max(ratios):.2f}",
                    f"{min(shares):.2f}" if shares else "–",
                    f"{sum(peaks)} of {len(peaks)}" if peaks else "–",
                )
            )
    print(f"{timing.machine('torch', 'onnxruntime')}. Seeds {chosen.seeds}; the lowest of all pictures and seeds.\n")
    heads = (
        "method",
        "kernels",
        "separation, ranges of good scores",
        "held-out beside unseen",
        "share of the map's top in the square",
    )
    print(timing.table((*heads, "peaks in the square"), rows))


def which() -> str:
    """The kernels that numpy and torch take in this process."""
    import torch
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    blas = {one["architecture"] for one in threadpool_info() if one.get("internal_api") == "openblas"}
    asked = {name: value for name, value in os.environ.items() if name in KERNELS["plain"]}
    said = ", ".join(f"{name}={value}" for name, value in asked.items()) or "none asked for"
    return f"Kernels: {said}. torch: {torch.backends.cpu.get_cpu_capability()}; OpenBLAS: {', '.join(sorted(blas))}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--category")
    parser.add_argument("--train", type=int, default=40)
    parser.add_argument("--test", type=int, default=20)
    parser.add_argument("--size", type=int)
    parser.add_argument("--ways", type=int, help="only so many lines")
    parser.add_argument("--methods", help="compare these, comma-separated, as their tests do")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--which", action="store_true", help="say which kernels this process takes, and no more")
    for name in ("--runtime", "--base", "--trained", "--seed"):
        parser.add_argument(name, help=argparse.SUPPRESS)  # what a process of a line gets
    parser.add_argument("--one-core", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.cpu_count = lambda: 1
    if chosen.which:
        print(which())
    elif chosen.trained:
        print(json.dumps(trained(chosen.trained, int(chosen.seed))))
    elif chosen.runtime:
        size, base = chosen.size, Path(chosen.base)
        print(json.dumps(judged(chosen.data, chosen.category, chosen.train, chosen.test, size, chosen.runtime, base)))
    elif chosen.methods:
        sensitive(chosen)
    else:
        compare(chosen)


if __name__ == "__main__":
    main()
