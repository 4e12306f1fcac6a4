"""The demo set: repeatable, complete, true to its masks, and never written over anything else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as nd

from flawsight import demo
from flawsight.demo import drawing
from flawsight.demo.plate import STROKES, Part, look, path_distance, render
from flawsight.errors import UnknownName, UsageError
from flawsight.images import image

SMALL = {"n_good": 2, "n_test_good": 1, "n_per_kind": 1, "size": 64}


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_picture_and_another_does_not():
    one, _ = demo.draw(3, "train", 5, size=96)
    assert one.shape == (96, 96, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, demo.draw(3, "train", 5, size=96)[0])
    for other in ((4, "train", 5), (3, "test", 5), (3, "train", 6)):
        assert np.abs(one.astype(int) - demo.draw(*other, size=96)[0]).mean() > 1


def test_drawing_leaves_the_global_random_state_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    demo.draw(0, "test", 0, "stain", size=64)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_good_pictures_have_an_empty_mask():
    assert not demo.draw(0, "test", 0, size=64)[1].any()


@pytest.mark.parametrize("kind", demo.KINDS)
@pytest.mark.parametrize("index", range(4))
def test_a_defect_changes_the_picture_inside_its_mask_and_nowhere_else(kind, index):
    good, _ = demo.draw(1, "test", index, size=256)
    bad, mask = demo.draw(1, "test", index, kind, size=256)
    assert mask.shape == (256, 256)
    assert mask.dtype == bool
    assert 10 < mask.sum() < 0.06 * mask.size
    change = np.abs(bad.astype(int) - good).max(axis=2)
    assert change[mask].max() > 20  # a person sees it
    near = nd.binary_dilation(mask, iterations=2)  # the lens spreads the defect's edge by a pixel or two
    assert change[~near].max(initial=0) <= 3
    assert change[mask].sum() > 0.85 * change.sum()


@pytest.mark.parametrize("kind", ["chip", "dent", "missing_hole", "scratch", "stain"])
def test_a_mask_is_no_larger_than_what_changed(kind):
    for index in range(3):
        good, _ = demo.draw(2, "test", index, size=256)
        bad, mask = demo.draw(2, "test", index, kind, size=256)
        changed = np.abs(bad.astype(int) - good).max(axis=2) > 1
        assert (nd.binary_closing(changed, iterations=6) & mask).sum() > 0.6 * mask.sum(), index


def test_defects_follow_the_plate_as_it_is_shifted_and_turned():
    shares = []
    for index in range(6):
        _, mask = demo.draw(0, "test", index, "missing_hole", size=128)
        good, _ = demo.draw(0, "test", index, size=128)
        shares.append((good[mask].mean(axis=1) < 60).mean())  # the dark of the hole that should be there
    assert min(shares) > 0.25


def test_a_picture_looks_alike_in_every_size():
    small, large = (demo.draw(0, "train", 0, size=size)[0].astype(float) for size in (128, 256))
    thinned = large.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    blurred = [nd.gaussian_filter(a, (4, 4, 0)) for a in (small, thinned)]
    assert np.corrcoef(blurred[0].ravel(), blurred[1].ravel())[0, 1] > 0.8


def test_every_character_can_be_engraved():
    view = look(np.random.default_rng(0), 64)
    blank = render(Part(text=()), view)
    glyph = Part().text[0]
    for char in STROKES:
        assert (render(Part(text=(type(glyph)(char, 90, 0, 60),)), view) != blank).any(), char


def test_distance_to_a_path_is_that_to_its_nearest_piece():
    x, y = np.meshgrid(np.arange(5, dtype=np.float32), np.arange(4, dtype=np.float32))
    path = np.array([[0, 0], [4, 0], [4, 0], [4, 3]], np.float32)
    np.testing.assert_allclose(path_distance(x, y, path), np.minimum(y, 4 - x))


@pytest.mark.parametrize(("split", "kind"), [("tset", "good"), ("test", "scrach")])
def test_unknown_names_are_refused_with_the_nearest(split, kind):
    with pytest.raises(UnknownName, match=r"Did you mean (test|scratch)"):
        demo.draw(0, split, 0, kind, size=64)


def test_the_layout_is_complete_and_names_are_paired(tmp_path):
    seen = []
    folder = demo.write(tmp_path, progress=lambda done, total: seen.append((done, total)), **SMALL)
    assert folder == tmp_path / "plate"
    good = {"train/good/000.png", "train/good/001.png", "test/good/000.png", "demo.json"}
    bad = {f"test/{kind}/000.png" for kind in demo.KINDS}
    masks = {f"ground_truth/{kind}/000_mask.png" for kind in demo.KINDS}
    assert set(_contents(folder)) == good | bad | masks
    assert seen == [(i, 9) for i in range(1, 10)]
    for name in masks:
        mask = image.read(folder / name)
        assert mask.shape == (64, 64, 3)
        assert set(np.unique(mask)) == {0, 255}


def test_what_is_written_is_what_is_drawn_and_does_not_depend_on_the_rest_of_the_set(tmp_path):
    few = _contents(demo.write(tmp_path / "few", **SMALL))
    many = _contents(demo.write(tmp_path / "many", **{**SMALL, "n_good": 3, "n_test_good": 2, "n_per_kind": 2}))
    assert all(many[name] == data for name, data in few.items() if name != "demo.json")
    np.testing.assert_array_equal(image.read(many["train/good/002.png"]), demo.draw(0, "train", 2, size=64)[0])
    pictures = [data for name, data in many.items() if name.endswith(".png") and "mask" not in name]
    assert len(set(pictures)) == len(pictures)


def test_the_same_set_again_is_left_as_it_is(tmp_path):
    folder = demo.write(tmp_path, **SMALL)
    before = (folder / "train/good/000.png").stat().st_mtime_ns
    assert demo.write(tmp_path, progress=lambda *_: pytest.fail("drawn again"), **SMALL) == folder
    assert (folder / "train/good/000.png").stat().st_mtime_ns == before


def test_a_set_with_pictures_lost_is_completed(tmp_path):
    folder = demo.write(tmp_path, **SMALL)
    before = _contents(folder)
    (folder / "test/good/000.png").unlink()
    assert _contents(demo.write(tmp_path, **SMALL)) == before


@pytest.mark.parametrize("marker", [None, "{}", "not JSON"])
def test_a_foreign_folder_is_refused_and_untouched(tmp_path, marker):
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate" / "mine.txt").write_text("mine")
    if marker is not None:
        (tmp_path / "plate" / "demo.json").write_text(marker)
    before = _contents(tmp_path)
    with pytest.raises(UsageError, match=r"plate must be empty .* Delete it or write elsewhere"):
        demo.write(tmp_path, **SMALL)
    assert _contents(tmp_path) == before


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "plate").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        demo.write(tmp_path, **SMALL)


def test_another_demo_set_is_refused(tmp_path):
    demo.write(tmp_path, **SMALL)
    with pytest.raises(UsageError, match="seed=0"):
        demo.write(tmp_path, seed=1, **SMALL)


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "plate").mkdir()
    assert (demo.write(tmp_path, **SMALL) / "demo.json").is_file()


def test_a_broken_off_set_is_written_again(tmp_path):
    whole = _contents(demo.write(tmp_path / "whole", **SMALL))

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.write(tmp_path, progress=stop, **{**SMALL, "n_good": 5})
    folder = tmp_path / "plate"
    assert (folder / drawing.UNFINISHED).is_file()
    assert not (folder / drawing.MARKER).exists()
    (folder / "train/good/000.png").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    held = _contents(demo.write(tmp_path, **SMALL))
    assert held.pop("notes.txt") == b"mine"
    assert held == whole


def test_a_marker_cut_short_does_not_stop_the_next_try(tmp_path):
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate" / drawing.UNFINISHED).write_text('{"seed": ')
    folder = demo.write(tmp_path, **SMALL)
    assert json.loads((folder / drawing.MARKER).read_text())["size"] == 64
    assert not (folder / drawing.UNFINISHED).exists()


@pytest.mark.parametrize("wrong", [{"size": 32}, {"n_good": -1}, {"seed": -1}])
def test_impossible_sets_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(UsageError, match=r"demo\.write: needs"):
        demo.write(tmp_path / "new", **{**SMALL, **wrong})
    assert not (tmp_path / "new").exists()
