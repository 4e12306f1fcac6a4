"""Model files changed at random and sealed again, so that their hashes fit: whatever is done with one must end in an error of ours.

    python benchmarks/mutated_models.py [--n 3000] [--seed 0]

Models of five methods are fitted on the demo's pictures. In each file one to three fields or arrays are changed: removed, or
of another type, another length, not finite, far too large. Then the file is loaded, described, judges two pictures, and is
saved. What is raised must be one of flawsight's own errors, and a score that is no number must not pass. Printed: how many
files were refused at which step, and every foreign exception.
"""

from __future__ import annotations

import argparse
import collections
import copy
import math
import random
import tempfile
import traceback
from pathlib import Path
from typing import Any

import numpy as np

import flawsight as fs
from flawsight import demo
from flawsight.modelfile import bundle

METHODS = {"patchcore": {}, "two_banks": {}, "spade": {}, "padim": {}, "mahalanobis_ad": {}}
ODD = (
    *(None, True, False, 0, 1, -1, 0.5, -0.5, 2, 7, 1e308, 10**30, -(10**30), math.inf, math.nan, "", "text", "nan", "\ud800"),
    *([], [1], ["a"], [[]], [None], {}, {"a": 1}, {"": None}),
)
DTYPES = ("float32", "float64", "float16", "int32", "int64", "uint8", "bool")

Manifest = dict[str, Any]
Arrays = dict[str, Any]


