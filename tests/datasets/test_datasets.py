"""What holds for the layouts of anybody's pictures, finding pictures, and loose pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flawsight.datasets import DATASETS, find_pictures, open_dataset
from flawsight.datasets.base import loose_samples
from flawsight.errors import DataError, UnknownName
from flawsight.types import Sample

TREES = {  # of either layout a small one that has everything
    "mvtec": (
        *(f"train/good/{i}.png" for i in range(4)),
        "test/good/0.png",
        "test/bent/0.png",
        "test/cut/1.jpg",
        "ground_truth/bent/0_mask.png",
        "ground_truth/cut/1_mask.png",
    ),
    "folder": (*(f"good/{i}.png" for i in range(4)), "bent/0.png", "cut/1.jpg", "masks/bent/0.png", "masks/cut/1.png"),
}


def grow(root: Path, *names: str) -> Path:
    """Empty files of these names: a data set is read by its names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture(params=list(TREES))
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    return request.param, grow(tmp_path / "parts", *TREES[request.param])


# Both layouts


def test_a_layout_is_recognised(tree):
    layout, root = tree
    assert DATASETS[layout].recognises(root)
    assert open_dataset(root) == open_dataset(root, layout=layout) == open_dataset(str(root))


def test_good_ones_are_learned_from_and_all_kinds_are_judged(tree):
    data = open_dataset(tree[1])
    assert data.title == "parts"
    assert {(sample.label, sample.kind) for sample in data.train} == {(0, "good")}
    assert {(sample.label, sample.kind) for sample in data.test} == {(0, "good"), (1, "bent"), (1, "cut")}


def test_no_picture_is_in_a_data_set_twice(tree):
    data = open_dataset(tree[1])
    every = [*data.train, *data.test]
    assert len({sample.name for sample in every}) == len({sample.path for sample in every}) == len(every)
    assert all(sample.path.is_file() and sample.path == data.root / sample.name for sample in every)


def test_each_defect_has_its_own_mask_and_no_good_picture_has_one(tree):
    for sample in open_dataset(tree[1]).test:
        if sample.label:
            assert sample.mask is not None
            assert sample.mask.parent.name == sample.kind
            assert sample.mask.stem.removesuffix("_mask") == sample.path.stem
        else:
            assert sample.mask is None


def test_without_masks_none_are_looked_for_and_none_are_missed(tree):
    root = tree[1]
    next(root.rglob("0_mask.png"), root / "masks/bent/0.png").unlink()
    data = open_dataset(root, use_masks=False)
    assert [sample.mask for sample in data.test] == [None] * len(data.test)
    assert not any("mask" in note for note in data.notes)


def test_reading_twice_gives_the_same(tree):
    assert open_dataset(tree[1]) == open_dataset(tree[1])


@pytest.mark.parametrize("raw", [b"caf\xe9", "Prüfung 検査".encode(), b"two\nlines", b'"quoted" <b>'])
def test_names_can_be_written_to_any_file(raw, tree, tmp_path):
    layout, root = tree
    name = os.fsdecode(raw)
    for folder in (
        (root / TREES[layout][0]).parent,
        next(path for path in root.rglob("bent") if path.parent.name in ("test", "parts")),
    ):
        (folder / f"{name}.png").touch()
    masks = next(path for path in root.rglob("bent") if path.parent.name in ("ground_truth", "masks"))
    grow(masks, f"{name}_mask.png", f"{name} 2.png")
    grow(root / "test" / name if layout == "mvtec" else root / name, "0.png")
    data = open_dataset(root.rename(tmp_path / name))
    content = [data.title, data.notes, [[sample.name, sample.kind] for sample in (*data.train, *data.test)]]
    assert json.loads(json.dumps(content, ensure_ascii=False).encode()) == content
    odd = [sample for sample in data.test if sample.label and sample.path.stem == name]
    assert [sample.mask and sample.mask.stem for sample in odd] == [f"{name}_mask"]


def test_a_data_set_that_cannot_be_looked_into_is_named(tree, monkeypatch):
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(
        DataError, match=r"parts.*: a folder that can be read was needed; permission denied\. Check the path and its"
    ):
        open_dataset(tree[1])


# Opening


@pytest.mark.parametrize(("name", "came"), [("none", "there is none"), ("none/none", "there is none"), ("a.png", "it is a file")])
def test_a_path_that_is_no_folder_is_refused(name, came, tmp_path):
    grow(tmp_path, "a.png")
    with pytest.raises(DataError, match=rf"{name}: a folder was needed; {came}\. Check the path\."):
        open_dataset(tmp_path / name)


@pytest.mark.parametrize(
    ("layout", "hint"),
    [("mvtek", "Did you mean mvtec"), ("Folder", "Did you mean folder"), ("xxxx", "Known: btad, dagm, folder, ")],
)
def test_an_unknown_layout_is_refused_with_the_nearest(layout, hint, tmp_path):
    with pytest.raises(UnknownName, match=rf"datasets: there is no '{layout}'\. {hint}"):
        open_dataset(tmp_path, layout=layout)


def test_a_named_layout_is_not_second_guessed(tmp_path):
    root = grow(tmp_path, *TREES["folder"])
    with pytest.raises(DataError, match="the MVTec AD layout needs train/good"):
        open_dataset(root, layout="mvtec")
    root = grow(tmp_path / "mvtec", *TREES["mvtec"])
    with pytest.raises(DataError, match="no pictures of good parts"):
        open_dataset(root, layout="folder")


