"""Commands ended from outside: reported in a line whatever was going on, with nothing half-written and nothing left behind."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flawsight.cli import console
from flawsight.system import interrupts

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")

# Put first on the path: when a library is asked for, the signal comes, and the import makes of it what extensions make of it.
DURING_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["DURING"]:
            try:
                os.kill(os.getpid(), getattr(signal, os.environ["SIGNAL"]))
            except KeyboardInterrupt:
                if os.environ["BECOMES"] == "ImportError":
                    raise ImportError("numpy._core.multiarray failed to import") from None
                raise

sys.meta_path.insert(0, Interrupting())
"""


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    """The benchmark of the same name."""
    spec = importlib.util.spec_from_file_location("kills", ROOT / "benchmarks" / "kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("becomes", ["KeyboardInterrupt", "ImportError"])
@pytest.mark.parametrize("during", ["typer", "numpy", "safetensors", "onnxruntime"])
def test_an_interrupt_while_a_library_is_imported_is_told_as_one(during: str, becomes: str, tmp_path: Path) -> None:
    _interrupted(tmp_path, during, becomes, "SIGINT")


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_other_signals_are_told_alike(number: str, tmp_path: Path) -> None:
    _interrupted(tmp_path, "numpy", "KeyboardInterrupt", number)


def _interrupted(folder: Path, during: str, becomes: str, number: str) -> None:
    (folder / "sitecustomize.py").write_text(DURING_IMPORT, encoding="utf-8")
    (folder / "good").mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        **{"DURING": during, "BECOMES": becomes, "SIGNAL": number},
    }
    verb = ("info", str(folder / "model.flaw")) if during == "safetensors" else ("fit", str(folder / "good"))
    (folder / "model.flaw").write_bytes(b"x" * 100)
    command = [sys.executable, "-m", "flawsight", *verb]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=60, check=False)
    assert done.stderr == "interrupted: no file was left half-written\n"
    assert (done.returncode, done.stdout) == (128 + getattr(signal, number), "")


def test_an_interrupt_that_was_dropped_ends_the_work_at_its_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with console.meter() as progress:
        progress("working", 1, 3)
        monkeypatch.setattr(interrupts, "_received", [signal.SIGTERM])
        with pytest.raises(KeyboardInterrupt):
            progress("working", 2, 3)


def test_killed_or_terminated_at_random_moments(kills: ModuleType, tmp_path: Path) -> None:
    """A portion of the benchmark."""
    trial = kills.Trial(tmp_path)
    for number in (signal.SIGKILL, signal.SIGTERM):
        found = kills.broken_off(trial, number, 2, random.Random(1))
        assert found.pop("runs") == 2
        if number == signal.SIGKILL:
            found.pop("left a part")
        assert set(found.values()) == {0}
