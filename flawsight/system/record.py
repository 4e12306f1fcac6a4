"""What a report records of the run that made it: versions and memory."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from flawsight._version import __version__


def versions(runtime: str = "onnxruntime", with_torch: bool = False) -> dict[str, str]:
    """Versions of everything that can move a score. with_torch: whether it can, where it is at work in this process."""
    libraries = ["numpy", "scipy", "pillow", "kornia-rs", runtime.partition("-")[0]]
    libraries += ["torch"] if with_torch and "torch" in sys.modules else []
    found = {name: importlib.metadata.version(name) for name in libraries}
    return {"flawsight": __version__, "python": platform.python_version(), **found}


def forget_peak_rss() -> None:
    """Let the peak begin anew from what the process holds now, where the system can: on Linux."""
    import contextlib
    from pathlib import Path

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_rss_mb() -> float:
    """The most memory this process has held so far, in MiB; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
