"""A plain folder: what is taken for good, for a defect, for a mask; what is kept for the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from flawsight.datasets import DataSet, open_dataset
from flawsight.errors import DataError


def grow(root: Path, *names: str) -> Path:
    """Empty files of these names: a data set is read by its names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(data: DataSet) -> tuple[list[str], list[str]]:
    return [sample.name for sample in data.train], [sample.name for sample in data.test]


GOOD = tuple(f"good/{i}.png" for i in range(8))


def test_a_folder_of_pictures_is_all_good(tmp_path):
    data = open_dataset(grow(tmp_path / "bolts", "b.png", "a.JPG", "c.tif", "notes.txt"))
    assert names(data) == (["a.JPG", "b.png", "c.tif"], [])
    assert {(sample.label, sample.kind, sample.mask) for sample in data.train} == {(0, "good", None)}
    assert [sample.path for sample in data.train] == [tmp_path / "bolts" / name for name in ("a.JPG", "b.png", "c.tif")]
    assert (data.title, data.root, data.notes) == ("bolts", tmp_path / "bolts", [])


def test_good_and_defective_without_masks(tmp_path):
    data = open_dataset(grow(tmp_path, *GOOD, "scratch/1.png", "scratch/0.png", "dent/x.png"))
    train, test = names(data)
    assert train == [f"good/{i}.png" for i in (0, 1, 2, 4, 5, 6)]
    assert test == ["good/3.png", "good/7.png", "dent/x.png", "scratch/0.png", "scratch/1.png"]
    assert [(sample.label, sample.kind) for sample in data.test] == [
        *[(0, "good")] * 2,
        (1, "dent"),
        *[(1, "scratch")] * 2,
    ]
    assert all(sample.mask is None for sample in data.test)
    assert data.notes == ["Every 4th good picture was kept for the test; the model learned from the others."]


def test_the_split_depends_on_names_alone(tmp_path):
    one = open_dataset(grow(tmp_path / "one", *GOOD, "scratch/0.png"))
    other = open_dataset(grow(tmp_path / "other", "scratch/0.png", *reversed(GOOD)))
    assert names(one) == names(other) == names(open_dataset(tmp_path / "one"))


def test_few_good_pictures_are_all_learned_from(tmp_path):
    data = open_dataset(grow(tmp_path, *GOOD[:3], "scratch/0.png"))
    assert names(data) == (list(GOOD[:3]), ["scratch/0.png"])
    assert data.notes == ["With fewer than 4 good pictures, none was kept for the test."]


@pytest.mark.parametrize("good", ["good", "ok", "normal", "OK", "Good"])
@pytest.mark.parametrize("masks", ["masks", "mask", "ground_truth", "Masks"])
def test_the_names_of_the_folders(good, masks, tmp_path):
    root = grow(tmp_path, *(f"{good}/{i}.png" for i in range(4)), "scratch/0.png", f"{masks}/scratch/0.png")
    data = open_dataset(root)
    assert [(sample.name, sample.label, sample.kind) for sample in data.train] == [(f"{good}/{i}.png", 0, "good") for i in range(3)]
    assert [(sample.name, sample.label, sample.mask) for sample in data.test] == [
        (f"{good}/3.png", 0, None),
        ("scratch/0.png", 1, root / masks / "scratch/0.png"),
    ]


@pytest.mark.parametrize(
    ("folders", "reason"),
    [
        (("good", "ok"), "one folder of good pictures was needed; came good and ok"),
        (("good", "Good"), "came Good and good"),
        (
            ("good", "masks", "ground_truth"),
            "one folder of masks was needed; came ground_truth and masks",
        ),
    ],
)
def test_two_folders_for_one_thing_are_refused(folders, reason, tmp_path):
    with pytest.raises(DataError, match=rf"{reason}\. Merge or rename them\."):
        open_dataset(grow(tmp_path, *(f"{folder}/scratch/0.png" for folder in folders), *(f"{folder}/0.png" for folder in folders)))


def test_masks_are_paired_by_name(tmp_path):
    root = grow(tmp_path, *GOOD, *(f"scratch/{i}.jpg" for i in range(3)), *(f"masks/scratch/{i}_mask.png" for i in (2, 0, 1)))
    masks = {sample.name: sample.mask for sample in open_dataset(root).test if sample.label}
    assert masks == {f"scratch/{i}.jpg": root / f"masks/scratch/{i}_mask.png" for i in range(3)}


def test_masks_need_not_be_there_for_every_kind(tmp_path):
    data = open_dataset(grow(tmp_path, *GOOD, "bent/0.png", "scratch/0.png", "masks/scratch/0.png"))
    assert {sample.kind: sample.mask is None for sample in data.test if sample.label} == {"bent": True, "scratch": False}
    assert "'bent' has no masks (1 pictures): pixel metrics leave its pictures out." in data.notes


def test_masks_are_not_taken_for_a_kind_of_defect_even_where_they_are_not_to_be_used(tmp_path):
    root = grow(tmp_path, *GOOD, "scratch/0.png", "scratch/1.png", "masks/0.png", "masks/scratch/0.png")
    data = open_dataset(root, use_masks=False)
    assert {sample.kind for sample in data.test} == {"good", "scratch"}
    assert all(sample.mask is None for sample in data.test)
    with pytest.raises(DataError, match="1 of 2 'scratch' pictures have no mask"):
        open_dataset(root)


def test_a_folder_without_pictures_is_told_of(tmp_path):
    root = grow(tmp_path, *GOOD, "scratch/0.png", "empty/notes.txt")
    data = open_dataset(root)
    assert {sample.kind for sample in data.test} == {"good", "scratch"}
    assert "'empty' holds no pictures." in data.notes


def test_hidden_things_are_no_pictures_and_no_kinds(tmp_path):
    plain = grow(tmp_path / "plain", *GOOD, "scratch/0.png")
    hidden = grow(tmp_path / "hidden", *GOOD, "scratch/0.png")
    grow(hidden, "good/._0.png", "good/.3.png", "good/Thumbs.db", ".ipynb_checkpoints/0.png", "__MACOSX/0.png", ".git/x.png")
    assert names(open_dataset(hidden)) == names(open_dataset(plain))
    assert open_dataset(hidden).notes == open_dataset(plain).notes


@pytest.mark.parametrize("content", [(), ("good/notes.txt",)])
def test_without_good_pictures_there_is_nothing_to_learn_from(content, tmp_path):
    with pytest.raises(DataError, match=r"no pictures of good parts; looked for pictures in it and in good/\. Check the path\."):
        open_dataset(grow(tmp_path, *content))


def test_without_good_pictures_those_that_are_there_are_told_of(tmp_path):
    with pytest.raises(DataError, match=r"no pictures of good parts.* 1 picture in folders below was not taken: scratch/ \(1\)\."):
        open_dataset(grow(tmp_path, "scratch/0.png"))
