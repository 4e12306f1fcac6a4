"""The model file: exact, readable without flawsight, whole or not at all, and never believed when it was damaged."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from flawsight.errors import DataError, ModelFileError, UsageError
from flawsight.modelfile import bundle
from flawsight.system import files

ARRAYS: dict[str, NDArray[Any]] = {
    "bank": np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32),
    "bytes": np.arange(11, dtype=np.uint8),
    "one": np.array([0.1]),
}
MANIFEST = {"made": "2024-01-01", "names": ["größe/螺丝.png", "=1+1"], "deep": {"a": [1, None, True, 0.1]}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "part.flaw"
    bundle.write(file, MANIFEST, ARRAYS)
    return file


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return file.metadata()


def sealed(manifest: Any, sha256: str | None = None) -> dict[str, str]:
    """The metadata of a file with this manifest, its hash right unless given."""
    text = json.dumps(manifest)
    return {bundle.KEY: json.dumps({"sha256": sha256 or bundle._sha256(text.encode()), "manifest": text})}


def assert_same(a: NDArray[Any], b: NDArray[Any]) -> None:
    assert (a.shape, a.dtype) == (b.shape, b.dtype.newbyteorder("="))
    assert a.tobytes() == np.asarray(b, a.dtype).tobytes()


def test_what_is_written_comes_back(path: Path) -> None:
    manifest, arrays = bundle.read(path)
    assert {name: manifest[name] for name in MANIFEST} == MANIFEST
    assert manifest["schema"] == bundle.SCHEMA
    assert arrays.keys() == ARRAYS.keys() == manifest["members"].keys()
    for name, array in ARRAYS.items():
        assert_same(arrays[name], array)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i2"])
def test_every_type_and_shape_comes_back(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.random.default_rng(0).random(shape) * 100).astype(dtype)
    bundle.write(tmp_path / "x", {}, {"a": array})
    assert_same(bundle.read(tmp_path / "x")[1]["a"], array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12)[::-2],
        np.broadcast_to(np.float32(1), (2, 3)),
        np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324]),
    ],
    ids=["transposed", "strided", "broadcast", "odd values"],
)
def test_views_and_odd_values_come_back(tmp_path: Path, array: NDArray[Any]) -> None:
    bundle.write(tmp_path / "x", {}, {"a": array})
    assert_same(bundle.read(tmp_path / "x")[1]["a"], np.ascontiguousarray(array))


def test_names_that_are_no_text_come_back(tmp_path: Path) -> None:
    manifest = {"names": [os.fsdecode(b"\xff.png"), "quote\"\\'\n\x00"]}
    bundle.write(tmp_path / "x", manifest, {})
    assert bundle.read(tmp_path / "x")[0]["names"] == manifest["names"]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, path: Path) -> None:
    backwards = dict(reversed(MANIFEST.items())), dict(reversed(ARRAYS.items()))
    bundle.write(tmp_path / "again", *backwards)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_safetensors_alone_reads_it(path: Path) -> None:
    arrays = load_file(path)
    np.testing.assert_array_equal(arrays["bank"], ARRAYS["bank"])
    assert list(metadata(path)) == ["flawsight"]
    assert json.loads(json.loads(metadata(path)["flawsight"])["manifest"])["made"] == "2024-01-01"


def test_no_file(tmp_path: Path) -> None:
    for place in (tmp_path / "none.flaw", tmp_path):
        with pytest.raises(ModelFileError, match=rf"^{re.escape(str(place))}: a model file was needed; there is none"):
            bundle.read(place)


@pytest.mark.parametrize("content", [b"", b"just text\n" * 50, b"\x00" * 100, b"\xff" * 100, b"PK\x03\x04" + b"\x00" * 60])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.flaw").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"x\.flaw: is no model file, or is damaged"):
        bundle.read(tmp_path / "x.flaw")


@pytest.mark.parametrize(
    "found",
    [None, {"format": "pt"}, {bundle.KEY: "text"}, {bundle.KEY: "[]"}, {bundle.KEY: "{}"}, sealed([]), sealed({})],
    ids=["none", "other", "text", "list", "empty", "manifest a list", "manifest empty"],
)
def test_other_safetensors_files_are_refused(tmp_path: Path, found: dict[str, str] | None) -> None:
    save_file(ARRAYS, tmp_path / "x", found)
    with pytest.raises(ModelFileError, match="x: is a safetensors file but not a flawsight model"):
        bundle.read(tmp_path / "x")


@pytest.mark.parametrize("share", np.linspace(0, 0.999, 40))
def test_a_file_cut_short_is_refused(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelFileError, match=r"part\.flaw: is no model file, or is damaged or cut short"):
        bundle.read(path)


def test_a_file_with_a_tail_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(ModelFileError, match=r"part\.flaw"):
        bundle.read(path)


@pytest.mark.parametrize("flip", [0x01, 0x80], ids=hex)
def test_a_flipped_byte_is_found_wherever_it_is(path: Path, flip: int) -> None:
    """In the header's length, the names and shapes, the manifest, its hash, and every array."""
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        with pytest.raises(ModelFileError, match=r"part\.flaw: "):
            bundle.read(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_changed_array_is_named(path: Path, name: str) -> None:
    changed = {**ARRAYS, name: ARRAYS[name] + ARRAYS[name].dtype.type(1)}
    save_file(changed, path, metadata(path))
    with pytest.raises(ModelFileError, match=f"its part '{name}' is not what was saved"):
        bundle.read(path)


@pytest.mark.parametrize("change", ["missing", "extra", "reshaped", "retyped"])
def test_other_arrays_than_were_saved_are_named(path: Path, change: str) -> None:
    bank = ARRAYS["bank"]
    arrays = {
        "missing": {"bytes": ARRAYS["bytes"], "one": ARRAYS["one"]},
        "extra": {**ARRAYS, "more": np.zeros(3)},
        "reshaped": {**ARRAYS, "bank": bank.reshape(5, 7)},
        "retyped": {**ARRAYS, "bank": bank.view(np.int32)},
    }[change]
    save_file(arrays, path, metadata(path))
    named = "more" if change == "extra" else "bank"
    with pytest.raises(ModelFileError, match=rf"part\.flaw: its part '{named}' is not what was saved"):
        bundle.read(path)


def test_a_manifest_without_members_is_no_proof(path: Path) -> None:
    save_file(ARRAYS, path, sealed({"schema": bundle.SCHEMA}))
    with pytest.raises(ModelFileError, match="its part 'bank' is not what was saved"):
        bundle.read(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(path: Path, number: str) -> None:
    text = f'{{"schema": 1, "threshold": {number}}}'
    save_file({}, path, {bundle.KEY: json.dumps({"sha256": bundle._sha256(text.encode()), "manifest": text})})
    with pytest.raises(ModelFileError, match=rf"part\.flaw: its manifest holds {number}, which is no finite number"):
        bundle.read(path)


@pytest.mark.parametrize("damage", [b"", b"text", b"\xff" * 40])
def test_bytes_that_are_no_model_are_refused(damage: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"^the sent one: is no model, or is damaged"):
        bundle.unpack(damage, "the sent one")


def test_bytes_hold_what_a_file_does(path: Path) -> None:
    manifest, arrays = bundle.unpack(path.read_bytes(), "x")
    assert manifest == bundle.read(path)[0]
    for name, array in ARRAYS.items():
        assert_same(arrays[name], array)
    with pytest.raises(ModelFileError, match=r"^x: its part 'bytes' is not what was saved"):
        bundle.unpack(path.read_bytes().replace(ARRAYS["bytes"].tobytes(), b"\x01" * 11), "x")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_a_type_that_numpy_lacks_is_refused(path: Path, dtype: str) -> None:
    sides = {"BF16": 2, "F8_E4M3": 1}
    refused = "(is no model|its part 'a' is not what was saved)"  # the latter where a library has taught numpy the type
    head = {"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, 2 * sides[dtype]]}, "__metadata__": sealed({"schema": 1})}
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(2 * sides[dtype]))
    with pytest.raises(ModelFileError, match=rf"part\.flaw: {refused}"):
        bundle.read(path)
    with pytest.raises(ModelFileError, match=f"^x: {refused}"):
        bundle.unpack(path.read_bytes(), "x")


def test_a_changed_manifest_is_found(path: Path) -> None:
    manifest, _ = bundle.read(path)
    was = json.loads(metadata(path)[bundle.KEY])["sha256"]
    save_file(ARRAYS, path, sealed({**manifest, "made": "2025-01-01"}, was))
    with pytest.raises(ModelFileError, match="manifest was changed after saving"):
        bundle.read(path)


@pytest.mark.parametrize("schema", [0, 2, 99, None])
def test_another_schema_is_refused_by_its_number(path: Path, monkeypatch: pytest.MonkeyPatch, schema: Any) -> None:
    monkeypatch.setattr(bundle, "SCHEMA", schema)
    bundle.write(path, MANIFEST, ARRAYS)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=rf"part\.flaw: has schema {schema}; this flawsight reads schema 1\. Update"):
        bundle.read(path)


def test_the_old_file_stays_when_the_disk_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    old = path.read_bytes()
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match=r"part\.flaw: .*no space left on device"):
        bundle.write(path, {}, {})
    assert path.read_bytes() == old
    assert names(path.parent) == ["part.flaw"]