def test_a_plain_folder_has_no_categories(tmp_path):
    root = grow(tmp_path / "parts", *TREES["folder"])
    assert open_dataset(root, "parts") == open_dataset(root)
    with pytest.raises(UnknownName, match=r"categories: there is no 'bent'\. Known: parts"):
        open_dataset(root, "bent")


@pytest.mark.parametrize("path", [".", "../parts", "bent/.."])
def test_a_data_set_is_called_by_its_folder_however_it_is_reached(path, tree, monkeypatch):
    (tree[1] / "bent").mkdir(exist_ok=True)
    monkeypatch.chdir(tree[1])
    assert open_dataset(path).title == "parts"


# Finding pictures


def found(folder: Path, recursive: bool = False) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_pictures(folder, recursive)]


def test_pictures_are_found_by_their_endings(tmp_path):
    grow(
        tmp_path,
        "a.png",
        "b.PNG",
        "c.Jpg",
        "d.jpeg",
        "e.tiff",
        "f.txt",
        "g",
        "h.png.txt",
        "i.json",
        "Thumbs.db",
        "png",
        "x.pdf",
        "j.bmp",
    )
    assert found(tmp_path) == ["a.png", "b.PNG", "c.Jpg", "d.jpeg", "e.tiff", "j.bmp"]


def test_they_come_in_the_order_of_their_paths(tmp_path):
    grow(tmp_path, "b.png", "a.png", "10.png", "9.png", "c/a.png", "B.png", "a/z.png")
    assert found(tmp_path) == ["10.png", "9.png", "B.png", "a.png", "b.png"]
    assert found(tmp_path, recursive=True) == ["10.png", "9.png", "B.png", "a.png", "a/z.png", "b.png", "c/a.png"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    root = grow(
        tmp_path / ".project", "a.png", ".b.png", "._a.png", ".thumbnails/a.png", "c/.ipynb_checkpoints/a.png", "__MACOSX/a.png"
    )
    assert found(root) == ["a.png"]
    assert found(root, recursive=True) == ["a.png"]


def test_a_folder_called_like_a_picture_is_a_folder(tmp_path):
    grow(tmp_path, "a.png/b.png")
    assert found(tmp_path) == []
    assert found(tmp_path, recursive=True) == ["a.png/b.png"]


def test_linked_pictures_are_found_even_where_the_link_leads_nowhere(tmp_path):
    root = grow(tmp_path / "set", "a.png")
    (root / "b.png").symlink_to(root / "a.png")
    (root / "lost.png").symlink_to(tmp_path / "unmounted/lost.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "again").symlink_to(root)
    (root / "folder.png").symlink_to(root)
    assert found(root) == ["a.png", "b.png", "loop.png", "lost.png"]
    assert found(root, recursive=True) == ["a.png", "b.png", "loop.png", "lost.png"]


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_that_cannot_be_read_is_named(recursive, tmp_path):
    grow(tmp_path, "a.png")
    for name in ("a.png", "none"):
        with pytest.raises(
            DataError, match=rf"{name}: a folder that can be read was needed; (not a directory|no such file or directory)"
        ):
            find_pictures(tmp_path / name, recursive)


def test_a_folder_below_that_cannot_be_read_is_named_rather_than_left_out(tmp_path, monkeypatch):
    grow(tmp_path, "a.png", "secret/b.png")
    listing = Path.iterdir

    def refuse(self: Path) -> object:
        if self.name == "secret":
            raise PermissionError(13, "Permission denied", str(self))
        return listing(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert found(tmp_path) == ["a.png"]
    with pytest.raises(DataError, match=r"secret: a folder that can be read was needed; permission denied"):
        find_pictures(tmp_path, recursive=True)


# Loose pictures


def test_files_and_folders_become_samples_by_their_paths(tmp_path, monkeypatch):
    grow(tmp_path, "b.png", "set/2.png", "set/deep/1.png")
    monkeypatch.chdir(tmp_path)
    assert loose_samples([Path("b.png"), Path("set")]) == [
        Sample(Path("b.png"), "b.png"),
        Sample(Path("set/2.png"), "set/2.png"),
        Sample(Path("set/deep/1.png"), "set/deep/1.png"),
    ]


def test_a_picture_given_twice_is_taken_once(tmp_path):
    grow(tmp_path, "set/2.png")
    assert (
        len(loose_samples([tmp_path / "set/2.png", tmp_path / "set", tmp_path / "set/../set/2.png", tmp_path / "set/./2.png"])) == 2
    )


def test_a_file_that_is_not_there_is_left_for_the_reader_to_name(tmp_path):
    assert loose_samples([tmp_path / "none.png"])[0].path == tmp_path / "none.png"


def test_a_folder_without_pictures_is_refused(tmp_path):
    grow(tmp_path, "set/notes.txt", "good/1.png")
    with pytest.raises(DataError, match=r"set: no pictures in this folder or below it\. Check the path\."):
        loose_samples([tmp_path / "good", tmp_path / "set"])


def test_names_of_loose_pictures_can_be_written_to_any_file(tmp_path):
    grow(tmp_path, os.fsdecode(b"caf\xe9.png"))
    (sample,) = loose_samples([tmp_path])
    assert sample.path.exists()
    assert json.dumps(sample.name, ensure_ascii=False).encode().endswith(rb'/caf\\udce9.png"')
