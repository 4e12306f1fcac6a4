"""Files written whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flawsight.errors import DataError, UsageError
from flawsight.system import files
from flawsight.system.files import atomic_file, atomic_write


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def fail_halfway(path: Path, error: BaseException) -> None:
    with atomic_file(path) as file:
        file.write(b"half of the n")
        raise error


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "größe.bin"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["größe.bin"]


def test_streams(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "model") as file:
        for part in (b"head", b"tail"):
            file.write(part)
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model").read_bytes() == b"headtail"


@pytest.mark.parametrize("error", [ValueError("halfway"), KeyboardInterrupt(), FileNotFoundError(errno.ENOENT, "no", "other.png")])
def test_old_file_stays_when_the_writer_fails(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "model"
    atomic_write(path, b"old")
    with pytest.raises(type(error)):
        fail_halfway(path, error)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model"]


def test_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "report.html"
    atomic_write(path, b"old")
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match=r"report\.html: .*no space left on device\. Free some space"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["report.html"]


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"existing folder was needed; .*nowhere is none\. Create it"):
        atomic_write(tmp_path / "nowhere" / "report.html", b"")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(UsageError, match="existing folder was needed"):
        atomic_write(tmp_path / "plain" / "report.html", b"")


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is a folder"):
        atomic_write(tmp_path, b"")


@pytest.fixture
def fresh() -> Iterator[None]:
    """Nothing swept yet, as in a new process."""
    files._sweep.cache_clear()
    yield
    files._sweep.cache_clear()


KILLED = """
import os, sys
from pathlib import Path
from flawsight.system.files import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere parts are swept a day later")
@pytest.mark.usefixtures("fresh")
def test_the_next_write_sweeps_parts_of_dead_writers_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "model")]
    dead, alive = (subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2))
    for writer in (dead, alive):
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
    dead.kill()
    dead.communicate()
    (tmp_path / ".somebody.part").write_bytes(b"of another program")
    assert len(names(tmp_path)) == 3
    atomic_write(tmp_path / "other", b"new")
    parts = [name for name in names(tmp_path) if name.startswith(files.PREFIX)]
    assert len(parts) == 1
    alive.communicate(timeout=60)
    assert alive.returncode == 0
    assert names(tmp_path) == [".somebody.part", "model", "other"]
    assert (tmp_path / "model").read_bytes() == b"half"


@pytest.mark.skipif(os.name != "posix", reason="elsewhere parts are swept a day later")
@pytest.mark.usefixtures("fresh")
def test_a_part_swept_before_it_was_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, swept = files.fcntl.flock, []

    def late(number: int, how: int) -> None:
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        lock(number, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    atomic_write(tmp_path / "model", b"whole")
    assert swept
    assert names(tmp_path) == ["model"]
    assert (tmp_path / "model").read_bytes() == b"whole"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no devices here")
def test_device_is_refused() -> None:
    with pytest.raises(UsageError, match="a device"):
        atomic_write(Path("/dev/null"), b"")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_unwritable_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "open", denied)  # a real read-only folder would not stop root, who runs tests in containers
    with pytest.raises(UsageError, match=r"may be written was needed; .*permission denied\. Allow it"):
        atomic_write(tmp_path / "report.html", b"")


def test_failing_move_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(self: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(UsageError, match="in use"):
        atomic_write(tmp_path / "report.html", b"")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="links and modes as on POSIX")
def test_links_stay_links_and_the_umask_rules(tmp_path: Path) -> None:
    (tmp_path / "v1").write_bytes(b"old")
    (tmp_path / "latest").symlink_to("v1")
    before = os.umask(0o022)
    try:
        atomic_write(tmp_path / "latest", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "v1").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "v1").stat().st_mode) == 0o644
