"""The benchmark of growth runs, on next to nothing, and draws what it measured."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_runs(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks/growth.py", "--pictures", "4,3", "--size", "96", "--svg", tmp_path / "x.svg"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[0] == ["pictures", "fit, s", "fit, CPU s", "peak memory, MiB", "model file, MB", "bank rows", "a picture, ms"]
    assert [row[0] for row in rows[2:4]] == ["3", "4"]
    assert all(float(cell) > 0 for row in rows[2:4] for cell in row)
    assert [int(row[5]) for row in rows[2:4]] == [43, 57]  # a tenth of 144 patches a picture
    assert rows[4] == ["", "3 → 4"]
    assert 0.9 < float(next(row[1] for row in rows if row[0] == "bank rows")) < 1.1
    svg = ET.parse(tmp_path / "x.svg").getroot()
    assert len(svg.findall("{*}g")) == 4
    assert "nan" not in (tmp_path / "x.svg").read_text("utf-8").split("aria-label")[1]
