"""The layout of MVTec AD: parts, categories, and masks that are paired by name whatever is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from flawsight import demo
from flawsight.datasets import DataSet, open_dataset
from flawsight.errors import DataError, UnknownName

CATEGORY = (
    "train/good/000.png",
    "train/good/001.png",
    "test/good/000.png",
    "test/bent/000.png",
    "test/bent/001.png",
    "test/bent/002.png",
    "ground_truth/bent/000_mask.png",
    "ground_truth/bent/001_mask.png",
    "ground_truth/bent/002_mask.png",
)


def grow(root: Path, *names: str) -> Path:
    """Empty files of these names: a data set is read by its names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def masks(data: DataSet) -> dict[str, str | None]:
    """Defective picture → mask, by their names in the data set."""
    return {
        sample.name: sample.mask.relative_to(data.root).as_posix() if sample.mask else None for sample in data.test if sample.label
    }


def test_a_category(tmp_path):
    data = open_dataset(grow(tmp_path / "bolt", *CATEGORY))
    assert [(sample.name, sample.label, sample.kind) for sample in data.train] == [(name, 0, "good") for name in CATEGORY[:2]]
    assert [(sample.name, sample.label, sample.kind) for sample in data.test] == [
        *[(f"test/bent/00{i}.png", 1, "bent") for i in range(3)],
        ("test/good/000.png", 0, "good"),
    ]
    assert masks(data) == {f"test/bent/00{i}.png": f"ground_truth/bent/00{i}_mask.png" for i in range(3)}
    assert (data.title, data.root, data.notes) == ("bolt", tmp_path / "bolt", [])
    assert all(sample.path == data.root / sample.name for sample in (*data.train, *data.test))


@pytest.mark.parametrize("ending", ["jpg", "JPG", "jpeg", "bmp", "TIF", "webp"])
@pytest.mark.parametrize("mask", ["{}_mask.png", "{}.png", "{}.bmp", "{}_mask.PNG"])
def test_pictures_and_masks_may_have_any_ending(ending, mask, tmp_path):
    root = grow(tmp_path, *(name.replace(".png", f".{ending}") for name in CATEGORY if "truth" not in name))
    grow(root, *(f"ground_truth/bent/{mask.format(f'00{i}')}" for i in range(3)))
    assert masks(open_dataset(root)) == {
        f"test/bent/00{i}.{ending}": f"ground_truth/bent/{mask.format(f'00{i}')}" for i in range(3)
    }


def test_the_drawn_set_is_one(plate):
    data = open_dataset(plate)
    assert {sample.kind for sample in data.test} == {"good", *demo.KINDS}
    assert all(
        sample.mask is not None and sample.mask.parts[-2:] == (sample.kind, "000_mask.png") for sample in data.test if sample.label
    )
    assert data.notes == []


def test_a_mask_too_few_is_an_error_and_shifts_no_other(tmp_path):
    root = grow(tmp_path, *CATEGORY)
    (root / "ground_truth/bent/000_mask.png").unlink()
    with pytest.raises(
        DataError, match=r"1 of 3 'bent' pictures have no mask: test/bent/000\.png; looked in .*ground_truth.bent .*use_masks=False"
    ):
        open_dataset(root)
    assert masks(open_dataset(root, use_masks=False)) == {f"test/bent/00{i}.png": None for i in range(3)}


def test_of_many_masks_too_few_three_are_named(tmp_path):
    root = grow(tmp_path, *CATEGORY, *(f"test/bent/{i}.png" for i in range(5)))
    with pytest.raises(DataError, match=r"5 of 8 'bent' .*: test/bent/0\.png, test/bent/1\.png, test/bent/2\.png and 2 more;"):
        open_dataset(root)


def test_a_picture_too_few_shifts_no_mask(tmp_path):
    root = grow(tmp_path, *CATEGORY)
    (root / "test/bent/000.png").unlink()
    data = open_dataset(root)
    assert masks(data) == {f"test/bent/00{i}.png": f"ground_truth/bent/00{i}_mask.png" for i in (1, 2)}
    assert data.notes == ["1 masks of 'bent' belong to no picture: 000_mask.png."]


@pytest.mark.parametrize("how", ["none", "empty folder", "other names"])
def test_a_kind_without_any_masks_is_told_of(how, tmp_path):
    root = grow(tmp_path, *CATEGORY, "test/cut/000.png")
    if how != "none":
        (root / "ground_truth/cut").mkdir()
    if how == "other names":
        grow(root, "ground_truth/cut/other.png")
    data = open_dataset(root)
    assert masks(data)["test/cut/000.png"] is None
    assert masks(data)["test/bent/000.png"] == "ground_truth/bent/000_mask.png"
    assert data.notes[0] == "'cut' has no masks (1 pictures): pixel metrics leave its pictures out."
    assert data.notes[1:] == (["1 masks of 'cut' belong to no picture: other.png."] if how == "other names" else [])


def test_a_set_without_masks_at_all_needs_no_words(tmp_path):
    data = open_dataset(grow(tmp_path, *(name for name in CATEGORY if "truth" not in name)))
    assert set(masks(data).values()) == {None}
    assert data.notes == []


