"""Sizes in words, and what is free: read from files of a made-up system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flawsight.errors import UsageError
from flawsight.system import memory


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("1GB", 10**9),
        ("512MiB", 512 << 20),
        ("1.5 GB", 1_500_000_000),
        (" 2 gb ", 2 * 10**9),
        ("1TiB", 1 << 40),
        ("100kb", 100_000),
        ("4096", 4096),
        ("4096 B", 4096),
        (4096, 4096),
    ],
)
def test_sizes_in_words(text: str | int, n: int) -> None:
    assert memory.parse(text) == n


@pytest.mark.parametrize(
    "text", ["", "GB", "1 G B", "-1GB", "0", "0.0MB", "1,5GB", "1GBs", "much", "nan", "inf", True, -5, 1.5e300]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="memory: a size such as 1GB, 512MiB or a number of bytes was needed; got"):
        memory.parse(text)


@pytest.mark.parametrize(
    ("n", "message"), [(999_600_000, "1 GB"), (999_400_000, "999 MB"), (1_234_000_000, "1.23 GB"), (0, "0 MB")]
)
def test_sizes_are_told_as_they_are_read(n: int, message: str) -> None:
    assert memory.in_words(n) == message
    if n:
        assert memory.parse(message) == pytest.approx(n, rel=1e-2)


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:  8000000 kB\nMemFree:  100 kB\nMemAvailable:  4000000 kB\n"}
FREE = 4_000_000 * 1024


def test_what_the_machine_has(tmp_path: Path) -> None:
    assert memory.available(written(tmp_path, MEMINFO)) == FREE


def test_what_a_container_leaves(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            **MEMINFO,
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.current": "7\n",
            "sys/fs/cgroup/a/memory.max": "1000000\n",
            "sys/fs/cgroup/a/memory.current": "600000\n",
            "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 50000\nfile 3\n",
        },
    )
    assert memory.available(root) == 450_000


def test_what_a_container_of_the_first_kind_leaves(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory/job/memory"
    files = {
        "proc/self/cgroup": "5:cpu:/x\n4:memory:/job\n0::/\n",
        f"{group}.limit_in_bytes": "5000",
        f"{group}.usage_in_bytes": "900",
    }
    assert memory.available(written(tmp_path, {**MEMINFO, **files})) == 4100


def test_a_container_without_a_limit_leaves_all(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory/memory"
    files = {"proc/self/cgroup": "4:memory:/\n", f"{group}.limit_in_bytes": f"{1 << 63}", f"{group}.usage_in_bytes": "900"}
    assert memory.available(written(tmp_path, {**MEMINFO, **files})) == FREE


def test_nothing_is_left_where_more_is_taken_than_allowed(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "5", "sys/fs/cgroup/a/memory.current": "9"}
    assert memory.available(written(tmp_path, {**MEMINFO, **files})) == 0


def test_where_the_kernel_tells_nothing_there_is_something(tmp_path: Path) -> None:
    assert memory.available(tmp_path) > 1 << 20


def test_what_this_process_holds() -> None:
    before = memory.resident()
    held = np.ones(8 << 20, np.float64)
    assert memory.resident() - before == pytest.approx(held.nbytes, rel=0.2)
    assert memory.peak() >= memory.resident() - (1 << 20)
    memory.give_back()


def test_the_budget_is_what_is_asked_for_or_a_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1000)
    monkeypatch.setattr(memory, "resident", lambda: 70)
    assert memory.budget("2KB") == 2000
    assert memory.budget(None) == 570
