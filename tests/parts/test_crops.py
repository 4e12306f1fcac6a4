"""Crops: how many each picture gives, how much of it they show, and that some lose their colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flawsight.errors import DataError
from flawsight.images import image
from flawsight.parts.crops import from_folder, from_pictures
from flawsight.types import Float


def slopes(n: int, high: int = 60, wide: int = 80) -> list[Float]:
    """Pictures whose red says how far down a pixel is, whose green how far right, and whose blue which picture it is."""
    down, right = np.mgrid[:high, :wide] / 100
    return [np.stack([down, right, np.full_like(down, number / 10)]).astype(np.float32) for number in range(n)]


def test_each_picture_gives_its_part() -> None:
    parts = list(from_pictures(slopes(3), 10, 8, (0.2, 0.5), np.random.default_rng(0)))
    assert sorted(len(part) for part in parts) == [3, 3, 4]
    assert all((part.shape[1:], part.dtype) == ((3, 8, 8), np.uint8) for part in parts)
    few = list(from_pictures(slopes(9), 4, 8, (0.2, 0.5), np.random.default_rng(0)))
    assert [len(part) for part in few] == [1] * 4


def test_they_show_the_share_asked_for_of_anywhere() -> None:
    (crops,) = from_pictures(slopes(1), 500, 16, (0.25, 0.5), np.random.default_rng(0))
    coloured = crops[(crops[:, 0] != crops[:, 1]).any((1, 2))].astype(float) / 2.55  # pixels of the picture
    assert 0.82 < len(coloured) / len(crops) < 0.97
    for axis, length in ((0, 60), (1, 80)):
        at = coloured[:, axis]
        ends = at.mean(2 - axis)[:, [0, -1]]  # the middles of the first and the last row, or column
        shown = (ends[:, 1] - ends[:, 0]) * 16 / 15
        assert 0.25 * 60 - 2 < shown.min() < 18
        assert 27 < shown.max() < 0.5 * 60 + 2
        assert ends[:, 0].min() < 3
        assert ends[:, 1].max() > length - 4


def test_a_tenth_is_grey() -> None:
    (crops,) = from_pictures(slopes(1), 1000, 8, (0.2, 0.5), np.random.default_rng(1))
    grey = (crops == crops[:, :1]).all((1, 2, 3))
    assert 0.07 < grey.mean() < 0.14


def test_a_folder_is_searched_with_all_in_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for place, value in (("a/b/one.png", 50), ("two.png", 200)):
        image.write(tmp_path / place, np.full((40, 40, 3), value, np.uint8))
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    crops = np.concatenate(list(from_folder(tmp_path, 6, 8, (0.2, 0.5), np.random.default_rng(0))))
    assert sorted(crops.mean((1, 2, 3)).round()) == [50] * 3 + [200] * 3


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder of pictures was needed to cut crops from; there are no pictures in it"):
        list(from_folder(tmp_path, 6, 8, (0.2, 0.5), np.random.default_rng(0)))
    with pytest.raises(DataError, match="there is none"):
        list(from_folder(tmp_path / "none", 6, 8, (0.2, 0.5), np.random.default_rng(0)))
