"""What the package shows to the world, and what it does without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flawsight
import flawsight.errors

ROOT = Path(__file__).parents[1]
PUBLIC = [
    "fit",
    "Plan",
    "load",
    "Model",
    "Prediction",
    "Sample",
    "Report",
    "open_dataset",
    "evaluate",
    "evaluate_dataset",
    "FlawsightError",
    "UsageError",
    "UnknownName",
    "DataError",
    "PictureError",
    "ModelFileError",
    "MissingExtra",
    "LearningFailed",
    "NotFitted",
    "__version__",
]
HEAVY = {"PIL", "jinja2", "numpy", "onnxruntime", "openvino", "rich", "safetensors", "scipy", "torch", "typer"}

# Put first on the path, it stands where an import of any of these would be looked for.
WITHOUT_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Absent())
"""

FIT_SCORE_EVALUATE = """
import sys
import flawsight as fs

data = fs.open_dataset(sys.argv[1])
model = fs.fit(data.train, fs.Plan(size=64))
model.save(sys.argv[2])
prediction = fs.load(sys.argv[2]).predict(data.test[0].path)
report = fs.evaluate(model, data.test, "plates")
print(prediction.score, report.rows[0].score, len(report.rows))
"""


def python(*args: str | Path, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter. site: a folder with a sitecustomize.py to start with."""
    paths = [str(path) for path in (site, ROOT) if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}
    return subprocess.run([sys.executable, *args], capture_output=True, encoding="utf-8", env=environment, timeout=300, check=False)


def test_the_public_list_is_locked() -> None:
    assert flawsight.__all__ == PUBLIC
    errors = {name for name, value in vars(flawsight.errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert errors < set(PUBLIC)
    assert len(PUBLIC) - len(errors) <= 11


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(flawsight, name) is getattr(flawsight, name)
    assert getattr(flawsight, name).__doc__


def test_all_names_are_listed_before_any_is_used() -> None:
    found = python("-c", "import flawsight; print(*dir(flawsight))")
    assert set(PUBLIC) < set(found.stdout.split())


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"flawsight has no 'train'; it has fit, Plan"):
        _ = flawsight.train


def test_importing_it_imports_nothing_heavy() -> None:
    found = python("-c", "import sys, json, flawsight; print(json.dumps(sorted(sys.modules)))")
    modules = set(json.loads(found.stdout))
    assert "flawsight" in modules
    assert not modules & HEAVY
    assert {name for name in modules if name.startswith("flawsight.")} == {"flawsight._version"}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_the_first_to_be_used(name: str) -> None:
    found = python("-c", f"import flawsight; flawsight.{name}")
    assert (found.returncode, found.stderr) == (0, "")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where torch cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_TORCH, encoding="utf-8")
    refused = python("-c", "import torch", site=tmp_path)
    assert "torch is not to be imported" in refused.stderr
    return tmp_path


def test_the_library_works_without_torch(site: Path, plate: Path) -> None:
    found = python("-c", FIT_SCORE_EVALUATE, plate, site / "plate.flaw", site=site)
    assert (found.returncode, found.stderr) == (0, "")
    one, same, n = found.stdout.split()
    assert one == same
    assert int(n) == 10


def test_the_commands_work_without_torch(site: Path, plate: Path) -> None:
    model, out = site / "plate.flaw", site / "scores.json"
    fitted = python("-m", "flawsight", "fit", plate / "train" / "good", "-o", model, "--size", "64", site=site)
    assert (fitted.returncode, fitted.stderr.count("\n")) == (0, 2)  # what it will need, and no warning
    judged = python("-m", "flawsight", "evaluate", plate, "--model", model, "--json", out, site=site)
    assert (judged.returncode, judged.stderr) == (0, "")
    assert "image_auroc" in json.loads(out.read_text(encoding="utf-8"))["metrics"]
    scored = python("-m", "flawsight", "score", model, plate / "test" / "good", site=site)
    assert scored.returncode in (0, 3), scored.stderr
