"""The model file: a safetensors file whose one metadata entry is a JSON manifest. No pickle; any safetensors reader opens it.

Every array, the network's ONNX bytes among them, is a tensor; the manifest holds the sha256 of each, and its own stands beside it.
The hashes find damage and careless edits; they are no signature. A file is written whole or not at all, and is memory-mapped
while it is read, so that it is never in memory twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import ModelFileError
from flawsight.files import atomic_write

SCHEMA = 1
KEY = "flawsight"  # a single key: with more, their order in the file would vary from run to run

Arrays = dict[str, NDArray[Any]]


def write(path: Path, manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the model file; `schema` and `members` are added to the manifest. Raises UsageError or DataError as atomic_write."""
    from safetensors.numpy import save

    stored = {name: _stored(array) for name, array in sorted(arrays.items())}
    members = {name: _fingerprint(array) for name, array in stored.items()}
    # ASCII: the names of pictures may hold bytes that are no text, which JSON can escape but UTF-8 cannot hold
    text = json.dumps({"schema": SCHEMA, **manifest, "members": members}, sort_keys=True, allow_nan=False)
    sealed = json.dumps({"sha256": _sha256(text.encode()), "manifest": text})
    atomic_write(path, save(stored, {KEY: sealed}))


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """The manifest and the arrays. Raises ModelFileError for a file that is missing, damaged, tampered with or newer."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelFileError(f"{path}: a model file was needed; there is none. Check the path, or make one with `flawsight fit`.")
    try:
        with safe_open(path, framework="numpy") as file:
            manifest = _manifest(path, file.metadata())
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path}: is no model file, or is damaged or cut short ({error}). Copy it again or refit.") from error
    members = manifest.get("members", {})
    for name in sorted(members.keys() | arrays.keys()):
        if name not in arrays or members.get(name) != _fingerprint(arrays[name]):
            raise ModelFileError(f"{path}: its part '{name}' is not what was saved. Copy the file again or refit.")
    return manifest, arrays


def _manifest(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        sealed = json.loads((metadata or {})[KEY])
        text, expected = sealed["manifest"], sealed["sha256"]
        manifest: dict[str, Any] = json.loads(text)
        schema = manifest["schema"]
    except (KeyError, TypeError, ValueError):
        raise ModelFileError(f"{path}: is a safetensors file but not a flawsight model. Make one with `flawsight fit`.") from None
    if schema != SCHEMA:
        raise ModelFileError(f"{path}: has schema {schema}; this flawsight reads schema {SCHEMA}. Update flawsight or refit.")
    if _sha256(text.encode()) != expected:
        raise ModelFileError(
            f"{path}: its manifest was changed after saving. Change a threshold with `flawsight threshold`; or refit."
        )
    return manifest


def _stored(array: NDArray[Any]) -> NDArray[Any]:
    """The array as it comes back: contiguous and little-endian. Not ascontiguousarray, which gives a scalar a dimension."""
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _fingerprint(array: NDArray[Any]) -> str:
    return _sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
