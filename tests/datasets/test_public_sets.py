"""The layouts of public data sets: each recognises its own tree alone, pairs by name, and says what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawsight.datasets import DATASETS, DataSet, open_dataset
from flawsight.datasets.base import held_back
from flawsight.datasets.pairing import mask_name
from flawsight.errors import DataError
from flawsight.images import image, maskfiles
from flawsight.types import Saturation, mask_files

SIZE = (6, 8)
PARTS = [f"kos{i:02}/Part{j}.jpg kos{i:02}/Part{j}_label.bmp={int(i == 1 and j == 0)}" for i in range(1, 6) for j in (0, 1)]

# Of each set a tiny one. "=n" after a name: a mask whose upper half is n; all else are grey pictures.
TREES = {
    "mvtec": "screw/train/good/000.png screw/train/good/001.png screw/test/good/000.png screw/test/thread_top/000.png "
    "screw/ground_truth/thread_top/000_mask.png=255 license.txt",
    "mvtec_loco": "pushpins/train/good/000.png pushpins/train/good/001.png pushpins/validation/good/000.png "
    "pushpins/test/good/000.png pushpins/test/logical_anomalies/000.png "
    "pushpins/ground_truth/logical_anomalies/000/000.png=255 pushpins/ground_truth/logical_anomalies/000/001.png=250 "
    "pushpins/test/structural_anomalies/000.png pushpins/ground_truth/structural_anomalies/000/000.png=253 "
    "pushpins/defects_config.json",
    "mvtec_ad2": "can/train/good/000_regular.png can/train/good/001_regular.png can/validation/good/000_regular.png "
    "can/test_public/good/000_overexposed.png can/test_public/bad/000_shift_1.png can/test_private/000_regular.png "
    "can/test_public/ground_truth/bad/000_shift_1_mask.png=255",
    "visa": "pcb1/Data/Images/Normal/0000.JPG pcb1/Data/Images/Normal/0001.JPG pcb1/Data/Images/Normal/0002.JPG "
    "pcb1/Data/Images/Anomaly/000.JPG pcb1/Data/Masks/Anomaly/000.png=3 candle/Data/Images/Normal/0.JPG split_csv/1cls.csv",
    "visa, prepared": "pcb1/train/good/0000.JPG pcb1/train/good/0001.JPG pcb1/test/good/0002.JPG pcb1/test/bad/000.JPG "
    "pcb1/ground_truth/bad/000.png=1 candle/train/good/0.JPG candle/test/good/1.JPG",
    "btad": "01/train/ok/0000.bmp 01/train/ok/0001.bmp 01/test/ok/0000.bmp 01/test/ko/0000.bmp 01/ground_truth/ko/0000.png=255",
    "mpdd": "tubes/train/good/000.png tubes/train/good/001.png tubes/test/good/000.png tubes/test/anomalous/000.png "
    "tubes/ground_truth/anomalous/000_mask.png=255",
    "real_iad": "realiad_256/usb/OK/S0001/usb_0001_OK_C1_1.jpg realiad_256/usb/OK/S0001/usb_0001_OK_C2_1.jpg "
    "realiad_256/usb/NG/QS/S0002/usb_0002_NG_QS_C1_1.jpg realiad_256/usb/NG/QS/S0002/usb_0002_NG_QS_C1_1_mask.png=255 "
    "realiad_256/usb/NG/QS/S0002/usb_0002_NG_QS_C2_1.jpg realiad_jsons/usb.json",
    "kolektor": " ".join(PARTS),
    "kolektor2": "train/10.png train/10_GT.png=0 train/11.png train/11_GT.png=0 train/12.png train/12_GT.png=255 "
    "test/20.png test/20_GT.png=0 test/21.png test/21_GT.png=255",
    "dagm": "Class1/Train/0001.PNG Class1/Train/0002.PNG Class1/Train/0003.PNG Class1/Train/Label/0003_label.PNG=255 "
    "Class1/Test/0001.PNG Class1/Test/0002.PNG Class1/Test/Label/0002_label.PNG=255 Class1/Test/Label/Labels.txt",
    "mtd": " ".join(f"MT_Free/Imgs/{i}.jpg MT_Free/Imgs/{i}.png=0" for i in range(5))
    + " MT_Break/Imgs/9.jpg MT_Break/Imgs/9.png=255 MT_Fray/Imgs/9.jpg MT_Fray/Imgs/9.png=255 dataset.jpg README.md",
}
VISA_LIST = """object,split,label,image,mask
pcb1,train,normal,pcb1/Data/Images/Normal/0002.JPG,
pcb1,test,anomaly,pcb1/Data/Images/Anomaly/000.JPG,pcb1/Data/Masks/Anomaly/000.png
pcb1,test,normal,pcb1/Data/Images/Normal/0000.JPG,
pcb1,train,normal,pcb1/Data/Images/Normal/0001.JPG,
candle,train,normal,candle/Data/Images/Normal/0.JPG,
"""


def entry(where: str, anomaly_class: str = "OK", mask: str | None = None) -> dict[str, str | None]:
    return {"category": "usb", "anomaly_class": anomaly_class, "image_path": where, "mask_path": mask}


REAL_IAD_LIST = {
    "meta": {"prefix": "usb/"},
    "train": [entry("OK/S0001/usb_0001_OK_C1_1.jpg"), entry("OK/S0001/usb_0001_OK_C2_1.jpg")],
    "test": [
        entry("NG/QS/S0002/usb_0002_NG_QS_C2_1.jpg"),  # no defect seen from this side
        entry("NG/QS/S0002/usb_0002_NG_QS_C1_1.jpg", "QS", "NG/QS/S0002/usb_0002_NG_QS_C1_1_mask.png"),
    ],
}
LOCO_CONFIG = [
    {"defect_name": "missing_pin", "pixel_value": 255, "saturation_threshold": 3, "relative_saturation": False},
    {"defect_name": "two_pins", "pixel_value": 250, "saturation_threshold": 0.5, "relative_saturation": True},
    {"defect_name": "bent", "pixel_value": 253, "saturation_threshold": 1.0, "relative_saturation": True},
]
CATEGORIES = {
    "mvtec": "screw",
    "mvtec_loco": "pushpins",
    "mvtec_ad2": "can",
    "visa": "pcb1",
    "visa, prepared": "pcb1",
    "btad": "01",
    "mpdd": "tubes",
    "real_iad": "usb",
    "dagm": "Class1",
}
# defective picture → its kind and masks, below the category
DEFECTS = {
    "mvtec": {"test/thread_top/000.png": ("thread_top", "ground_truth/thread_top/000_mask.png")},
    "mvtec_loco": {
        "test/logical_anomalies/000.png": (
            "logical_anomalies",
            "ground_truth/logical_anomalies/000/000.png",
            "ground_truth/logical_anomalies/000/001.png",
        ),
        "test/structural_anomalies/000.png": ("structural_anomalies", "ground_truth/structural_anomalies/000/000.png"),
    },
    "mvtec_ad2": {"test_public/bad/000_shift_1.png": ("bad", "test_public/ground_truth/bad/000_shift_1_mask.png")},
    "visa": {"Data/Images/Anomaly/000.JPG": ("defective", "Data/Masks/Anomaly/000.png")},
    "visa, prepared": {"test/bad/000.JPG": ("bad", "ground_truth/bad/000.png")},
    "btad": {"test/ko/0000.bmp": ("ko", "ground_truth/ko/0000.png")},
    "mpdd": {"test/anomalous/000.png": ("anomalous", "ground_truth/anomalous/000_mask.png")},
    "real_iad": {"NG/QS/S0002/usb_0002_NG_QS_C1_1.jpg": ("QS", "NG/QS/S0002/usb_0002_NG_QS_C1_1_mask.png")},
    "kolektor": {"kos01/Part0.jpg": ("defective", "kos01/Part0_label.bmp")},
    "kolektor2": {"test/21.png": ("defective", "test/21_GT.png")},
    "dagm": {"Test/0002.PNG": ("defective", "Test/Label/0002_label.PNG")},
    "mtd": {"MT_Break/Imgs/9.jpg": ("Break", "MT_Break/Imgs/9.png"), "MT_Fray/Imgs/9.jpg": ("Fray", "MT_Fray/Imgs/9.png")},
}
TRAIN = {"mtd": 4, "kolektor": 7}  # the others have two


def write(path: Path, message: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() not in image.EXTENSIONS:
        content = {".csv": VISA_LIST, ".json": json.dumps(LOCO_CONFIG if path.stem == "defects_config" else REAL_IAD_LIST)}
        path.write_text(content.get(path.suffix, ""), encoding="utf-8")
        return
    values = np.full(SIZE, 90, np.uint8)
    if message:
        values[: SIZE[0] // 2], values[SIZE[0] // 2 :] = int(message), 0
    Image.fromarray(values).save(path)


def grow(root: Path, name: str) -> Path:
    for one in TREES[name].split():
        file, _, message = one.partition("=")
        write(root / file, message)
    return root


def opened(root: Path, name: str, use_masks: bool = True) -> DataSet:
    return open_dataset(root, CATEGORIES.get(name), use_masks=use_masks)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All of them, read only."""
    return {name: grow(tmp_path_factory.mktemp("trees") / name.partition(",")[0], name) for name in TREES}


