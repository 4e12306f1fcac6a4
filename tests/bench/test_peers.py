"""The benchmark beside other libraries, without them: flawsight's part of it runs, and says what it did."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "peers.py"


def test_it_runs_without_the_peers() -> None:
    tiny = ["--good", "3", "--test", "2", "--size", "128", "--rounds", "1", "--peers", ""]
    done = subprocess.run([sys.executable, PROGRAM, *tiny], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "| flawsight | " in done.stdout
    assert "307 rows in each bank" in done.stdout
    assert "flawsight, predict_batch" in done.stdout
    assert "handed over by anomalib, which does not take part" in done.stdout
    refused = "no instructions for bfloat16" in done.stdout
    assert ("flawsight-bf16, predict_batch" in done.stdout) == (find_spec("openvino") is not None and not refused)
    assert ("Could not be done" in done.stdout) == refused