def mutate(manifest: Manifest, arrays: Arrays, rng: random.Random) -> tuple[Manifest, Arrays, str]:
    """A copy with one to three places changed, and in words what was."""
    manifest, arrays = copy.deepcopy(manifest), dict(arrays)
    changes = [_field(manifest, rng) if rng.random() < 0.6 else _array(arrays, rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    return manifest, arrays, "; ".join(changes)


def write(path: Path, manifest: Manifest, arrays: Arrays) -> None:
    """Write and seal it, NaN and infinity in the manifest too, which `bundle` itself would not write."""
    import json

    from safetensors.numpy import save

    members = {name: bundle._fingerprint(bundle._stored(array)) for name, array in arrays.items()}
    text = json.dumps({**manifest, "members": members}, sort_keys=True)
    sealed = json.dumps({"sha256": bundle._sha256(text.encode()), "manifest": text})
    path.write_bytes(save({name: bundle._stored(array) for name, array in sorted(arrays.items())}, {bundle.KEY: sealed}))


def tried(path: Path, pictures: list[Any]) -> str:
    """At which step the file is refused, "kept" where at none. Raises what no error of flawsight's is."""
    step = "load"
    try:
        model = fs.load(path)
        step = "info"
        model.info()
        step = "predict"
        for picture in pictures:
            found = model.predict(picture)
            if not math.isfinite(found.score) and not found.is_defective:
                raise AssertionError(f"a score of {found.score} passes")
        step = "save"
        model.save(path)
    except fs.FlawsightError:
        return step
    return "kept"


def models(folder: Path, names: list[str]) -> tuple[dict[str, tuple[Manifest, Arrays]], list[Path]]:
    """The parts of a fitted model of each method, and pictures to judge."""
    plate = demo.write(folder, n_good=6, n_test_good=1, n_per_kind=1, size=96)
    data, parts = fs.open_dataset(plate), {}
    for name in names:
        fs.fit(data.train, fs.Plan(method=name, size=64)).save(folder / "part.flaw")
        parts[name] = bundle.read(folder / "part.flaw")
    return parts, [data.test[0].path, data.test[-1].path]


def _field(manifest: Manifest, rng: random.Random) -> str:
    """Change one value somewhere in the manifest."""
    holder, key, path = _places(manifest, rng)
    kind = rng.choice(("odd", "odd", "remove", "add", "number"))
    if kind == "remove":
        del holder[key]
        return f"{path} removed"
    if kind == "add" and isinstance(holder, dict):
        holder["unknown"] = rng.choice(ODD)
        return f"{path}: 'unknown' added beside it"
    value = holder[key]
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = rng.choice((-value, value * 1000, value + 0.5, value / 1000, float(value), str(value)))
    else:
        holder[key] = rng.choice(ODD)
    return f"{path}: {value!r:.40} -> {holder[key]!r:.40}"


def _places(manifest: Manifest, rng: random.Random) -> tuple[Any, Any, str]:
    holder: Any = manifest
    path = []
    while True:
        keys = [
            key for key in (list(holder) if isinstance(holder, dict) else range(len(holder))) if key not in ("schema", "members")
        ]
        key = rng.choice(keys)
        path.append(str(key))
        inside = holder[key]
        if not isinstance(inside, dict | list) or not inside or rng.random() < 0.15:
            return holder, key, ".".join(path)
        holder = inside


def _array(arrays: Arrays, rng: random.Random) -> str:
    """Change one array, or remove it."""
    name = rng.choice([name for name in arrays if not name.startswith("backbone") or rng.random() < 0.2] or list(arrays))
    array = arrays[name]
    kind = rng.choice(("remove", "cut", "longer", "reshape", "type", "value", "value", "scale", "shuffle", "add", "flat"))
    if kind == "remove":
        del arrays[name]
    elif kind == "cut" and array.ndim:
        axis = rng.randrange(array.ndim)
        arrays[name] = np.take(array, range(rng.randrange(array.shape[axis] + 1) if array.shape[axis] else 0), axis)
    elif kind == "longer" and array.ndim:
        arrays[name] = np.concatenate([array, array[:1]])
    elif kind == "reshape":
        arrays[name] = array[None] if rng.random() < 0.5 else array.T
    elif kind == "type":
        arrays[name] = array.astype(rng.choice(DTYPES))
    elif kind == "scale":
        with np.errstate(all="ignore"):
            arrays[name] = (array * rng.choice((-1.0, 0.0, 1e-30, 1e30))).astype(array.dtype)
    elif kind == "shuffle":
        arrays[name] = np.flip(array).copy()
    elif kind == "add":
        arrays[f"{name}.more"] = array
    elif kind == "flat":
        arrays[name] = array.ravel()
    elif array.size:
        changed = array.copy()
        odd = (np.nan, np.inf, -np.inf, 3e38, -1, 0) if array.dtype.kind == "f" else (-1, 0, 2**31 - 1, 255, 1000)
        with np.errstate(all="ignore"):
            changed.flat[rng.randrange(array.size)] = np.array(rng.choice(odd)).astype(array.dtype)
        arrays[name] = changed
    return f"{name} {kind}"


def main() -> None:
    """Print a table of what became of each kind, and every foreign exception."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=3000, help="files in all")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng, outcomes, foreign = random.Random(asked.seed), collections.Counter[tuple[str, str]](), []
    with tempfile.TemporaryDirectory() as name:
        parts, pictures = models(Path(name), list(METHODS))
        for number in range(asked.n):
            method = list(parts)[number % len(parts)]
            manifest, arrays, change = mutate(*parts[method], rng)
            path = Path(name) / "mutated.flaw"
            write(path, manifest, arrays)
            try:
                outcome = tried(path, pictures)
            except Exception as error:  # what must not be
                outcome = "foreign"
                last = traceback.extract_tb(error.__traceback__)[-1]
                foreign.append(f"{method}: {change}: {error!r:.160} at {Path(last.filename).name}:{last.lineno}")
            outcomes[method, outcome] += 1
    steps = ("load", "info", "predict", "save", "kept", "foreign")
    print("| method | " + " | ".join(f"refused at {step}" if step in steps[:4] else step for step in steps) + " |")
    print("|---|" + "---:|" * len(steps))
    for method in parts:
        print(f"| {method} | " + " | ".join(str(outcomes[method, step]) for step in steps) + " |")
    print("\n".join(foreign))


if __name__ == "__main__":
    main()
