"""Small crops of good pictures in a model: which, of what, how large, and what a file may hold of them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flawsight.datasets import DataSet
from flawsight.errors import ModelFileError
from flawsight.fitting import Plan, fit
from flawsight.images import image
from flawsight.methods.base import KeepingMethod, Kept
from flawsight.model import Model, load
from flawsight.modelfile import bundle, crops
from flawsight.preprocess import Preprocess, window
from flawsight.types import Float, Pixels

COLOURS = ((200, 40, 40), (40, 160, 40), (50, 60, 210), (200, 190, 50), (60, 190, 200), (190, 60, 190))


def stripes(colour: Sequence[int], seed: int) -> Pixels:
    """A picture of one colour, brighter and darker from stripe to stripe."""
    rng = np.random.default_rng(seed)
    shade = np.repeat(rng.uniform(0.8, 1.2, (32, 1, 1)), 4, 0)
    noise = rng.normal(0, 2, (128, 128, 1))
    return np.clip(np.array(colour) * shade + noise, 0, 255).astype(np.uint8)


GOOD = [stripes(colour, i) for i, colour in enumerate(COLOURS)]


@pytest.fixture(scope="module")
def coloured() -> Model:
    """A model of pictures of distinct colours, that see the network as they are; its bank is larger than its crops are many."""
    return fit(GOOD, Plan(method="patchcore", size=128, options={"coreset_ratio": 0.5}))


@pytest.fixture(scope="module")
def few(coloured: Model) -> Model:
    """The same with a twelfth of the crops, so that most patches have none."""
    some = np.arange(0, len(coloured.crops), 12)
    sheet = np.concatenate([shown(coloured, int(i)) for i in some], 1)
    rows = -(-len(some) // crops.COLUMNS)
    padded = np.pad(sheet, ((0, 0), (0, rows * crops.COLUMNS * coloured.crops.side - sheet.shape[1]), (0, 0)))
    lines = np.concatenate(np.split(padded, rows, 1), 0)
    data = np.asarray(memoryview(image.encode(lines, "jpeg", 95, full_colour=True)))
    return replace(coloured, crops=replace(coloured.crops, patches=coloured.crops.patches[some], sheet=data))


def shown(model: Model, crop: int) -> Pixels:
    side = model.crops.side
    down, across = (at * side for at in divmod(crop, crops.COLUMNS))
    return model.crops.pixels[down : down + side, across : across + side]


def scratched(colour: int) -> Pixels:
    """A new part of that colour with a dark blot."""
    picture = stripes(COLOURS[colour], 90 + colour)
    picture[60:68, 40:70] = 10
    return picture


def hue(pixels: Pixels) -> Float:
    mean = pixels.reshape(-1, 3).mean(0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("which", ["coloured", "few"])
def test_the_crop_has_the_colour_of_the_picture_it_names_and_shows_that_place(which: str, request: pytest.FixtureRequest) -> None:
    model: Model = request.getfixturevalue(which)
    exact = 0
    for colour in range(len(COLOURS)):
        found = model.predict(scratched(colour)).evidence
        crop = found.crop
        exact += crop.is_nearest
        picture = model.training.names.index(crop.name)
        hues = [hue(np.array(one, np.uint8).reshape(1, 3)) for one in COLOURS]
        assert int(np.argmax([hue(crop.pixels) @ one for one in hues])) == picture
        x0, y0, x1, y1 = window(crop.box_xyxy, (0, 0, 128, 128))
        there = GOOD[picture][y0:y1, x0:x1].astype(float)
        assert np.abs(crop.pixels.mean((0, 1)) - there.mean((0, 1))).max() < 3
        if crop.is_nearest:
            assert (crop.name, crop.box_xyxy) == (found.good_name, found.good_box_xyxy)
        else:
            assert (crop.name, crop.box_xyxy) != (found.good_name, found.good_box_xyxy)
    assert (exact == 6) == (which == "coloured")


def test_every_crop_shows_its_patch_with_its_surroundings(coloured: Model) -> None:
    bank = coloured.method.kept()[0]
    for crop in range(0, len(coloured.crops), 40):
        row = coloured.crops.patches[crop]
        found = coloured.crops.of(int(bank.pictures[row]), bank.places[row])
        assert found.is_nearest
        box = coloured.preprocess.box_xyxy(bank.places[row], (128, 128))
        x0, y0, x1, y1 = window(box, (0, 0, 128, 128))
        wide = x1 - x0
        assert wide == 3 * (box[2] - box[0])
        there = GOOD[bank.pictures[row]][y0:y1, x0:x1].mean((1, 2))  # stripes lie across
        drawn = found.pixels.mean((1, 2))
        at = (np.arange(wide) + 0.5) * len(drawn) / wide - 0.5
        assert np.corrcoef(np.interp(at, np.arange(len(drawn)), drawn), there)[0, 1] > 0.95
        left, top, right, bottom = crops.patch_in_crop(coloured.preprocess, bank.places[row], (128, 128))
        assert (right - left, bottom - top) == pytest.approx((1 / 3, 1 / 3))
        assert (x0 + left * wide, y0 + top * wide) == pytest.approx(box[:2])


def test_in_place_of_a_patch_without_a_crop_the_nearest_of_those_that_have_one_is_shown(few: Model) -> None:
    bank = few.method.kept()[0]
    rows, have = bank.rows, few.crops.patches
    for row in np.setdiff1d(np.arange(len(rows)), have)[::50]:
        found = few.crops.of(int(bank.pictures[row]), bank.places[row])
        nearest = have[np.square(rows[have] - rows[row]).sum(1).argmin()]
        assert not found.is_nearest
        assert (found.picture, found.place.tolist()) == (bank.pictures[nearest], bank.places[nearest].tolist())
    assert few.crops.of(0, np.array([0.1, 0.2, 0.3, 0.4], np.float32)) is None


def test_scores_bank_and_fingerprint_are_those_of_a_fit_without_crops(model: Model, plates: DataSet, tmp_path: Path) -> None:
    plain = fit(plates.train, Plan(method="patchcore", size=128, crops=False))
    assert plain.crops is None
    assert plain.info()["good_crops"] == "none"
    assert plain.fingerprint == model.fingerprint
    plain.save(tmp_path / "plain.flaw")
    model.save(tmp_path / "crops.flaw")
    without, arrays = bundle.read(tmp_path / "plain.flaw")[1], bundle.read(tmp_path / "crops.flaw")[1]
    assert arrays.keys() - without.keys() == {"crops.patches", "crops.sheet"}
    assert all((arrays[name] == without[name]).all() for name in without)
    found = load(tmp_path / "plain.flaw").predict(plates.test[0])
    assert found.evidence.crop is None
    assert found.evidence == model.predict(plates.test[0]).evidence
    assert found.score == model.predict(plates.test[0]).score


def test_crops_are_saved_loaded_and_sent_to_other_processes(coloured: Model, tmp_path: Path) -> None:
    coloured.save(tmp_path / "model.flaw")
    first = coloured.predict(scratched(2)).evidence.crop
    for other in (load(tmp_path / "model.flaw"), pickle.loads(pickle.dumps(coloured)), coloured.with_threshold(2.0)):
        assert (other.crops.patches == coloured.crops.patches).all()
        again = other.predict(scratched(2)).evidence.crop
        assert (again.pixels == first.pixels).all()
        assert replace(again, pixels=first.pixels) == first
    assert len(pickle.dumps(first)) < 10_000  # not the whole sheet


def test_info_says_how_many_crops_are_kept_and_how_large(coloured: Model) -> None:
    n, size = len(coloured.crops), len(coloured.crops.sheet)
    assert n == min(crops.MOST, len(coloured.method.kept()[0].rows))
    assert coloured.info()["good_crops"] == f"{n} of 32×32 pixels, {size / 1000:.0f} KB"


class Noise:
    """What crops are taken from, without a network: two banks of patches anywhere in pictures of noise."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(0)
        cells = rng.integers(0, 8, (2, n, 2)) / np.float32(8)
        self.banks = [
            Kept(
                rng.normal(size=(n, 4)).astype(np.float32),
                rng.integers(0, 5, n).astype(np.int32),
                np.concatenate([at, at + np.float32(1 / 8)], 1),
            )
            for at in cells
        ]
        self.pictures = rng.integers(0, 256, (5, 128, 128, 3), dtype=np.uint8)

    def seen(self, places: Sequence[int]) -> Iterator[Pixels]:
        return (self.pictures[place] for place in places)


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setattr(crops, "KeepingMethod", SimpleNamespace)
    source = Noise(5000)
    return SimpleNamespace(kept=lambda: source.banks, seen=source.seen)