@pytest.mark.parametrize("second", ["000.png", "000_mask.bmp"])
def test_two_masks_for_one_picture_are_refused(second, tmp_path):
    root = grow(tmp_path, *CATEGORY, f"ground_truth/bent/{second}")
    with pytest.raises(DataError, match=r"bent: one mask a picture was needed; came 000\S+ and 000\S+\. Remove one of them\."):
        open_dataset(root)
    assert len(open_dataset(root, use_masks=False).test) == 4


def test_two_pictures_do_not_share_a_mask(tmp_path):
    with pytest.raises(DataError, match=r"1 of 4 'bent' pictures have no mask: test/bent/000\.png"):
        open_dataset(grow(tmp_path, *CATEGORY, "test/bent/000.jpg"))


def test_hidden_things_are_no_pictures_no_masks_and_no_kinds(tmp_path):
    root = grow(tmp_path, *CATEGORY, "train/good/._000.png", "train/good/Thumbs.db", "test/bent/.000.png", "test/.DS_Store")
    grow(root, "ground_truth/bent/._000_mask.png", "ground_truth/bent/.000.png", "test/.ipynb_checkpoints/000.png")
    grow(root, "test/__MACOSX/000.png", "test/bent/desktop.ini", "license.txt", "readme.txt")
    data = open_dataset(root)
    assert (len(data.train), len(data.test), data.notes) == (2, 4, [])
    assert None not in masks(data).values()


@pytest.mark.parametrize("good", ["ok", "OK", "normal", "Good"])
def test_good_test_pictures_by_another_name_are_good(good, tmp_path):
    data = open_dataset(grow(tmp_path, *CATEGORY, f"test/{good}/5.png"))
    found = next(sample for sample in data.test if sample.name == f"test/{good}/5.png")
    assert (found.label, found.kind, found.mask) == (0, "good", None)


def test_an_empty_kind_is_told_of(tmp_path):
    root = grow(tmp_path, *CATEGORY)
    (root / "test/cut").mkdir()
    assert open_dataset(root).notes == ["'cut' holds no pictures."]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("test/good/000.png", "ground_truth/bent/000_mask.png"), "the MVTec AD layout needs train/good; there is none"),
        (("train/good/000.png",), "the MVTec AD layout needs test; there is none"),
        (("train/good/000.png", "ground_truth/bent/000_mask.png"), "the MVTec AD layout needs test; there is none"),
        (("train/good/notes.txt", "test/good/000.png"), "no pictures in train/good"),
        (("train/good/000.png", "test/good/notes.txt"), "no pictures in test"),
        (("train/good/000.png", "test/000.png"), "no pictures in test"),
    ],
)
def test_what_is_missing_is_named(names, missing, tmp_path):
    with pytest.raises(DataError, match=rf"{missing}\. Check the path, or finish unpacking\."):
        open_dataset(grow(tmp_path, *names))


# Categories


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder of three categories and of things that are none."""
    for category in ("bolt", "nut", "Washer"):
        grow(tmp_path / category, *CATEGORY)
    return grow(tmp_path, "readme.txt", "docs/picture.png", ".cache/train/good/000.png")


def test_one_of_several_categories_is_chosen_by_name(three):
    data = open_dataset(three, "nut")
    assert (data.title, data.root) == ("nut", three / "nut")
    assert data == open_dataset(three / "nut") == open_dataset(three / "nut", "nut")
    assert data.train[0].name == "train/good/000.png"


def test_without_a_choice_the_categories_are_listed(three):
    with pytest.raises(DataError, match=r"holds 3 categories \(Washer, bolt, nut\)\. Name one as category\."):
        open_dataset(three)


@pytest.mark.parametrize(
    ("category", "hint"),
    [
        ("bollt", "Did you mean bolt"),
        ("washer", "Did you mean Washer"),
        ("NUT", "Did you mean nut"),
        ("qqq", "Known: Washer, bolt, nut"),
        ("docs", "Did|Known"),
        (".cache", "Did|Known"),
        ("../x", "Did|Known"),
        ("", "Known: Washer, bolt, nut"),
    ],
)
def test_an_unknown_category_is_refused_with_the_nearest(category, hint, three):
    with pytest.raises(UnknownName, match=rf"categories: there is no '{category}'\. ({hint})"):
        open_dataset(three, category)


def test_a_single_category_goes_by_its_own_name_only(three):
    with pytest.raises(UnknownName, match=r"there is no 'bolt'\. Known: nut"):
        open_dataset(three / "nut", "bolt")


def test_a_broken_category_is_named_when_it_is_chosen(three):
    (three / "nut/train/good").rename(three / "nut/train/fine")
    with pytest.raises(DataError, match=r"nut: the MVTec AD layout needs train/good"):
        open_dataset(three, "nut")
    assert open_dataset(three, "bolt").train


def test_linked_folders_are_followed_where_the_layout_names_them(tmp_path):
    grow(tmp_path / "disk", *CATEGORY)
    (tmp_path / "bolt").mkdir()
    for part in ("train", "test", "ground_truth"):
        (tmp_path / "bolt" / part).symlink_to(tmp_path / "disk" / part)
    (tmp_path / "linked").symlink_to(tmp_path / "bolt")
    for root in (tmp_path / "bolt", tmp_path / "linked"):
        data = open_dataset(root)
        assert data.root == root
        assert [sample.name for sample in data.train] == list(CATEGORY[:2])
        assert None not in masks(data).values()
