"""Work in threads side by side.

Several pieces of work at once, each on a core, are done sooner than one after another with every step of each divided between the
cores: a step's parts wait for each other, and much of it cannot be divided.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4  # results that may wait for each thread: enough to ride out an uneven disk, few enough to hold

_here = threading.local()


def beside_others() -> bool:
    """Whether what runs in this thread has others beside it that keep the other cores busy, so that it had better keep to one."""
    return getattr(_here, "beside_others", False)


def free_cores() -> int:
    """Among how many cores what runs in this thread may be shared."""
    return 1 if beside_others() else os.cpu_count() or 1


def ahead(work: Callable[[T], R], items: Iterable[T], workers: int | None = None, waiting: int = AHEAD) -> Iterator[R]:
    """`work` of each item, in order, done in threads a few items ahead. An exception comes out where its item would have.

    workers: threads, one for each core if None. waiting: results that may wait for each of them. Items are taken in the caller's
    thread. Of a slow source, like a camera, no result is kept back until more items come.
    """
    workers = workers or os.cpu_count() or 1
    queue: deque[Future[R]] = deque()

    def put_to_work(item: T) -> Future[R]:
        return pool.submit(_set_to, workers > 1 and any(not future.done() for future in queue), work, item)

    with ThreadPoolExecutor(workers, thread_name_prefix="flawsight-ahead") as pool:
        try:
            for future in _submitted(put_to_work, items):
                queue.append(future)
                if len(queue) > waiting * workers or queue[0].done():
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            for future in queue:
                future.cancel()


def each(work: Callable[[T], R], items: Iterable[T], workers: int | None = None) -> Iterator[R]:
    """`work` of each item, in order, all of them put to work at once. workers: threads, one for each core if None."""
    workers = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda item: _set_to(workers > 1, work, item), items)


def shared(work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """`work` of each part of one piece of work that takes milliseconds, in order: the first part here, the others in threads kept
    for that. There should be as many parts as `free_cores` tells.
    """
    others = [_kept().submit(_set_to, True, work, part) for part in parts[1:]]
    return [*map(work, parts[:1]), *(other.result() for other in others)]


@cache
def _kept() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="flawsight-shared")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.cache_clear)  # a fork of the process has none of its threads


def _set_to(beside: bool, work: Callable[[T], R], item: T) -> R:
    _here.beside_others = beside
    return work(item)


def _submitted(put_to_work: Callable[[T], Future[R]], items: Iterable[T]) -> Iterator[Future[R]]:
    """A Future for each item; where the items themselves break off with an exception, a last one that holds it."""
    try:
        for item in items:
            yield put_to_work(item)
    except Exception as error:
        broken: Future[R] = Future()
        broken.set_exception(error)
        yield broken
