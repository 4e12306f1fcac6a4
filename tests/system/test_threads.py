"""Work in threads: what the order, the bounds and the cores are."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flawsight.system.threads import AHEAD, ahead, beside_others, each, free_cores, shared

PATIENCE_S = 20  # how long a test waits for a thread before it fails


def wait(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S), "waited in vain for another thread"


def working() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("flawsight-ahead")]


@pytest.mark.parametrize("workers", [None, 1, 2, 7])
@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_results_come_in_order_and_none_is_lost(workers, n):
    assert list(ahead(lambda x: x * x, range(n), workers)) == [x * x for x in range(n)]


def test_a_slow_item_does_not_lose_its_place():
    later_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            wait(later_is_done)
        if item == 3:
            later_is_done.set()
        return item

    assert list(ahead(work, range(6), workers=2)) == list(range(6))


def test_work_is_done_in_threads_and_items_are_taken_in_the_callers():
    taken_in = []

    def items() -> Iterator[int]:
        for i in range(5):
            taken_in.append(threading.current_thread())
            yield i

    worked_in = set(ahead(lambda _: threading.current_thread(), items(), workers=2))
    assert set(taken_in) == {threading.current_thread()}
    assert threading.current_thread() not in worked_in
    assert len(worked_in) <= 2


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exception_comes_where_its_item_would_have(workers):
    results = ahead(lambda x: 1 // (x - 3), range(6), workers)
    assert [next(results) for _ in range(3)] == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not working()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_source_that_breaks_off_costs_none_of_the_items_before(workers):
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the camera was unplugged")

    seen = []
    with pytest.raises(OSError, match="unplugged"):
        seen.extend(ahead(lambda x: x, items(), workers))
    results = ahead(lambda x: x, items(), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="unplugged"):
        next(results)


@pytest.mark.parametrize("workers", [1, 3])
def test_reading_ahead_is_bounded(workers):
    bound = AHEAD * workers + 1
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

    results = ahead(work, items(), workers)
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

    for _ in ahead(work, items(), workers=1):
        n_seen += 1
    assert n_seen == 12
    assert max(behind) <= 2


def test_stopping_early_cancels_the_rest_and_ends_the_threads(monkeypatch):
    enough, go_on = threading.Event(), threading.Event()
    started = []
    shutdown = ThreadPoolExecutor.shutdown

    def release_and_shut_down(pool: ThreadPoolExecutor, *args: bool, **kwargs: bool) -> None:
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

    results = ahead(work, items(), workers=2)
    assert next(results) == 0  # at least five more are waiting, behind two that are in work
    assert working()
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", release_and_shut_down)
    results.close()
    assert not working()
    assert len(started) <= 3


def test_an_exception_of_the_consumer_ends_the_working():
    def consume() -> None:
        for item in ahead(lambda x: x, range(1000), workers=2):
            if item == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not working()


# Fingerprints


def test_work_knows_whether_others_are_beside_it() -> None:
    both = threading.Barrier(2)

    def work(item: int) -> bool:
        both.wait(PATIENCE_S)  # the next item is put to work while this one is under way
        return beside_others()

    assert list(ahead(work, range(2), workers=2)) == [False, True]
    assert list(each(lambda _: beside_others(), range(3), workers=2)) == [True] * 3
    assert not beside_others()


def test_a_picture_that_comes_alone_has_all_cores() -> None:
    done = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        wait(done)
        yield 1

    def work(item: int) -> bool:
        alone = not beside_others()
        threading.Timer(0.1, done.set).start()
        return alone

    assert list(ahead(work, items(), workers=2)) == [True, True]
    assert list(ahead(lambda _: beside_others(), range(9), workers=1)) == [False] * 9
    assert list(each(lambda _: beside_others(), range(9), workers=1)) == [False] * 9


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_parts_that_are_shared_come_back_in_order(n):
    assert shared(lambda x: x * x, range(n)) == [x * x for x in range(n)]


def test_the_first_part_is_done_here_and_another_beside_it():
    other_is_at_work = threading.Event()

    def work(part: int) -> tuple[threading.Thread, bool]:
        if part == 0:
            wait(other_is_at_work)
        other_is_at_work.set()
        return threading.current_thread(), beside_others()

    (here, alone), (there, _) = shared(work, [0, 1])
    assert (here, alone) == (threading.current_thread(), False)
    assert there != here


def test_beside_others_one_core_is_free(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert free_cores() == 6
    assert list(each(lambda _: free_cores(), range(4), workers=2)) == [1] * 4


@pytest.mark.parametrize("bad", [0, 1])
def test_an_exception_of_a_shared_part_is_the_callers(bad):
    with pytest.raises(ZeroDivisionError):
        shared(lambda part: 1 // (part - bad), [0, 1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_of_the_process_has_threads_of_its_own():
    shared(str, range(3))
    child = os.fork()
    if not child:
        os._exit(0 if shared(str, range(3)) == ["0", "1", "2"] else 1)
    for _ in range(PATIENCE_S * 100):
        if (ended := os.waitpid(child, os.WNOHANG))[0]:
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)