def test_the_worst_of_pictures_keep_to_the_size(noise: SimpleNamespace) -> None:
    kept = crops.kept(noise, Preprocess(size=128), [(128, 128)] * 5, noise.seen)  # type: ignore[arg-type]
    assert len(kept) == crops.MOST
    assert kept.side == 48
    assert np.count_nonzero(kept.patches < 5000) == crops.MOST // 2, "as many of each bank"
    assert len(kept.sheet) <= crops.MOST_BYTES
    found = kept.of(int(noise.kept()[1].pictures[9]), noise.kept()[1].places[9])
    assert found.pixels.std() > 20


def test_grey_pictures_have_grey_crops_of_fewer_bytes(noise: SimpleNamespace) -> None:
    def seen(places: Sequence[int]) -> list[Pixels]:
        return [np.full((128, 128, 1), 40 * place, np.uint8) for place in places]

    kept = crops.kept(noise, Preprocess(size=128), [(128, 128)] * 5, seen)  # type: ignore[arg-type]
    assert image.is_grey(kept.pixels)
    picture = int(noise.kept()[0].pictures[3])
    found = kept.of(picture, noise.kept()[0].places[3])
    assert np.abs(found.pixels.astype(int) - 40 * found.picture).max() <= 2


def test_what_keeps_no_patches_keeps_no_crops(plates: DataSet) -> None:
    fitted = fit(plates.train[:3], Plan(method="padim", size=64))
    assert not isinstance(fitted.method, KeepingMethod)
    assert fitted.crops is None


