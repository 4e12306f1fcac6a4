"""Files that are either whole or not there: written beside their place, then moved into it in one step."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from flawsight.errors import DataError, FlawsightError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX, ENDING = ".flawsight-", ".part"  # of what is being written
SWEPT_EVERY_S = 60.0
ABANDONED_S = 86400.0  # without a change, where locks cannot tell that the writer is dead
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def atomic_write(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, wholly or not at all: a reader, or a crash, meets the old file or the new one.

    Raises UsageError where the folder is missing or may not be written, DataError where the disk is full or failing.
    """
    with atomic_file(path) as file:
        file.write(data)


def check_writable(path: Path) -> None:
    """Raise UsageError now, before work is done, if `path` could not be written later for want of a folder or of permission."""
    folder = _target(Path(path)).parent
    if not folder.is_dir():
        raise UsageError(f"{path}: an existing folder was needed; {folder} is none. Create it or write elsewhere.")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{path}: a folder that may be written was needed; {folder} is none. Allow it or write elsewhere.")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to stream into; it takes its place at `path` only when the block ends without an exception.

    Raises as `atomic_write`. What the block itself raises comes through unchanged, and the old file stays.
    """
    target = _target(Path(path))
    _sweep(target.parent, int(time.monotonic() // SWEPT_EVERY_S))
    part = target.with_name(f"{PREFIX}{secrets.token_hex(6)}{ENDING}")  # short: the target's own name may be as long as is allowed
    try:
        with _begun(part, path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl:  # under the lock, so that nobody takes it for abandoned; other systems move no open file
                _move(part, target, path)
        if not fcntl:
            _move(part, target, path)
    except BaseException as error:  # an interrupt too must not leave the part behind
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and error.errno in _FULL:
            raise _explained(path, error) from error
        raise


def _begun(part: Path, path: Path) -> BinaryIO:
    """The part, made, opened and locked for as long as it is open."""
    while True:
        try:
            file = part.open("xb")  # not tempfile: that gives mode 0600, and colleagues are to read what is written
        except OSError as error:
            raise _explained(path, error) from error
        if fcntl:
            with contextlib.suppress(OSError):  # a file system without locks, on which nothing is swept either
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        if not fcntl or os.fstat(file.fileno()).st_nlink:  # else it was swept before it was locked
            return file
        file.close()


@functools.lru_cache(maxsize=64)
def _sweep(folder: Path, period: int) -> None:
    """Remove parts whose writer died before it could; once a period, as a folder may be written to thousands of times."""
    with contextlib.suppress(OSError):
        for part in folder.glob(f"{PREFIX}*{ENDING}"):
            with contextlib.suppress(OSError):
                if fcntl:
                    with part.open("rb") as left:
                        fcntl.flock(left.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where the writer lives
                        part.unlink()
                elif time.time() - part.stat().st_mtime > ABANDONED_S:
                    part.unlink()


def _target(path: Path) -> Path:
    """Where to write: a link is followed, so that it stays a link; a folder or a device is refused."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UsageError(f"{path}: a file name was needed; this is a folder or a device. Name a file.")
    return target


def _move(part: Path, target: Path, path: Path) -> None:
    try:
        part.replace(target)
    except OSError as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: OSError) -> FlawsightError:
    why = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return DataError(f"{path}: room on a working disk was needed; {why}. Free some space or write elsewhere.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UsageError(f"{path}: an existing folder was needed; {path.parent} is none. Create it or write elsewhere.")
    return UsageError(f"{path}: a folder that may be written was needed; {path.parent}: {why}. Allow it or write elsewhere.")
