"""Masks found wherever people put them, and never judged as pictures; what is left unused is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flawsight.datasets import DataSet, open_dataset
from flawsight.datasets.base import scored_samples
from flawsight.errors import DataError
from flawsight.fitting import good_pictures, unused
from flawsight.images import image, maskfiles
from flawsight.types import Outlines, Pixels

NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
BLOB = np.zeros((16, 16), np.uint8)
BLOB[4:8, 4:8] = 255


def put(root: Path, *names: str, pixels: Pixels = NOISE) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.write(root / name, pixels)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four good pictures and two defective ones."""
    return put(tmp_path / "set", *(f"good/g{i}.png" for i in range(4)), "bad/0.png", "bad/1.png")


def masks(data: DataSet) -> dict[str, str | None]:
    return {
        one.name: one.mask.relative_to(data.root).as_posix() if isinstance(one.mask, Path) else None
        for one in data.test
        if one.label
    }


@pytest.mark.parametrize(
    "pattern",
    [
        "masks/bad/{}.png",
        "Masks/Bad/{}_mask.png",
        "GT/{}.png",
        "ground truth/{}_gt.png",
        "labels/mask_{}.png",
        "Annotations/bad_{}.png",
        "segmentation/{}.png.png",
        "bad_mask/{}.png",
        "BAD-Labels/{}.png",
        "mask_bad/{}.png",
        "bad/masks/{}.png",
        "bad/{}_mask.png",
        "bad/{}_label.png",
        "bad_bw/{}.png",
    ],
)
def test_masks_under_any_usual_name_are_paired_and_not_judged(pattern: str, root: Path) -> None:
    put(root, *(pattern.format(i) for i in range(2)), pixels=BLOB)
    data = open_dataset(root)
    assert masks(data) == {f"bad/{i}.png": pattern.format(i) for i in range(2)}
    assert not any("not" in note and "mask" in note for note in data.notes)
    assert {one.kind for one in open_dataset(root, use_masks=False).test} == {"good", "bad"}


def test_masks_in_the_test_folder_of_a_category_are_no_kind_of_defect(root: Path) -> None:
    put(root, "train/0.png", "test/good/0.png", "test/bad/0.png")
    put(root, "test/Bad_Mask/0.png", pixels=BLOB)
    assert masks(open_dataset(root, layout="mvtec")) == {"test/bad/0.png": "test/Bad_Mask/0.png"}


def test_a_kind_of_defect_that_is_called_after_labels_stays_one(root: Path) -> None:
    put(root, "torn_label/0.png", "torn_label/1.png")
    assert {one.kind for one in open_dataset(root).test} == {"good", "bad", "torn_label"}


def test_masks_that_are_those_of_nobody_are_told_of(root: Path) -> None:
    put(root, "solder_mask/x.png")
    data = open_dataset(root)
    assert {one.kind for one in data.test} == {"good", "bad"}
    assert "1 pictures in 'solder_mask' were taken for masks and belong to no picture: x.png." in data.notes


def test_a_flat_mask_that_may_be_of_two_pictures_is_refused(root: Path) -> None:
    put(root, "dent/0.png", "dent/1.png")
    put(root, "masks/0.png", "masks/1.png", pixels=BLOB)
    with pytest.raises(DataError, match="a mask of one picture was needed; by its name"):
        open_dataset(root)


def test_pictures_in_folders_of_folders_have_masks_laid_out_alike(root: Path) -> None:
    put(root, "good/lot0/a.png", "cut/lot0/7.png", "cut/lot1/7.png")
    put(root, "masks/cut/lot0/7.png", "masks/cut/lot1/7_mask.png", pixels=BLOB)
    data = open_dataset(root)
    assert "good/lot0/a.png" in [one.name for one in (*data.train, *data.test)]
    assert masks(data) == {
        "bad/0.png": None,
        "bad/1.png": None,
        "cut/lot0/7.png": "masks/cut/lot0/7.png",
        "cut/lot1/7.png": "masks/cut/lot1/7_mask.png",
    }