def test_two_banks_share_the_crops(plates: DataSet) -> None:
    fitted = fit(plates.train, Plan(size=128))
    starts = [len(bank.rows) for bank in fitted.method.kept()]
    assert np.count_nonzero(fitted.crops.patches < starts[0]) == min(starts[0], crops.MOST // 2)
    for sample in plates.test[:4]:
        found = fitted.predict(sample).evidence
        assert found.crop.name in fitted.training.names


def test_crops_of_the_papers_crop_lie_in_what_was_seen(plates: DataSet) -> None:
    preprocess = Preprocess(size=64, resize=128)
    for place in ((0, 0, 0.125, 0.125), (0.875, 0.875, 1, 1), (0.5, 0, 0.625, 0.125)):
        shares = crops.window_seen(preprocess, np.array(place, np.float32), (256, 256))
        assert min(shares) >= 0
        assert max(shares) <= 1
        assert shares[2] - shares[0] == pytest.approx(3 / 8)


def spoilt(model: Model, path: Path, **changes: object) -> Path:
    """A file of the model with arrays replaced, or left out where None."""
    model.save(path)
    manifest, arrays = bundle.read(path)
    arrays |= {f"crops.{name}": one for name, one in changes.items()}  # type: ignore[misc]
    rest = {name: value for name, value in manifest.items() if name not in ("schema", "members")}
    bundle.write(path, rest, {name: array for name, array in arrays.items() if array is not None})
    return path


FAULTS = {
    "sheet missing": ({"sheet": None}, r"crops\.sheet: expected uint8 \[bytes\], got nothing"),
    "patches missing": ({"patches": None}, r"crops\.patches: expected int32 \[K\], got nothing"),
    "patches of another type": ({"patches": np.arange(4.0)}, r"crops\.patches: expected int32 \[K\], got float64 \[4\]"),
    "patches beyond": ({"patches": np.array([0, 1 << 20], np.int32)}, r"crops\.patches: expected values from 0 to below"),
    "patches below": ({"patches": np.array([-1, 4], np.int32)}, r"crops\.patches: expected values from 0 to below"),
    "patches twice": ({"patches": np.array([3, 3], np.int32)}, r"crops\.patches: expected rising numbers"),
    "no patches": ({"patches": np.zeros(0, np.int32)}, r"crops\.patches: expected rising numbers"),
    "sheet of text": ({"sheet": np.arange(50, dtype=np.uint8)}, r"crops\.sheet: is not a picture"),
    "sheet empty": ({"sheet": np.zeros(0, np.uint8)}, r"crops\.sheet: the file is empty"),
    "sheet of others": ({"patches": np.arange(3, dtype=np.int32)}, r"crops\.sheet: expected a picture of 3 squares, 16 in a row"),
    "sheet too narrow": (
        {"sheet": np.asarray(memoryview(image.encode(np.zeros((1, 5, 3), np.uint8), "jpeg")))},
        r"crops\.sheet: expected a picture of \d+ squares, 16 in a row, got 5×1 pixels",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_of_a_file_are_named(coloured: Model, tmp_path: Path, case: str) -> None:
    changes, message = FAULTS[case]
    path = spoilt(coloured, tmp_path / "odd.flaw", **changes)  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_crops_of_a_method_that_keeps_no_patches_are_refused(coloured: Model, plates: DataSet, tmp_path: Path) -> None:
    other = fit(plates.train[:3], Plan(method="padim", size=64))
    path = spoilt(other, tmp_path / "odd.flaw", patches=coloured.crops.patches, sheet=coloured.crops.sheet)
    with pytest.raises(ModelFileError, match=r"crops\.patches: expected values from 0 to below 0"):
        load(path)


def test_a_file_from_before_there_were_crops_opens_and_judges_the_same(coloured: Model, tmp_path: Path) -> None:
    older = load(spoilt(coloured, tmp_path / "older.flaw", patches=None, sheet=None))
    assert older.crops is None
    before, now = older.predict(scratched(1)), coloured.predict(scratched(1))
    assert (before.score, before.evidence) == (now.score, now.evidence)
    assert (before.map == now.map).all()
