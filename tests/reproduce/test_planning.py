"""What a request comes to: cells with keys of their own, and what cannot run with the reason why."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight.datasets import open_dataset
from flawsight.errors import DataError, UnknownName, UsageError
from flawsight.fitting.presets import PRESETS
from flawsight.images import image
from flawsight.methods import METHODS
from flawsight.reproduce import keys, planning
from flawsight.reproduce.planning import Cell, Request, categories_of, make_work, why_no_reproduction

from .conftest import MakeRequest


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tables": ("S7",)}, "tables: there is no 'S7'"),
        ({"methods": ("padimm",)}, "Did you mean padim"),
        ({"recipe": "rows"}, "tables: presets: there is no 'rows'. Did you mean row"),
        ({"pixels_at": "cropped"}, "tables: eval: there is no 'cropped'. Did you mean crop"),
        ({"seeds": (-1,)}, "seeds must be whole numbers ≥ 0"),
        ({"jobs": 0}, "jobs and shots must be ≥ 1"),
        ({"shots": (0,)}, "jobs and shots must be ≥ 1"),
    ],
)
def test_a_request_that_is_wrong_is_refused(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        Request(tmp_path, **wrong)


def test_rows_are_those_of_the_tables_once_each(tmp_path: Path) -> None:
    assert [row.name for row in Request(tmp_path, ("s3",)).rows][:2] == ["ae_ssim", "student"]
    names = [row.name for row in Request(tmp_path).rows]
    assert len(names) == len(set(names)) == 21
    assert [row.name for row in Request(tmp_path, ("S4",), ("patchcore",)).rows] == [
        "patchcore_1_wr101_280_l23",
        "patchcore_1_wr101_280_l123",
    ]
    with pytest.raises(UsageError, match="none of spade has a row in S4"):
        _ = Request(tmp_path, ("S4",), ("spade",)).rows


def test_every_cell_is_a_row_a_category_and_a_seed(make_request: MakeRequest) -> None:
    work = make_work(make_request(seeds=(0, 3)))
    assert [(cell.row, cell.category, cell.seed, cell.shots) for cell in work.cells] == [
        ("patchcore_10", "plate", 0, None),
        ("patchcore_10", "plate", 3, None),
        ("patchcore_1", "plate", 0, None),
        ("patchcore_1", "plate", 3, None),
    ]
    assert len(work.groups) == 1
    assert [cell.plan.options["seed"] for cell in work.cells] == [0, 3, 0, 3]
    assert work.not_run == []
    assert {(cell.judging.pixels_at, cell.judging.mask_rule) for cell in work.cells} == {("crop", "trunc")}


def test_rows_that_cannot_run_say_why(make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "METHODS", {name: method for name, method in METHODS.items() if name != "ocsvm"})
    work = make_work(make_request(methods=("ocsvm", "patchcore_1", "ens224"), tables=("S1", "R")))
    assert sorted(cell.row for cell in work.cells) == ["ens224", "patchcore_1"]
    ensemble = next(cell for cell in work.cells if cell.row == "ens224")
    assert ensemble.plan.backbone_name == "efficientnet_lite0+efficientnet_lite2"
    assert ensemble.judging.ensemble_norm == "test"
    assert work.not_run == [("ocsvm", "", "there is no method 'ocsvm' in this flawsight")]


def test_a_category_whose_masks_are_missing_does_not_stop_the_others(
    plate: Path, tmp_path: Path, make_request: MakeRequest
) -> None:
    for name in ("bottle", "screw"):
        shutil.copytree(plate, tmp_path / name)
    kind = next((tmp_path / "bottle" / "ground_truth").iterdir())
    extra = next((tmp_path / "bottle" / "test" / kind.name).iterdir())
    shutil.copy(extra, extra.with_name("more.png"))
    work = make_work(make_request(data=tmp_path))
    assert {cell.category for cell in work.cells} == {"screw"}
    assert [(row, category) for row, category, _ in work.not_run] == [("", "bottle")]
    assert "have no mask" in work.not_run[0][2]


def test_categories_come_in_the_order_of_the_tables(plate: Path, tmp_path: Path, make_request: MakeRequest) -> None:
    for name in ("zipper", "own", "bottle", "carpet"):
        shutil.copytree(plate, tmp_path / name)
    assert categories_of(make_request(data=tmp_path)) == ["carpet", "bottle", "zipper", "own"]
    assert categories_of(make_request(data=tmp_path, categories=("own", "bottle"))) == ["bottle", "own"]
    assert categories_of(make_request(data=tmp_path / "own")) == ["own"]
    with pytest.raises(UnknownName, match=r"categories: there is no 'zip'\. Did you mean zipper"):
        categories_of(make_request(data=tmp_path, categories=("zip",)))
    with pytest.raises(DataError, match="a data set, or a folder of its categories, was needed"):
        categories_of(make_request(data=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "embedded"},
        {"backbone": "efficientnet_lite2"},
        {"seeds": (1,)},
        {"shots": (2,)},
        {"pixels_at": "native"},
    ],
)
def test_whatever_determines_a_result_is_in_its_key(make_request: MakeRequest, change: dict[str, Any]) -> None:
    before, after = (make_work(make_request(methods=("patchcore_1",), **part)).cells[0] for part in ({}, change))
    assert before.key != after.key
    assert before.file_name != after.file_name


def test_a_primed_network_is_another_one(make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_work(make_request(recipe="row"))
    assert [len(group.cells) for group in before.groups] == [2]  # rows that are alike in that share feature maps
    monkeypatch.setitem(PRESETS, "patchcore_1", dataclasses.replace(PRESETS["patchcore_1"], primed=False))
    after = make_work(make_request(recipe="row"))
    assert [len(group.cells) for group in after.groups] == [1, 1]
    assert [one.key == other.key for one, other in zip(before.cells, after.cells, strict=True)] == [True, False]


def test_the_key_knows_the_version_and_the_pictures_but_not_what_else_is_asked(
    make_request: MakeRequest, plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(plate, tmp_path / "plate"))

    def key() -> str:
        return make_work(make_request(data=folder, methods=("patchcore_1",))).cells[0].key

    first = key()
    assert first == make_work(make_request(seeds=(0, 1), jobs=2)).cells[2].key  # another folder, the same pictures
    picture = open_dataset(folder).train[0].path
    image.write(picture, np.zeros((192, 192, 3), np.uint8))
    second = key()
    assert second != first
    picture.unlink()
    assert key() not in (first, second)
    monkeypatch.setattr(keys, "__version__", "9.9")
    assert make_work(make_request(methods=("patchcore_1",))).cells[0].key != first


def test_more_shots_than_pictures_cannot_be_drawn(make_request: MakeRequest) -> None:
    work = make_work(make_request(methods=("patchcore_1",), shots=(2, 9)))
    assert [cell.shots for cell in work.cells] == [2]
    assert work.not_run == [("patchcore_1", "plate", "9 good pictures were asked for; there are 8")]


def test_what_is_no_reproduction_says_what_differs(make_request: MakeRequest) -> None:
    def message(**changes: Any) -> str:
        request = make_request(methods=("patchcore_1",), **changes)
        return why_no_reproduction(request, make_work(request).cells[0].plan)

    assert message() == "tiny pictures, network efficientnet_lite0"
    assert message(recipe="embedded") == "network efficientnet_lite2"
    assert message(recipe="row", backbone="efficientnet_lite0") == "network efficientnet_lite0"
    assert message(recipe="row", weights="random") == "random weights"


def test_a_teacher_s_network_and_weights_are_those_asked_for(make_request: MakeRequest) -> None:
    def planned(**changes: Any) -> tuple[dict[str, Any], str]:
        request = make_request(methods=("student",), **changes)
        (cell,) = make_work(request).cells
        assert (cell.plan.backbone_name, cell.plan.weights) == ("pixels", None)
        return cell.plan.method_options(), why_no_reproduction(request, cell.plan)

    own = "the teacher learned from the good pictures"
    options, message = planned(recipe="row")
    assert (options["distilled_from"], options["held_out"], message) == ("resnet18", 0.0, own)
    options, message = planned(recipe="embedded")
    assert (options["distilled_from"], message) == ("efficientnet_lite2", f"distilled from efficientnet_lite2, {own}")
    options, message = planned(recipe="row", backbone="resnet50", weights="random")
    assert (options["distilled_from"], options["weights"]) == ("resnet50", "random")
    assert message == f"distilled from resnet50, {own}, random weights"


def test_a_teacher_s_pictures_are_those_given(make_request: MakeRequest, plate: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plate / "train", tmp_path / "stones"))

    def cell(where: Path | None = folder) -> Cell:
        return make_work(make_request(methods=("student",), teacher_data=where)).cells[0]

    first = cell()
    assert (first.row, first.plan.method_options()["teacher_data"]) == ("student", str(folder))
    assert cell(None).key != first.key
    assert cell(Path(shutil.copytree(folder, tmp_path / "elsewhere"))).key == first.key  # the same pictures
    assert why_no_reproduction(make_request(), first.plan).endswith("the teacher learned from given pictures")
    assert make_work(make_request(teacher_data=folder, methods=("patchcore_1", "student"))).cells[0].key == (
        make_work(make_request(methods=("patchcore_1",))).cells[0].key
    )  # what has no teacher does not care
    picture = next((folder / "good").iterdir())
    picture.rename(picture.with_name("other.png"))
    renamed = cell()
    image.write(picture.with_name("other.png"), np.zeros((8, 8, 3), np.uint8))
    assert len({first.key, renamed.key, cell().key}) == 3


def test_a_teacher_s_pictures_that_are_not_there_are_refused(make_request: MakeRequest, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    for where, message in (("none", "there is none"), (".", "there are no pictures in it"), ("notes.txt", "it is a file")):
        with pytest.raises(
            DataError, match=rf"a folder of pictures was needed to cut crops from; {message}\. Name another as teacher_"
        ):
            make_work(make_request(methods=("student",), teacher_data=tmp_path / where))
    with pytest.raises(UsageError, match="teacher_data: a row whose method has a teacher was needed, such as student; none is"):
        make_work(make_request(teacher_data=tmp_path))


@pytest.mark.parametrize("row", ["student", "patchcore_1"])
def test_weights_count_by_what_is_in_their_file(make_request: MakeRequest, tmp_path: Path, row: str) -> None:
    """Written anew in the same place they make another cell; elsewhere, the same."""
    path, copy = tmp_path / "trunk.onnx", tmp_path / "copy.onnx"

    def key(weights: Path) -> str:
        return make_work(make_request(methods=(row,), weights=str(weights))).cells[0].key

    path.write_bytes(b"one")
    first = key(path)
    shutil.copy(path, copy)
    assert key(copy) == first
    path.write_bytes(b"two")
    assert key(path) != first
    assert (
        make_work(make_request(methods=(row,), weights="random")).cells[0].key
        != make_work(make_request(methods=(row,))).cells[0].key
    )


def test_pixels_are_compared_as_published_unless_told(make_request: MakeRequest) -> None:
    def judged(at: str) -> tuple[str, str]:
        judging = make_work(make_request(pixels_at=at)).cells[0].judging
        return judging.pixels_at, judging.mask_rule

    assert [judged(at) for at in ("crop", "full256", "native")] == [("crop", "trunc"), ("full256", "half"), ("native", "half")]


@pytest.mark.parametrize("row", ["student", "patchcore_1"])
def test_a_file_of_weights_that_is_not_there_is_named(make_request: MakeRequest, tmp_path: Path, row: str) -> None:
    work = make_work(make_request(methods=(row,), weights=str(tmp_path / "none.pth")))
    assert not work.cells
    assert "none.pth: a file of weights was needed; no such file" in work.not_run[0][2]
