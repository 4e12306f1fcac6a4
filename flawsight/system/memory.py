"""Sizes of memory in words and numbers: what a user asks for, what this process holds, and what this machine has left for it."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

from flawsight.errors import UsageError

UNITS: dict[str, int] = {"": 1, **{f"{prefix}b": 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t"))}}
UNITS |= {f"{prefix}ib": 1024**power for power, prefix in enumerate(("k", "m", "g", "t"), 1)}
UNTOLD = 2 << 30  # taken to be free where the system does not tell
SHARE = 0.5  # of what is free, that a fit may take unless set otherwise


def parse(size: str | int) -> int:
    """Bytes of "1GB", "512MiB", "1.5 GB" or a number of bytes. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(size).strip().lower())
    if isinstance(size, bool) or found is None or found[2] not in UNITS or (n := round(float(found[1]) * UNITS[found[2]])) <= 0:
        raise UsageError(f"memory: a size such as 1GB, 512MiB or a number of bytes was needed; got '{size}'.")
    return n


def in_words(n: float) -> str:
    """1.23 GB, 456 MB: in steps of 1000, as `parse` reads it."""
    return f"{n / 1e9:.3g} GB" if n >= 0.9995e9 else f"{n / 1e6:.0f} MB"


def budget(asked: str | int | None) -> int:
    """Bytes this process may hold in all: as asked, or what it holds and half of what is free."""
    return parse(asked) if asked is not None else resident() + int(SHARE * available())


def resident() -> int:
    """Bytes of memory this process holds; where the system tells only the most it ever held, that."""
    return _of_this_process("VmRSS")


def peak() -> int:
    """The most bytes of memory this process has held so far; 0 where the system does not tell.

    The system's own count of it may begin with what the process held that started this one, so on Linux another is read.
    """
    return _of_this_process("VmHWM")


def give_back() -> None:
    """Let the system have back what was freed here and is kept for later, where the C library can (glibc)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def available(root: Path = Path("/")) -> int:
    """Bytes this process could still take without others being pushed out: what the machine has, or its container's limit leaves.

    root: of the file system in which the kernel tells.
    """
    line = _lines(root / "proc/meminfo").get("MemAvailable")
    if line is not None:
        free = 1024 * int(line.split()[0])
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
        free = os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    else:
        free = UNTOLD
    return max(0, min([free, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> list[int]:
    """What the limits of the control groups this process is in, and of those around them, leave of memory."""
    left = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        first = controllers == "memory"  # of the two versions of control groups
        limit, used = ("memory.limit_in_bytes", "memory.usage_in_bytes") if first else ("memory.max", "memory.current")
        base = root / "sys/fs/cgroup" / controllers
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            allowed, taken = _text(folder / limit).strip(), _text(folder / used).strip()
            if allowed.isdecimal() and taken.isdecimal():
                cache = _text(folder / "memory.stat").partition("inactive_file ")[2].split()[:1]
                left.append(int(allowed) - int(taken) + sum(map(int, cache)))  # files' pages give way
            if folder == base:
                break
    return left


def _of_this_process(name: str) -> int:
    held = _lines(Path("/proc/self/status")).get(name)
    if held is not None:
        return 1024 * int(held.split()[0])
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _lines(path: Path) -> dict[str, str]:
    """name → value of the lines "name: value" of a file; nothing where there is none."""
    parts = [line.partition(":") for line in _text(path).splitlines()]
    return {name: value.strip() for name, _, value in parts}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
