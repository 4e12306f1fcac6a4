"""verify: counts beside the published ones, unreadable pictures, lost and misfit masks, missing categories."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight.datasets import DATASETS, mvtec, mvtec_ad2, open_dataset, visa
from flawsight.datasets.base import Layout
from flawsight.datasets.verify import total, verify
from flawsight.errors import DataError, UnknownName
from flawsight.images import image

COUNTS = {"bolt": {"train": 3, "test good": 2, "bent": 2, "cut": 1}, "nut": {"train": 3, "test good": 2, "bent": 2, "cut": 1}}


def draw(root: Path) -> Path:
    """A category as COUNTS says."""
    kinds = {"train/good": 3, "test/good": 2, "test/bent": 2, "test/cut": 1}
    for folder in (*kinds, "ground_truth/bent", "ground_truth/cut"):
        (root / folder).mkdir(parents=True)
    for folder, n in kinds.items():
        for i in range(n):
            image.write(root / folder / f"{i}.png", np.full((8, 9), 90, np.uint8))
            if folder.startswith("test/") and folder != "test/good":
                image.write(root / folder.replace("test", "ground_truth") / f"{i}_mask.png", np.eye(8, 9, dtype=np.uint8) * 255)
    return root


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, counts=COUNTS)


def publish(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Layout:
    """MVTec AD's layout with other figures published."""
    layout = dataclasses.replace(DATASETS["mvtec"], **changes)
    monkeypatch.setitem(DATASETS, "mvtec", layout)
    return layout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two categories, whole."""
    for name in COUNTS:
        draw(tmp_path / "set" / name)
    return tmp_path / "set"


def test_a_whole_set_has_no_problems(root: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found = verify(root, progress=lambda what, done, n: steps.append((what, done, n)))
    assert (found.problems, found.notes, found.layout, found.title) == ([], [], "mvtec", "MVTec AD")
    assert {one.name: one.counts for one in found.categories} == COUNTS == {one.name: one.published for one in found.categories}
    assert steps[-1] == ("checking nut", 8, 8)
    for one in (verify(root / "nut"), verify(str(root), category="nut"), verify(root, "nut", "mvtec")):
        assert [(category.name, category.counts) for category in one.categories] == [("nut", COUNTS["nut"])]
        assert one.problems == []


@pytest.mark.parametrize(
    ("gone", "problem"),
    [
        ("train/good/1.png", "nut: train: 2 pictures; 3 were published"),
        ("test/good/1.png", "nut: test good: 1 pictures; 2 were published"),
        ("test/bent/0.png", "nut: bent: 1 pictures; 2 were published"),
        ("test/cut/0.png", "nut: cut: 0 pictures; 1 were published"),
    ],
)
def test_a_picture_too_few_is_told(gone: str, problem: str, root: Path) -> None:
    (root / "nut" / gone).unlink()
    assert verify(root).problems == [problem]
    assert verify(root, "bolt").problems == []


def test_pictures_and_kinds_too_many_are_told(root: Path) -> None:
    shutil.copy(root / "nut/train/good/0.png", root / "nut/train/good/9.png")
    (root / "nut/test/odd").mkdir()
    shutil.copy(root / "nut/train/good/0.png", root / "nut/test/odd/9.png")
    assert verify(root).problems == [
        "nut: train: 4 pictures; 3 were published",
        "nut: odd: 1 pictures of a kind that was not published",
        "nut: 1 defective pictures have no mask: test/odd/9.png",
    ]


def test_pictures_and_masks_that_cannot_be_read_are_all_named(root: Path) -> None:
    (root / "bolt/train/good/0.png").write_bytes(b"")
    (root / "bolt/test/cut/0.png").write_text("no picture", encoding="utf-8")
    (root / "nut/ground_truth/bent/1_mask.png").write_bytes(b"")
    problems = verify(root).problems
    assert [problem.partition(": ")[0] for problem in problems] == ["bolt", "bolt", "nut"]
    for problem, message in zip(
        problems, ("train/good/0.png: the file is empty", "cut/0.png: is not a picture", "1_mask.png: the file"), strict=True
    ):
        assert message in problem


def test_a_folder_that_may_not_be_looked_into_is_a_problem(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = Path.iterdir

    def refuse(self: Path) -> object:
        if self == root / "nut/test":
            raise PermissionError(13, "Permission denied", str(self))
        return listing(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    (problem,) = verify(root).problems
    assert problem.startswith(f"nut: {root / 'nut/test'}: a folder that can be read was needed; permission denied")


def test_lost_masks_and_lost_pictures_are_both_told(root: Path) -> None:
    shutil.rmtree(root / "nut/ground_truth")
    (root / "nut/train/good/0.png").unlink()
    assert verify(root).problems == [
        "nut: train: 2 pictures; 3 were published",
        "nut: 3 defective pictures have no mask: test/bent/0.png, test/bent/1.png, test/cut/0.png",
    ]


def test_a_mask_of_another_size_is_told(root: Path) -> None:
    image.write(root / "nut/ground_truth/cut/0_mask.png", np.zeros((9, 8), np.uint8))
    (problem,) = verify(root).problems
    assert problem.endswith("ground_truth/cut/0_mask.png: the mask has 8×9 pixels, its picture 9×8")


def test_a_mask_that_shows_nothing_is_noted(root: Path) -> None:
    image.write(root / "nut/ground_truth/cut/0_mask.png", np.zeros((8, 9), np.uint8))
    found = verify(root)
    assert found.problems == []
    assert found.notes == ["nut: 1 of 3 masks show nothing, so no defect is measured in their pictures: test/cut/0.png."]


def test_a_lost_mask_is_told_and_all_the_rest_too(root: Path) -> None:
    (root / "nut/ground_truth/bent/0_mask.png").unlink()
    (root / "nut/train/good/0.png").write_bytes(b"")
    (root / "nut/train/good/1.png").unlink()
    first, second, third = verify(root).problems
    assert "1 of 2 'bent' pictures have no mask: test/bent/0.png" in first
    assert second == "nut: train: 2 pictures; 3 were published"
    assert "train/good/0.png: the file is empty" in third


def test_all_masks_lost_is_a_problem_of_a_published_set_and_none_of_ones_own(root: Path, tmp_path: Path) -> None:
    draw(tmp_path / "own")
    for category in (root / "nut", tmp_path / "own"):
        shutil.rmtree(category / "ground_truth")
    assert verify(root).problems == ["nut: 3 defective pictures have no mask: test/bent/0.png, test/bent/1.png, test/cut/0.png"]
    assert verify(tmp_path / "own").problems == []


def test_missing_categories_are_told_but_not_of_ones_own_set(root: Path) -> None:
    shutil.rmtree(root / "nut")
    found = verify(root)
    assert found.problems == ["missing categories: nut"]
    assert "mvtec.com" in found.where
    (root / "bolt").rename(root / "plate")
    found = verify(root)
    assert found.problems == []
    assert found.categories[0].published == {}


def test_a_category_that_cannot_be_read_at_all_is_a_problem(root: Path) -> None:
    shutil.rmtree(root / "nut/train/good")
    found = verify(root)
    (problem,) = found.problems
    assert problem.startswith(f"nut: {root / 'nut'}: the MVTec AD layout needs train/good")
    assert found.categories[1].counts == {}


def test_figures_that_are_not_the_publishers_own_are_noted_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, counts={"bolt": {}, "nut": {}}, about={"": {"train": 7, "test": 10}, "nut": {"pictures": 9, "good": 5}})
    found = verify(root)
    assert found.problems == []
    assert found.notes == [
        "nut: pictures: 8 pictures; 9 were published; that figure is not the publisher's own",
        "All categories, train: 6 pictures; 7 were published; that figure is not the publisher's own",
    ]
    shutil.rmtree(root / "bolt")
    assert not any("All categories" in note for note in verify(root).notes)


def test_a_set_without_categories_is_compared_whatever_its_folder_is_called(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, counts={"": {"good": 6, "defective": 3}}, about={"": {"train": 4}})
    found = verify(root / "nut")
    assert found.problems == ["nut: good: 5 pictures; 6 were published"]
    assert found.notes == ["nut: train: 3 pictures; 4 were published; that figure is not the publisher's own"]


def test_totals_are_those_of_the_parts() -> None:
    counts = {"train": 5, "test good": 2, "bent": 3, "cut": 4}
    assert {
        what: total(counts, what) for what in ("train", "test good", "test", "good", "defective", "pictures", "cut", "none")
    } == {
        "train": 5,
        "test good": 2,
        "test": 9,
        "good": 7,
        "defective": 7,
        "pictures": 14,
        "cut": 4,
        "none": 0,
    }


def test_wrong_folders_and_names_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"none: a folder was needed; there is none\. Check the path\."):
        verify(root / "none")
    with pytest.raises(UnknownName, match=r"categories: there is no 'nutt'\. Did you mean nut"):
        verify(root, "nutt")
    with pytest.raises(UnknownName, match="datasets: there is no 'mvtek'"):
        verify(root, layout="mvtek")
    (root / "empty").mkdir()
    (problem,) = verify(root / "empty").problems
    assert "no pictures of good parts" in problem
    (problem,) = verify(root / "empty", layout="visa").problems
    assert problem.endswith("the VisA layout needs train/good; there is none. Check the path, or finish unpacking.")


def test_the_published_table_of_mvtec_ad_adds_up() -> None:
    counts = mvtec.LAYOUT.counts
    assert len(counts) == 15
    totals = {what: sum(total(one, what) for one in counts.values()) for what in ("train", "test good", "defective", "pictures")}
    assert totals == {"train": 3629, "test good": 467, "defective": 1258, "pictures": 5354}
    assert sum(len(one) - 2 for one in counts.values()) == 73


def test_the_published_table_of_visa_adds_up() -> None:
    assert sum(one["good"] for one in visa.LAYOUT.counts.values()) == 9621
    assert sum(one["defective"] for one in visa.LAYOUT.counts.values()) == 1200


def test_the_table_of_mvtec_ad_2_adds_up() -> None:
    assert sum(sum(one.values()) for one in mvtec_ad2.LAYOUT.about.values()) + 302 + 2 * 2045 == 8004


def test_real_screws_are_as_published(screw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, counts=mvtec.LAYOUT.counts)
    found = verify(screw)
    assert (found.problems, found.notes) == ([], [])
    assert found.categories[0].published == found.categories[0].counts == mvtec.LAYOUT.counts["screw"]
    assert len(open_dataset(screw).test) == total(found.categories[0].counts, "test") == 160
