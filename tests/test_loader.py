"""Pictures in order, decoded ahead: what the order, the bounds and the names are."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawsight import image, loader
from flawsight.errors import PictureError, UsageError
from flawsight.types import Pixels, Sample

PATIENCE_S = 20  # how long a test waits for a thread before it fails


def picture(high: int = 6, wide: int = 8) -> Pixels:
    return np.arange(high * wide * 3, dtype=np.uint8).reshape(high, wide, 3)


def wait(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S), "waited in vain for another thread"


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("flawsight-loader")]


@pytest.mark.parametrize("workers", [None, 1, 2, 7])
@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_results_come_in_order_and_none_is_lost(workers, n):
    assert list(loader.ahead(lambda x: x * x, range(n), workers)) == [x * x for x in range(n)]


def test_a_slow_item_does_not_lose_its_place():
    later_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            wait(later_is_done)
        if item == 3:
            later_is_done.set()
        return item

    assert list(loader.ahead(work, range(6), workers=2)) == list(range(6))


def test_work_is_done_in_threads_and_items_are_taken_in_the_callers():
    taken_in = []

    def items() -> Iterator[int]:
        for i in range(5):
            taken_in.append(threading.current_thread())
            yield i

    worked_in = set(loader.ahead(lambda _: threading.current_thread(), items(), workers=2))
    assert set(taken_in) == {threading.current_thread()}
    assert threading.current_thread() not in worked_in
    assert len(worked_in) <= 2


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exception_comes_where_its_item_would_have(workers):
    results = loader.ahead(lambda x: 1 // (x - 3), range(6), workers)
    assert [next(results) for _ in range(3)] == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not threads()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_source_that_breaks_off_costs_none_of_the_items_before(workers):
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the camera was unplugged")

    seen = []
    with pytest.raises(OSError, match="unplugged"):
        seen.extend(loader.ahead(lambda x: x, items(), workers))
    results = loader.ahead(lambda x: x, items(), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="unplugged"):
        next(results)


@pytest.mark.parametrize("workers", [1, 3])
def test_reading_ahead_is_bounded(workers):
    bound = loader.AHEAD * workers + 1
    taken, enough = itertools.count(), threading.Event()
    n_taken = 0

    def items() -> Iterator[int]:
        nonlocal n_taken
        for i in taken:
            n_taken = i + 1
            if n_taken == bound:
                enough.set()
            yield i

    def work(item: int) -> int:
        wait(enough)  # so nothing is done before all is taken that may be
        return item

    results = loader.ahead(work, items(), workers)
    assert n_taken == 0  # not even one, before the first result is asked for
    for n in range(20):
        assert next(results) == n
        assert n_taken <= n + bound
    results.close()


def test_a_slow_sources_results_are_not_kept_back():
    started = [threading.Event() for _ in range(12)]
    n_seen = 0
    behind = []

    def items() -> Iterator[int]:
        for i in range(12):
            if i:
                wait(started[i - 1])  # one worker: so the item before that one is done
            behind.append(i - n_seen)
            yield i

    def work(item: int) -> int:
        started[item].set()
        return item

    for _ in loader.ahead(work, items(), workers=1):
        n_seen += 1
    assert n_seen == 12
    assert max(behind) <= 2


def test_stopping_early_cancels_the_rest_and_ends_the_threads(monkeypatch):
    enough, go_on = threading.Event(), threading.Event()
    started = []
    shutdown = loader.ThreadPoolExecutor.shutdown

    def release_and_shut_down(pool: loader.ThreadPoolExecutor, *args: bool, **kwargs: bool) -> None:
        go_on.set()
        shutdown(pool, *args, **kwargs)

    def items() -> Iterator[int]:
        for i in range(1000):
            if i == 7:
                enough.set()
            yield i

    def work(item: int) -> int:
        started.append(item)
        wait(go_on if item else enough)
        return item

    results = loader.ahead(work, items(), workers=2)
    assert next(results) == 0  # at least five more are waiting, behind two that are in work
    assert threads()
    monkeypatch.setattr(loader.ThreadPoolExecutor, "shutdown", release_and_shut_down)
    results.close()
    assert not threads()
    assert len(started) <= 3


def test_an_exception_of_the_consumer_ends_the_threads():
    def consume() -> None:
        for item in loader.ahead(lambda x: x, range(1000), workers=2):
            if item == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not threads()


# Fingerprints


def test_the_same_pixels_have_the_same_fingerprint_whatever_the_file(tmp_path):
    pixels = picture()
    for ending, options in (
        ("png", {}),
        ("bmp", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("ppm", {}),
        ("webp", {"lossless": True}),
    ):
        Image.fromarray(pixels).save(tmp_path / f"a.{ending}", **options)
    prints = {loader.fingerprint(image.read(path)) for path in tmp_path.iterdir()}
    assert prints == {loader.fingerprint(pixels)}
    assert prints == {loader.fingerprint(np.asfortranarray(pixels))}


def test_a_grey_picture_has_the_fingerprint_of_the_same_in_three_channels():
    grey = picture()[:, :, 0]
    read = image.read(grey)
    assert image.is_grey(read)
    assert loader.fingerprint(read) == loader.fingerprint(np.repeat(grey[:, :, None], 3, 2))


def test_other_pixels_or_another_size_have_another_fingerprint():
    changed = picture()
    changed[-1, -1, -1] ^= 1
    others = [changed, picture().reshape(8, 6, 3), picture().reshape(4, 12, 3), picture()[:-1], picture()[..., ::-1]]
    prints = [loader.fingerprint(pixels) for pixels in (picture(), *others)]
    assert len(set(prints)) == len(prints)


# Names


def test_pictures_are_called_by_their_name_or_path_or_position(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert loader.named(opened, 3) == (tmp_path / "a.png").as_posix()
    assert loader.named(Sample(tmp_path / "a.png", "test/a.png"), 3) == "test/a.png"
    assert loader.named(Path("b") / "a.png", 3) == "b/a.png"
    assert loader.named("b//a.png", 3) == "b/a.png"
    for source in (b"", picture(), Image.fromarray(picture())):
        assert loader.named(source, 3) == "picture 3"


def test_a_mapped_file_is_called_by_its_path(tmp_path):
    mapped = np.memmap(tmp_path / "raw", np.uint8, "w+", shape=(4, 5))
    assert loader.named(mapped, 1) == (tmp_path / "raw").as_posix()


@pytest.mark.parametrize("raw", [b"caf\xe9.png", b"\xff\xfe", "Prüfung 検査.png".encode(), b"two\nlines.png"])
def test_a_name_can_be_written_to_any_file(raw):
    name = loader.named(os.fsdecode(raw), 1)
    assert json.loads(json.dumps(name, ensure_ascii=False).encode()) == name
    assert name == loader.named(Path(os.fsdecode(raw)), 1)


def test_names_that_are_text_are_kept():
    assert loader.named("Prüfung 検査/🔩.png", 1) == "Prüfung 検査/🔩.png"


def test_bytes_that_are_no_text_stay_apart_in_names():
    assert loader.named(os.fsdecode(b"\xe9.png"), 1) != loader.named(os.fsdecode(b"\xe8.png"), 1)


# Reading and inspecting


def test_every_kind_of_picture_is_read(tmp_path):
    path = tmp_path / "a.png"
    image.write(path, picture())
    for source in (path, str(path), path.read_bytes(), picture(), Image.fromarray(picture()), Sample(path, "a")):
        np.testing.assert_array_equal(loader.read(source, 1), picture())
        assert loader.inspect(source, 1) == loader.Inspection((6, 8), loader.fingerprint(picture()))


def test_a_bad_picture_is_named_as_its_sample_or_by_its_position(tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(b"")
    for source, name in ((path, path.as_posix()), (Sample(path, "test/bad.png"), "test/bad.png"), (b"", "picture 7")):
        with pytest.raises(PictureError) as caught:
            loader.read(source, 7)
        assert caught.value.name == name
        found = loader.inspect(source, 7)
        assert isinstance(found, PictureError)
        assert (found.name, found.reason) == (name, caught.value.reason)


def test_the_upright_size_is_inspected(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=tags)
    found = loader.inspect(tmp_path / "a.png", 1)
    assert isinstance(found, loader.Inspection)
    assert found.size_hw == (8, 6)


def test_inspecting_what_is_no_picture_at_all_is_a_wrong_call():
    with pytest.raises(UsageError, match="got NoneType"):
        loader.inspect(None, 1)
