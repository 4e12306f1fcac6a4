"""Methods that other packages bring, by the example in the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flawsight import methods
from flawsight.datasets import DataSet
from flawsight.errors import ModelFileError, UnknownName, UsageError
from flawsight.fitting import Plan, fit
from flawsight.methods import METHODS, get_method
from flawsight.model import load

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "own_method.md").read_text(encoding="utf-8")
SOURCE, PROJECT = (re.search(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)[1] for kind in ("python", "toml"))  # type: ignore[index]
ENTRY = PROJECT.splitlines()[-1].replace('"', "")
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """What puts a package on the path, as though pip had installed it; returns its folder."""

    def put(source: str, entry: str, package: str = "nearest_mean") -> Path:
        (tmp_path / "nearest_mean.py").write_text(source, encoding="utf-8")
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(f"[flawsight.methods]\n{entry}\n", encoding="utf-8")
        return tmp_path

    monkeypatch.syspath_prepend(tmp_path)
    methods._entries.cache_clear()
    yield put
    methods._entries.cache_clear()
    sys.modules.pop("nearest_mean", None)


def test_a_method_of_another_package_is_as_good_as_one_of_ours(install: Install, plates: DataSet, tmp_path: Path) -> None:
    own = set(METHODS)
    methods._entries.cache_clear()
    install(SOURCE, ENTRY)
    assert set(METHODS) == own | {"nearest_mean"}
    assert "nearest_mean" in METHODS
    assert "nearest_mean" not in sys.modules  # until it is asked for
    model = fit(plates.train, Plan(method="nearest_mean", size=64))
    model.save(tmp_path / "x.flaw")
    loaded = load(tmp_path / "x.flaw")
    assert loaded.predict(plates.test[0]).score == model.predict(plates.test[0]).score
    left_out = fit(plates.train[1:], Plan(method="nearest_mean", size=64))
    assert model.training.held_out[0] == pytest.approx(left_out.predict(plates.train[0]).score, rel=1e-4)


def test_a_model_of_a_package_that_is_gone_says_so(install: Install, plates: DataSet, tmp_path: Path) -> None:
    install(SOURCE, ENTRY)
    fit(plates.train, Plan(method="nearest_mean", size=64)).save(tmp_path / "x.flaw")
    (tmp_path / "nearest_mean-1.0.dist-info" / "entry_points.txt").unlink()
    methods._entries.cache_clear()
    with pytest.raises(ModelFileError, match=r"method 'nearest_mean' is unknown to this flawsight.* install the package"):
        load(tmp_path / "x.flaw")


def test_the_command_line_has_it(install: Install, plate: Path, tmp_path: Path) -> None:
    install(SOURCE, ENTRY)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def run(*words: str | Path) -> str:
        command = [sys.executable, "-m", "flawsight", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert done.returncode in (0, 3), done.stderr
        return done.stdout

    assert "Distance to the average good picture" in run("list", "methods")
    run("fit", plate / "train/good", "--method", "nearest_mean", "--size", "64", "-o", tmp_path / "x.flaw")
    assert "000.png" in run("score", tmp_path / "x.flaw", plate / "test")


@pytest.mark.parametrize(
    ("source", "entry", "message"),
    [
        ("import nowhere", "nearest_mean = nearest_mean:X", "cannot be imported .*No module named 'nowhere'"),
        ("x = 1", "nearest_mean = nearest_mean:X", "cannot be imported .*has no attribute 'X'"),
        ("class X: name = 'other'", "nearest_mean = nearest_mean:X", "expected a class with name = 'nearest_mean'.*none of title"),
        (SOURCE, "other = nearest_mean:NearestMean", "expected a class with name = 'other'.* got name = 'nearest_mean'"),
    ],
    ids=["no import", "no class", "not whole", "another name"],
)
def test_a_package_that_is_broken_is_named(install: Install, source: str, entry: str, message: str) -> None:
    install(source, entry)
    with pytest.raises(UsageError, match=f"package nearest_mean: its method .*{message}"):
        get_method(entry.split()[0])
    assert METHODS["patchcore"].name == "patchcore"


def test_a_name_that_is_taken_is_refused(install: Install) -> None:
    install(SOURCE, "padim = nearest_mean:NearestMean")
    with pytest.raises(UsageError, match="package nearest_mean: brings a method 'padim'; there is one of that name"):
        list(METHODS)


def test_a_name_that_nobody_has_is_answered_with_the_nearest(install: Install) -> None:
    install(SOURCE, ENTRY)
    with pytest.raises(UnknownName, match=r"there is no 'nearest_men'. Did you mean nearest_mean"):
        get_method("nearest_men")