def test_the_old_file_stays_when_writing_stops_halfway(path: Path) -> None:
    """The system itself refuses the rest: no file may grow beyond 64 KiB."""
    old, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(DataError, match=r"part\.flaw: room on a working disk was needed; file too large"):
            bundle.write(path, {}, {"a": np.zeros(1 << 17, np.uint8)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == old
    assert names(path.parent) == ["part.flaw"]


@pytest.mark.parametrize(
    ("manifest", "arrays", "error"),
    [
        ({"x": np.nan}, {}, ValueError),
        ({"x": object()}, {}, TypeError),
        ({}, {"a": np.array(["text"])}, Exception),
        ({}, {"a": np.array([None])}, Exception),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(path: Path, manifest: Any, arrays: Any, error: type[Exception]) -> None:
    old = path.read_bytes()
    with pytest.raises(error):
        bundle.write(path, manifest, arrays)
    assert path.read_bytes() == old
    assert names(path.parent) == ["part.flaw"]


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/x\.flaw: an existing folder was needed"):
        bundle.write(tmp_path / "nowhere" / "x.flaw", MANIFEST, ARRAYS)


KILLED = """
import os, pathlib, sys
import numpy as np
from flawsight.modelfile import bundle

moment, path = sys.argv[1], pathlib.Path(sys.argv[2])
opened, moved = pathlib.Path.open, pathlib.Path.replace

class Dying:
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *_): self.file.close()
    def __getattr__(self, name): return getattr(self.file, name)
    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        os._exit(9)

def replace(self, target):
    if moment == "before the move": os._exit(9)
    moved(self, target)
    os._exit(9)

if moment == "half": pathlib.Path.open = lambda self, *args, **kwargs: Dying(opened(self, *args, **kwargs))
if moment == "written": os.fsync = lambda number: os._exit(9)
pathlib.Path.replace = replace
bundle.write(path, {"made": "new"}, {"a": np.zeros(100_000)})
"""


@pytest.mark.parametrize("moment", ["half", "written", "before the move", "after the move"])
def test_killed_at_any_moment_the_old_file_or_the_new_one_is_there(path: Path, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, moment, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    manifest, arrays = bundle.read(path)
    if moment == "after the move":
        assert (manifest["made"], arrays["a"].size) == ("new", 100_000)
    else:
        assert (manifest["made"], arrays.keys()) == ("2024-01-01", ARRAYS.keys())
        leftover = [item for item in path.parent.iterdir() if item != path]
        assert len(leftover) == 1  # the kill did come in the middle
        assert leftover[0].name.startswith(".")
