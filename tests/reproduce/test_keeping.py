"""A network that remembers gives what the network gives, and asks it once."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flawsight.backbones import open_backbone
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.reproduce.keeping import KeptBackbone
from flawsight.types import Float


@pytest.fixture(scope="module")
def network() -> OnnxBackbone:
    return open_backbone("efficientnet_lite0", ("stage2", "stage5"))


@pytest.fixture
def keep() -> Iterator[Callable[..., KeptBackbone]]:
    """Makes ones that remember, and closes them afterwards."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **sizes: stack.enter_context(contextlib.closing(KeptBackbone(*args, **sizes)))


def images(n: int, side: int = 64) -> Float:
    return np.random.default_rng(n).normal(size=(n, 3, side, side)).astype(np.float32)


def size(network: OnnxBackbone, batch: Float) -> int:
    return sum(array.nbytes for array in network.features(batch))


def assert_same(found: list[Float], wanted: list[Float]) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_the_network_but_asked_once(network: OnnxBackbone, keep: Callable[..., KeptBackbone]) -> None:
    kept, batch = keep(network), images(3)
    for _ in range(2):
        assert_same(kept.features(batch), network.features(batch))
    assert_same(kept.features(batch[1:2]), network.features(batch[1:2]))
    assert kept.n_computed == 3
    assert (kept.levels, kept.runtime, kept.data, kept.origin) == (network.levels, network.runtime, network.data, network.origin)


def test_what_is_changed_afterwards_stays_as_it_was(network: OnnxBackbone, keep: Callable[..., KeptBackbone]) -> None:
    kept, batch = keep(network), images(1)
    for _ in range(3):
        maps = kept.features(batch)
        assert_same(maps, network.features(batch))
        for array in maps:
            array *= 2
    assert kept.n_computed == 1


def test_above_its_room_in_memory_it_keeps_in_a_file(network: OnnxBackbone, keep: Callable[..., KeptBackbone]) -> None:
    batch = images(4)
    one = size(network, batch[:1])
    kept = keep(network, in_memory=one + one // 2)
    for _ in range(2):
        assert_same(kept.features(batch), network.features(batch))
    assert kept.n_computed == 4
    assert len(kept._kept) == 1
    assert len(kept._filed) == 3


def test_above_its_room_on_disk_it_keeps_nothing_more(network: OnnxBackbone, keep: Callable[..., KeptBackbone]) -> None:
    batch = images(3)
    kept = keep(network, in_memory=0, on_disk=size(network, batch[:1]))
    for _ in range(2):
        assert_same(kept.features(batch), network.features(batch))
    assert kept.n_computed == 3 + 2


def test_pictures_of_the_same_bytes_but_another_shape_are_others(network: OnnxBackbone, keep: Callable[..., KeptBackbone]) -> None:
    kept = keep(network)
    wide, high = np.zeros((1, 3, 64, 128), np.float32), np.zeros((1, 3, 128, 64), np.float32)
    assert [array.shape for array in kept.features(wide)] == [array.shape for array in network.features(wide)]
    assert [array.shape for array in kept.features(high)] == [array.shape for array in network.features(high)]


def test_threads_may_share_it(network: OnnxBackbone, keep: Callable[..., KeptBackbone]) -> None:
    kept, batch = keep(network, in_memory=size(network, images(1)) * 2), images(6)
    wanted = [network.features(batch[i : i + 1]) for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: kept.features(batch[i % 6 : i % 6 + 1]), range(36)))
    for i, maps in enumerate(found):
        assert_same(maps, wanted[i % 6])


def test_on_a_full_disk_it_keeps_nothing_more(
    network: OnnxBackbone, keep: Callable[..., KeptBackbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, batch = keep(network, in_memory=0), images(3)
    kept.features(batch[:1])

    def full(maps: list[Float]) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(kept, "_write", full)
    for _ in range(2):
        assert_same(kept.features(batch), network.features(batch))
    assert kept.n_computed == 1 + 2 + 2
