"""What is drawn for training is cut from the pictures, turned, shifted and mirrored as asked for."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.networks.augment import Pool, Variety  # noqa: E402
from flawsight.types import Float  # noqa: E402


def pictures(*sizes_hw: tuple[int, int]) -> list[Float]:
    """Of values that 8 bits hold exactly."""
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (3, *hw)) / 255).astype(np.float32) for hw in sizes_hw]


def drawn(given: list[Float], side: int, variety: Variety, n: int = 20, seed: int = 0) -> Float:
    found: Float = Pool(given, side, variety, "cpu").draw(np.random.default_rng(seed), n).numpy()
    assert found.shape == (n, 3, side, side)
    return found


def test_without_variety_whole_pictures_come_as_they_are() -> None:
    given = pictures((16, 16), (16, 16), (16, 16))
    found = drawn(given, 16, Variety())
    assert {min(range(3), key=lambda i: abs(given[i] - one).max()) for one in found} == {0, 1, 2}
    assert all(min(abs(picture - one).max() for picture in given) < 1e-6 for one in found)


def test_cuts_are_cut_anywhere_from_pictures_of_any_size() -> None:
    given = pictures((24, 40), (12, 12))
    places = set()
    for one in drawn(given, 20, Variety(), 200):
        exact = [
            (top, left)
            for top in range(5)
            for left in range(21)
            if np.allclose(given[0][:, top : top + 20, left : left + 20], one, atol=1e-6)
        ]
        places |= set(exact)
        assert exact or np.allclose(one[:, :12, :12], given[1], atol=1e-6)
    assert len(places) > 40


def test_flips_mirror_both_ways() -> None:
    (given,) = pictures((16, 16))
    ways = [given, given[:, ::-1], given[:, :, ::-1], given[:, ::-1, ::-1]]
    kinds = {min(range(4), key=lambda i: abs(ways[i] - one).max()) for one in drawn([given], 16, Variety(flips=True), 60)}
    assert kinds == {0, 1, 2, 3}


def test_turned_pictures_are_turned_about_their_middle() -> None:
    down, right = np.mgrid[:33, :33] - 16
    (disc,) = [np.repeat((np.hypot(down, right) < 10)[None], 3, 0).astype(np.float32)]
    found = drawn([disc], 33, Variety(angle=180.0))
    assert abs(found - disc).mean() < 0.02  # a disc looks the same from everywhere
    (bar,) = [np.repeat((abs(down) < 3)[None], 3, 0).astype(np.float32)]
    turned = drawn([bar], 33, Variety(angle=180.0))
    assert abs(turned - bar).mean() > 0.1
    np.testing.assert_allclose(turned[:, 0, 16, 16], 1, atol=1e-3)
    little = drawn([bar], 33, Variety(angle=1.0))
    assert abs(little - bar).mean() < 0.05


def test_a_quarter_turn_is_exact() -> None:
    from flawsight.networks.augment import _turned

    (given,) = pictures((16, 16))
    picture = torch.from_numpy(np.rint(given * 255).astype(np.uint8))
    found = _turned(picture, 16, (8.0, 8.0), np.pi / 2).numpy()
    assert min(abs(found - np.rot90(given, k, (1, 2))).max() for k in (1, 3)) < 1e-3


def test_shifted_pictures_are_moved_by_at_most_so_much() -> None:
    given = np.zeros((3, 64, 64), np.float32)
    given[:, 30:34, 30:34] = 1
    centres = [np.argwhere(one[0] > 0.5).mean(0) - 31.5 for one in drawn([given], 64, Variety(shift=0.125), 50)]
    assert 6 < np.abs(centres).max() <= 8.5
    assert np.std(centres) > 2


def test_the_seed_draws() -> None:
    variety = Variety(30.0, 0.1, True)
    given = pictures((32, 32), (40, 30))
    np.testing.assert_array_equal(drawn(given, 24, variety), drawn(given, 24, variety))
    assert not np.array_equal(drawn(given, 24, variety), drawn(given, 24, variety, seed=1))
