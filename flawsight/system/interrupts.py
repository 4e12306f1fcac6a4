"""Signals that ask a command to end: Ctrl-C, SIGTERM, and SIGHUP of a terminal that was closed.

Each raises KeyboardInterrupt and is remembered: a library that is being imported at that moment may make another error of it.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
MESSAGE = "interrupted: no file was left half-written"


class Interrupted(KeyboardInterrupt):
    """A KeyboardInterrupt by another name: CPython ends itself by SIGINT after one that left exec(), even though it was caught,
    and dataclasses call exec() while they are made.
    """


_received: list[int] = []
_reported: list[int] = []


def watch() -> None:
    """Raise KeyboardInterrupt for the first of these signals; a second one ends the process at once. Ignored ones stay so."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)


def unwatch() -> None:
    """Let these signals end the process at once, without a word: when its work is done."""
    for number in SIGNALS:
        if signal.getsignal(number) == _interrupt:
            signal.signal(number, signal.SIG_DFL)


def came() -> bool:
    """Whether one of them came since `watch`."""
    return bool(_received)


def check() -> None:
    """Raise it once more if one came: Python drops what is raised while it frees an object."""
    if _received:
        raise Interrupted


def status() -> int:
    """The exit status: 128 and the number of the signal that came, as shells have it."""
    return 128 + (_received or [signal.SIGINT])[0]


def report() -> None:
    """Say so on standard error, once for each signal."""
    if not _received or len(_reported) < len(_received):
        _reported.extend(_received)
        sys.stderr.write(f"{MESSAGE}\n")


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    unwatch()
    raise Interrupted