@pytest.fixture(params=list(TREES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    """One, to be spoilt."""
    return grow(tmp_path / "set", name)


def test_every_layout_of_a_public_set_has_a_tree_here() -> None:
    assert {name.partition(",")[0] for name in TREES} == DATASETS.keys() - {"folder", "labels"}


@pytest.mark.parametrize("layout", DATASETS)
def test_a_layout_recognises_its_own_tree_and_no_other(layout: str, trees: dict[str, Path]) -> None:
    for name, root in trees.items():
        for folder in (root, *DATASETS[name.partition(",")[0]].categories(root).values()):
            assert DATASETS[layout].recognises(folder) == (layout == name.partition(",")[0]), folder


def test_good_ones_are_learned_from_and_defects_have_their_own_masks(name: str, trees: dict[str, Path]) -> None:
    data = opened(trees[name], name)
    assert {(sample.label, sample.kind, sample.mask) for sample in data.train} == {(0, "good", None)}
    assert len(data.train) == TRAIN.get(name, 2)
    assert {(sample.label, sample.kind, sample.mask) for sample in data.test if not sample.label} == {(0, "good", None)}
    assert {
        sample.name: (sample.kind, *(file.relative_to(data.root).as_posix() for file in mask_files(sample.mask)))
        for sample in data.test
        if sample.label
    } == DEFECTS[name]
    every = [*data.train, *data.test]
    assert len({sample.path for sample in every}) == len(every)
    assert all(sample.path.is_file() and sample.path == data.root / sample.name for sample in every)
    assert DATASETS[name.partition(",")[0]].where


def test_a_category_can_be_named_by_its_folder(name: str, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = opened(trees[name], name)
    assert open_dataset(whole.root) == whole
    monkeypatch.chdir(whole.root)
    here = open_dataset(".")
    assert (here.title, [sample.name for sample in here.train]) == (whole.title, [sample.name for sample in whole.train])
    assert [(sample.name, sample.label) for sample in here.test] == [(sample.name, sample.label) for sample in whole.test]


def test_every_mask_shows_its_defect(name: str, trees: dict[str, Path]) -> None:
    for sample in opened(trees[name], name).test:
        if sample.mask:
            mask = maskfiles.read(sample.mask)
            assert mask[: SIZE[0] // 2].all()
            assert not mask[SIZE[0] // 2 :].any()


def test_without_masks_the_labels_are_the_same(name: str, trees: dict[str, Path]) -> None:
    data, bare = opened(trees[name], name), opened(trees[name], name, use_masks=False)
    assert [(one.name, one.label, one.kind) for one in bare.test] == [(one.name, one.label, one.kind) for one in data.test]
    assert {sample.mask for sample in bare.test} == {None}


def test_what_systems_leave_behind_changes_nothing(name: str, root: Path) -> None:
    before = opened(root, name)
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for file in folder.iterdir():
            if file.is_file():
                shutil.copy(file, folder / f"._{file.name}")
        (folder / "Thumbs.db").touch()
        (folder / "desktop.ini").touch()
        (folder / ".ipynb_checkpoints").mkdir()
    assert opened(root, name) == before


@pytest.mark.parametrize("name", sorted(TREES.keys() - {"visa", "real_iad"}))  # whose lists name each file
def test_endings_may_be_in_either_case(name: str, root: Path) -> None:
    before = opened(root, name)
    for path in list(root.rglob("*.*")):
        if path.is_file():
            path.rename(path.with_suffix(path.suffix.swapcase()))
    after = opened(root, name)
    assert [(one.path.stem, one.label) for one in after.test] == [(one.path.stem, one.label) for one in before.test]
    assert [one.mask and mask_name(one.mask).lower() for one in after.test] == [
        one.mask and mask_name(one.mask).lower() for one in before.test
    ]


@pytest.mark.parametrize(
    ("name", "gone", "message"),
    [
        ("mvtec", "screw/train/good", "needs train/good"),
        ("mvtec_loco", "pushpins/train/good", "needs train/good"),
        (
            "mvtec_loco",
            "pushpins/test/good pushpins/test/logical_anomalies pushpins/test/structural_anomalies",
            "no pictures in test",
        ),
        ("mvtec_ad2", "can/train", "needs train/good"),
        ("visa", "split_csv", r"needs split_csv/1cls\.csv"),
        ("visa", "pcb1/Data/Images/Normal/0001.JPG", r"1 of 5 files that split_csv/1cls\.csv names are not there: .*0001\.JPG"),
        ("visa", "pcb1/Data/Masks", r"1 of 5 files that split_csv/1cls\.csv names are not there: .*Masks/Anomaly/000\.png"),
        ("visa, prepared", "pcb1/test", "needs test"),
        ("btad", "01/train", "needs train/ok"),
        ("btad", "01/test", "needs test"),
        ("mpdd", "tubes/test", "needs test"),
        ("real_iad", "realiad_jsons/usb.json", r"needs realiad_jsons/usb\.json"),
        ("real_iad", "realiad_256/usb/NG", r"3 of 5 files that usb\.json names are not there: .*C2_1\.jpg"),
        ("kolektor", "kos02/Part1_label.bmp", r"needs <name>_label beside each picture, to tell good ones by; of kos02/Part1\.jpg"),
        ("kolektor2", "test", "needs test"),
        ("kolektor2", "test/20_GT.png", r"needs <name>_GT beside each picture, to tell good ones by; of test/20\.png"),
        ("dagm", "Class1/Test", "needs Test"),
        ("dagm", "Class1/Train/Label", "needs Train/Label"),
        ("mtd", "MT_Free", "needs MT_Free/Imgs"),
        ("mtd", "MT_Fray/Imgs/9.png", r"needs a mask <name>\.png beside each defective picture; of MT_Fray/Imgs/9\.jpg"),
    ],
)
def test_what_is_missing_is_told_and_where_to_get_it(name: str, gone: str, message: str, root: Path) -> None:
    for one in gone.split():
        shutil.rmtree(root / one) if (root / one).is_dir() else (root / one).unlink()
    with pytest.raises(DataError, match=message) as caught:
        opened(root, name)
    layout = DATASETS[name.partition(",")[0]]
    assert str(caught.value).endswith(f"inish unpacking. {layout.title} ({layout.licence}) is at {layout.source}.")


@pytest.mark.parametrize("name", ["mvtec", "mpdd", "mvtec_loco", "mvtec_ad2", "btad"])
def test_a_lost_mask_is_an_error_and_shifts_no_other(name: str, root: Path) -> None:
    folder = root / CATEGORIES[name]
    (picture, (_, *masks)), *_ = DEFECTS[name].items()
    second = (folder / picture).with_name(f"zz{Path(picture).suffix}")
    shutil.copy(folder / picture, second)
    with pytest.raises(DataError, match=rf"1 of 2 .* have no mask: \S*zz\{second.suffix}; looked in"):
        opened(root, name)
    second.unlink()
    assert [len(mask_files(one.mask)) for one in opened(root, name).test if one.name == picture] == [len(masks)]


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("visa", "split_csv/1cls.csv", "name,where\npcb1,x\n"),
        ("visa", "split_csv/1cls.csv", VISA_LIST.replace("pcb1/Data", "elsewhere/Data")),
        ("visa", "split_csv/1cls.csv", VISA_LIST.replace("train", "learn")),
        ("real_iad", "realiad_jsons/usb.json", "{"),
        ("real_iad", "realiad_jsons/usb.json", "[]"),
        ("real_iad", "realiad_jsons/usb.json", '{"train": [], "test": [{"image_path": "x.jpg"}]}'),
        ("mvtec_loco", "pushpins/defects_config.json", "{"),
        ("mvtec_loco", "pushpins/defects_config.json", "[]"),
        ("mvtec_loco", "pushpins/defects_config.json", '[{"pixel_value": 255, "saturation_threshold": 3}]'),
        ("mvtec_loco", "pushpins/defects_config.json", json.dumps([{**LOCO_CONFIG[0], "saturation_threshold": 0}])),
        ("mvtec_loco", "pushpins/defects_config.json", json.dumps([{**LOCO_CONFIG[1], "saturation_threshold": 1.5}])),
    ],
)
def test_a_damaged_list_is_told(name: str, file: str, content: str, root: Path) -> None:
    (root / file).write_text(content, encoding="utf-8")
    message = r"(columns object, split|lists train and test).*; came something else|needs split_csv|a list of pixel_value.*; came "
    with pytest.raises(DataError, match=message):
        opened(root, name)


# What is particular to one


def test_loco_says_how_much_of_each_region_suffices(trees: dict[str, Path], tmp_path: Path) -> None:
    data = opened(trees["mvtec_loco"], "mvtec_loco")
    message = {(one.value, one.area, one.relative) for sample in data.test if sample.label for one in sample.saturations}
    assert message == {(255, 3, False), (250, 0.5, True), (253, 1, True)}
    assert not any(sample.saturations for sample in (*data.train, *data.test) if not sample.label)
    bare = opened(trees["mvtec_loco"], "mvtec_loco", use_masks=False)
    assert not any(sample.saturations for sample in bare.test)
    assert bare.notes == data.notes
    root = shutil.copytree(trees["mvtec_loco"], tmp_path / "set")
    (root / "pushpins/defects_config.json").unlink()
    without = opened(root, "mvtec_loco")
    assert not any(sample.saturations for sample in without.test)
    assert [note for note in without.notes if note not in data.notes] == ["defects_config.json is not there: no sPRO."]


@pytest.mark.parametrize(
    ("area", "relative", "region_px", "expected"),
    [
        (3, False, 12, 3 / 12),
        (30, False, 12, 1),  # no region has more than all of its pixels
        (0.5, True, 12, 6 / 12),
        (0.5, True, 5, 2 / 5),  # whole pixels, rounded down
        (0.01, True, 5, 1 / 5),  # at least one
        (1.0, True, 7, 1),
    ],
)
def test_the_share_that_suffices_is_of_whole_pixels(area: float, relative: bool, region_px: int, expected: float) -> None:
    assert Saturation(255, area, relative).share(region_px) == pytest.approx(expected)


def test_the_sides_of_one_object_of_real_iad_are_known(trees: dict[str, Path]) -> None:
    data = opened(trees["real_iad"], "real_iad")
    assert {sample.object_name for sample in data.train} == {"OK/S0001"}
    assert {(sample.label, sample.object_name) for sample in data.test} == {(0, "NG/QS/S0002"), (1, "NG/QS/S0002")}
    others = [sample for name in TREES if name != "real_iad" for sample in opened(trees[name], name).test]
    assert {sample.object_name for sample in others} == {""}


def test_real_iad_of_several_sizes_needs_one_to_be_named(trees: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(trees["real_iad"], tmp_path / "set")
    shutil.copytree(root / "realiad_256", root / "realiad_1024")
    with pytest.raises(DataError, match=r"several sizes\. Name one of them: .*realiad_1024, .*realiad_256"):
        open_dataset(root, "usb")
    assert open_dataset(root / "realiad_1024", "usb").root == root / "realiad_1024" / "usb"


def test_real_iad_lists_may_lie_one_folder_deeper(trees: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(trees["real_iad"], tmp_path / "set")
    (root / "realiad_jsons/realiad_jsons").mkdir()
    (root / "realiad_jsons/usb.json").rename(root / "realiad_jsons/realiad_jsons/usb.json")
    assert len(open_dataset(root, "usb").test) == 2


def test_parts_nobody_can_or_should_use_are_told_of(trees: dict[str, Path]) -> None:
    assert opened(trees["mvtec_loco"], "mvtec_loco").notes == [
        "validation/good: left aside, since held-out training pictures set the threshold."
    ]
    assert opened(trees["mvtec_ad2"], "mvtec_ad2").notes == [
        "Lightings to learn from: regular (2); to judge: overexposed (1), shift_1 (1).",
        "validation/good: left aside, since held-out training pictures set the threshold.",
        "test_private: left aside, since only the publisher has their labels.",
    ]
    assert opened(trees["kolektor2"], "kolektor2").notes == ["1 defective training pictures are left out."]
    assert "1 defective training pictures are left out." in opened(trees["dagm"], "dagm").notes
    assert opened(trees["mtd"], "mtd").notes == [
        "It comes without a split: 1 of 5 good pictures, those of tiles drawn by name, were kept for the test.",
    ]


def test_a_tile_of_mtd_is_wholly_on_one_side(tmp_path: Path) -> None:
    for i in range(30):
        write(tmp_path / f"MT_Free/Imgs/exp{i % 3 + 1}_num_{i // 3}.jpg")
    data = open_dataset(tmp_path, layout="mtd", use_masks=False)
    tiles = [{one.path.stem.partition("_")[2] for one in part if not one.label} for part in (data.train, data.test)]
    assert (len(tiles[0]), len(tiles[1])) == (8, 2)
    assert not tiles[0] & tiles[1]
    assert len(data.train) == 24


def test_the_items_of_kolektor_are_wholly_on_one_side(trees: dict[str, Path]) -> None:
    data = opened(trees["kolektor"], "kolektor")
    items = [{one.path.parent.name for one in part if not one.label} for part in (data.train, data.test)]
    assert not items[0] & items[1]
    assert len(items[1] - {"kos01"}) <= 1
    assert len(items[0] | items[1]) == 5


def test_stray_copies_are_passed_over(trees: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(trees["kolektor2"], tmp_path / "set")
    before = opened(root, "kolektor2")
    shutil.copy(root / "train/10.png", root / "train/10 (copy).png")
    shutil.copy(root / "train/10_GT.png", root / "train/10_GT (copy).png")
    assert opened(root, "kolektor2") == before


def test_names_held_back_are_a_share_whatever_their_order() -> None:
    names = [f"{i:03}" for i in range(200)]
    kept = held_back(names)
    assert len(kept) == 40
    assert held_back(names[::-1]) == kept != held_back(names, seed=1)
    assert len(kept ^ held_back([*names, "x"])) <= 2
    assert kept != set(names[:40])


def palette(path: Path, values: np.ndarray) -> None:
    picture = Image.fromarray(values.astype(np.uint8))
    picture = picture.convert("P")
    picture.putpalette([0, 0, 0] * 256)  # the colours say nothing, the index does
    Image.Image.putdata(picture, values.ravel().tolist())
    picture.save(path)


@pytest.mark.parametrize("how", ["index in a black palette", "index in a colourful palette", "16 bits", "16 bits of small numbers"])
def test_masks_of_visa_are_read_by_index_whatever_their_depth(how: str, trees: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(trees["visa"], tmp_path / "set")
    truth = np.zeros(SIZE, np.int64)
    truth[2, 3:5] = 2
    truth[4, 1] = 1
    file = root / "pcb1/Data/Masks/Anomaly/000.png"
    if how == "index in a black palette":
        palette(file, truth)
    elif how == "index in a colourful palette":
        picture = Image.fromarray(truth.astype(np.uint8), "L").convert("P")
        picture.putpalette([0, 0, 0, 0, 0, 9, 0, 200, 0])
        picture.putdata(truth.ravel().tolist())
        picture.save(file)
    else:
        Image.fromarray((truth if "small" in how else np.where(truth, 40_000, 0)).astype(np.uint16)).save(file)
    (sample,) = (one for one in opened(root, "visa").test if one.label)
    found = maskfiles.read(sample.mask) if sample.mask else None
    np.testing.assert_array_equal(found, truth > 0)


@pytest.mark.parametrize("value", [1, 7, 255])
def test_a_label_of_any_value_but_0_makes_a_picture_defective(value: int, trees: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(trees["kolektor"], tmp_path / "set")
    write(root / "kos04/Part1_label.bmp", str(value))
    bad = [one.name for one in opened(root, "kolektor").test if one.label]
    assert bad == ["kos01/Part0.jpg", "kos04/Part1.jpg"]


def test_a_category_of_a_public_set_beside_others_is_read_as_such_and_the_others_stay(
    trees: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(trees["mvtec_loco"] / "pushpins", tmp_path / "parts/breakfast_box")
    shutil.copytree(trees["mvtec"] / "screw", tmp_path / "parts/gear")
    with pytest.raises(DataError, match=r"holds 2 categories \(breakfast_box, gear\)"):
        open_dataset(tmp_path / "parts")
    assert isinstance(open_dataset(tmp_path / "parts", "breakfast_box").test[-1].mask, tuple)
    assert [one.kind for one in open_dataset(tmp_path / "parts", "gear").test] == ["good", "thread_top"]


@pytest.mark.parametrize("name", ["gear", "screw"])
def test_no_licence_is_told_of_somebodys_own_pictures(name: str, tmp_path: Path) -> None:
    for file in ("test/rust/0.png", "ground_truth/rust/0.png"):
        write(tmp_path / name / file)
    with pytest.raises(DataError, match="needs train/good") as caught:
        open_dataset(tmp_path / name)
    assert "CC BY" not in str(caught.value)
