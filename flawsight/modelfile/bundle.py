"""The model file: a safetensors file whose one metadata entry is a JSON manifest. No pickle; any safetensors reader opens it.

Every array, the network's ONNX bytes among them, is a tensor; the manifest holds the sha256 of each, and its own stands beside it.
The hashes find damage and careless edits; they are no signature. A file is written whole or not at all, and is memory-mapped
while it is read, so that it is never in memory twice.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import ModelFileError
from flawsight.system.files import atomic_write
from flawsight.types import Arrays

SCHEMA = 1
KEY = "flawsight"  # a single key: with more, their order in the file would vary from run to run


def write(path: Path, manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the model file; `schema` and `members` are added to the manifest. Raises UsageError or DataError as atomic_write."""
    atomic_write(path, pack(manifest, arrays))


def pack(manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a model file."""
    from safetensors.numpy import save

    stored = {name: _stored(array) for name, array in sorted(arrays.items())}
    members = {name: _fingerprint(array) for name, array in stored.items()}
    # ASCII: the names of pictures may hold bytes that are no text, which JSON can escape but UTF-8 cannot hold
    text = json.dumps({"schema": SCHEMA, **manifest, "members": members}, sort_keys=True, allow_nan=False)
    sealed = json.dumps({"sha256": _sha256(text.encode()), "manifest": text})
    return save(stored, {KEY: sealed})


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """The manifest and the arrays. Raises ModelFileError for a file that is missing, damaged, tampered with or newer."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelFileError(f"{path}: a model file was needed; there is none. Check the path, or make one with `flawsight fit`.")
    try:
        with safe_open(path, framework="numpy") as file:
            manifest = _manifest(path, file.metadata())
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:  # the last two: a type numpy lacks
        raise ModelFileError(f"{path}: is no model file, or is damaged or cut short ({error}). Copy it again or refit.") from error
    _check_members(path, manifest, arrays)
    return manifest, arrays


def unpack(data: bytes, where: str) -> tuple[dict[str, Any], Arrays]:
    """The manifest and the arrays of what `pack` gave. where: what to call it in errors. Raises ModelFileError as `read`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)  # checks the header, so that what follows can be read
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, KeyError) as error:  # the last: a type numpy lacks
        raise ModelFileError(f"{where}: is no model, or is damaged or cut short ({error}). Copy it again or refit.") from error
    manifest = _manifest(where, header.get("__metadata__"))
    _check_members(where, manifest, arrays)
    return manifest, arrays


def _check_members(path: Path | str, manifest: Mapping[str, Any], arrays: Arrays) -> None:
    members = manifest.get("members", {})
    if not isinstance(members, dict):
        raise ModelFileError(f"{path}: its field 'members': expected the hash of each part. Copy the file again or refit.")
    for name in sorted(members.keys() | arrays.keys()):
        if name not in arrays or members.get(name) != _fingerprint(arrays[name]):
            raise ModelFileError(f"{path}: its part '{name}' is not what was saved. Copy the file again or refit.")


def _manifest(path: Path | str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        sealed = json.loads((metadata or {})[KEY])
        text, expected = sealed["manifest"], sealed["sha256"]
        manifest: dict[str, Any] = json.loads(text, parse_float=_finite, parse_constant=_finite)
        schema = manifest["schema"]
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ModelFileError(f"{path}: is a safetensors file but not a flawsight model. Make one with `flawsight fit`.") from None
    if schema != SCHEMA:
        raise ModelFileError(f"{path}: has schema {schema}; this flawsight reads schema {SCHEMA}. Update flawsight or refit.")
    if _sha256(text.encode("utf-8", "surrogatepass")) != expected:
        raise ModelFileError(
            f"{path}: its manifest was changed after saving. Change a threshold with `flawsight threshold`; or refit."
        )
    return manifest


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ModelFileError(f"its manifest holds {text}, which is no finite number. Copy it again or refit.")
    return value


def _stored(array: NDArray[Any]) -> NDArray[Any]:
    """The array as it comes back: contiguous and little-endian. Not ascontiguousarray, which gives a scalar a dimension."""
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _fingerprint(array: NDArray[Any]) -> str:
    return _sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