def test_a_fit_tells_what_it_leaves_unused(root: Path) -> None:
    put(root, "good/lot2/a.png", "good/lot2/b.png", "nas/c.png")
    put(root, "good/g0_mask.png", pixels=BLOB)
    (root / "good/far").symlink_to(root / "nas")
    (root / "good/x.photo").write_bytes((root / "good/g0.png").read_bytes())
    (root / "good/y.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    assert [one.name for one in good_pictures(root / "good")] == [f"g{i}.png" for i in range(4)]
    message = " ".join(unused(root / "good", below=False))
    for part in (
        '2 pictures in folders below were not learned from: lot2/ (2). group_by="folder"',
        "1 picture in linked folders was not learned from: far/ (1)",
        "1 picture was taken for masks by name and not learned from",
        "1 file ending in .photo was not learned from: they hold PNG pictures",
    ):
        assert part in message
    assert "lot2" not in " ".join(unused(root / "good", below=True))


def test_a_link_to_itself_is_counted_once(root: Path) -> None:
    (root / "good/again").symlink_to(root / "good")
    assert unused(root / "good", below=False) == []


def test_scoring_a_whole_folder_leaves_masks_out_and_says_so(root: Path) -> None:
    put(root, "ground_truth/bad/0.png", pixels=BLOB)
    found, notes = scored_samples([root])
    assert len(found) == 6
    assert notes == ["1 picture was taken for masks by name and not scored: ground_truth/bad/ (1)."]
    assert len(scored_samples([root / "ground_truth"])[0]) == 1  # asked for by name


def test_an_evaluation_tells_what_lies_aside(tmp_path: Path) -> None:
    root = put(tmp_path, "train/good/0.png", "train/bad/0.png", "test/good/0.png", "test/bad/0.png", "test/stray.png")
    assert open_dataset(root).notes == ["2 pictures were neither learned from nor judged: test/ (1), train/bad/ (1)."]


# Polygons

SQUARE = [[4, 4], [7, 4], [7, 7], [4, 7]]


def labelme(*shapes: dict[str, object]) -> str:
    return json.dumps({"shapes": shapes, "imageHeight": 16, "imageWidth": 16, "imagePath": "0.png"})


@pytest.mark.parametrize("place", ["bad/{}.json", "masks/bad/{}.json", "annotations/{}.json", "bad_labels/{}.json"])
@pytest.mark.parametrize("shape", [("polygon", SQUARE), ("rectangle", [[7, 7], [4, 4]]), ("rectangle", SQUARE)])
def test_polygons_of_labelme_are_masks(place: str, shape: tuple[str, list[list[int]]], root: Path) -> None:
    ground = {"label": "_background_", "shape_type": "polygon", "points": [[0, 0], [15, 0], [15, 15]]}
    for i in range(2):
        (root / place.format(i)).parent.mkdir(parents=True, exist_ok=True)
        content = labelme({"label": "bad", "shape_type": shape[0], "points": shape[1]}, ground)
        (root / place.format(i)).write_text(content, encoding="utf-8")
    for one in open_dataset(root).test:
        if one.label:
            assert isinstance(one.mask, Outlines)
            np.testing.assert_array_equal(maskfiles.read(one.mask), BLOB > 0)


def coco(**annotation: object) -> str:
    images = [{"id": i, "file_name": f"bad/{i}.png", "height": 16, "width": 16} for i in range(2)]
    return json.dumps({"images": images, "annotations": [{"image_id": i, **annotation} for i in range(2)], "categories": []})


@pytest.mark.parametrize("annotation", [{"segmentation": [[4, 4, 7, 4, 7, 7, 4, 7]]}, {"bbox": [4, 4, 3, 3]}])
@pytest.mark.parametrize("place", ["annotations.json", "annotations/instances.json", "bad/_annotations.coco.json"])
def test_polygons_and_boxes_of_coco_are_masks(place: str, annotation: dict[str, object], root: Path) -> None:
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).write_text(coco(**annotation), encoding="utf-8")
    found = [one.mask for one in open_dataset(root).test if one.label]
    assert len(found) == 2
    for mask in found:
        assert isinstance(mask, Outlines)
        np.testing.assert_array_equal(maskfiles.read(mask), BLOB > 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coco(segmentation={"counts": "x", "size": [16, 16]}), "run lengths"),
        (coco(segmentation=[[1, 2, 3]]), "came something else"),
        (labelme({"label": "x", "shape_type": "mask", "points": SQUARE}), "of the kind 'mask'"),
        (labelme({"label": "x", "shape_type": "polygon", "points": [[0, float("nan")]] * 3}), "a point that is nowhere"),
    ],
)
def test_shapes_that_cannot_be_read_are_named(content: str, message: str, root: Path) -> None:
    (root / "bad/0.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"0\.json.*{message}"):
        open_dataset(root)
    assert open_dataset(root, use_masks=False).test


# A list of labels


def listed(root: Path, content: str) -> Path:
    put(root, *(f"pictures/{i}.png" for i in range(6)))
    (root / "labels.csv").write_text(content, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "content",
    [
        "file,label\n0.png,ok\n1.png,OK\n2.png,good\n3.png,0\n4.png,scratch\n5.png,scratch\n",
        "\ufeffImage;Class\npictures/0.png;ok\n1.png;ok\n2.png;ok\n3.png;ok\n4.png;scratch\npictures\\5.png;scratch\n",
    ],
)
def test_a_list_tells_which_are_good(content: str, tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path, content))
    assert [one.name for one in data.train] == [f"pictures/{i}.png" for i in range(3)]
    assert [(one.name, one.label, one.kind) for one in data.test] == [
        ("pictures/3.png", 0, "good"),
        ("pictures/4.png", 1, "scratch"),
        ("pictures/5.png", 1, "scratch"),
    ]


def test_a_list_may_tell_the_split_and_pictures_it_omits_are_told_of(tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path, "path,target,split\n0.png,0,train\n1.png,0,test\n2.png,1,test\n"))
    assert ([one.name for one in data.train], [one.name for one in data.test]) == (
        ["pictures/0.png"],
        ["pictures/1.png", "pictures/2.png"],
    )
    assert data.notes == ["3 pictures were neither learned from nor judged: pictures/ (3)."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\n0.png,ok\nx.png,ng\n", r"1 of 2 pictures that it names are not there: x\.png"),
        ("file,label\n0.png,ng\n", "a picture labelled good, ok, normal or 0 was needed; came ng"),
        ("file,label\n0.png,ok\n0.png,ng\n", r"one label of 0\.png was needed; came ok and ng"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(listed(tmp_path, content))
