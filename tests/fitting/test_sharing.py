"""How a given memory is shared, against its own bounds."""

from __future__ import annotations

import os

import pytest

from flawsight.errors import UsageError
from flawsight.fitting import sharing
from flawsight.fitting.sharing import Pace, Room
from flawsight.search.streaming import Need

MB = 10**6


def test_large_pictures_are_read_at_another_pace() -> None:
    small = sharing.pace(200 * MB, (100, 100), (96, 96))
    assert small.workers == os.cpu_count()
    large = sharing.pace(200 * MB, (4000, 6000), (320, 320))
    assert (large.workers, large.waiting) == (1, 1)
    assert large.bytes >= 4000 * 6000 * 6
    assert small == Pace(small.workers, small.waiting, small.bytes)


def test_reduced_pictures_are_kept_while_there_is_room() -> None:
    assert sharing.kept_bytes(-5) == sharing.kept_bytes(0) == 0
    assert sharing.kept_bytes(80 * MB) == 10 * MB
    assert sharing.kept_bytes(1 << 40) == sharing.KEPT_BYTES


def test_the_smallest_room_that_does_does() -> None:
    need = Need(100, 100, 0.1, 500)
    smallest = Room(0, 50 * MB, 100_000, need).smallest
    room = Room(smallest, 50 * MB, 100_000, need)
    room.check()
    assert room.peak <= smallest
    with pytest.raises(UsageError):
        Room(int(smallest / 1.06), 50 * MB, 100_000, need).check()
