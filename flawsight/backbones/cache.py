"""The folder that keeps published weights, and the ONNX files made of them, for all users of this account.

    weights/<file as published>             pulled or imported, checked against the table's hash
    trunks/<name>-<hash of weights>-<levels>.onnx   made from them by the extra `torch`; runs without it; primed with a picture of
                                                    224 pixels a side, see opening.network_file, it ends in -primed224.onnx

Beside each file lies `<file>.sha256`, which `sha256sum -c` reads too: the table may know no more than the first digits of a
hash, so the whole one is kept from the day the file came, and checked whenever it is used.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from flawsight.backbones.cards import BackboneCard
from flawsight.errors import DataError, ModelFileError, UsageError
from flawsight.system.files import atomic_file, atomic_write
from flawsight.types import Progress

TIMEOUT_S = 30.0  # without a byte from the server
CHUNK = 1 << 20
TRUNKS = "trunks-1"  # the number rises when trunks are made another way


def folder() -> Path:
    """The cache folder: $FLAWSIGHT_CACHE, or where the system keeps caches. It need not exist."""
    if chosen := os.environ.get("FLAWSIGHT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "flawsight"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "flawsight" / "Cache"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(chosen) if chosen.startswith("/") else Path.home() / ".cache"  # relative ones are to be ignored
    return base / "flawsight"


def weights_file(card: BackboneCard) -> Path:
    """Where a paper network's weights lie, or would."""
    return folder() / "weights" / card.file


def pull(card: BackboneCard, progress: Progress | None = None) -> Path:
    """Fetch a paper network's weights from where they are published into the cache. Raises DataError, nothing half-fetched left."""
    import http.client
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    target = _made(weights_file(_published(card)))
    try:
        with urlopen(card.url, timeout=TIMEOUT_S) as response:
            _take(card, card.url, response, int(response.headers.get("Content-Length") or 0), target, progress)
    except (URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer too
        reason = error.reason if type(error) is URLError else error
        raise DataError(f"backbones: {card.url} was needed and cannot be fetched ({reason}). {_by_hand(card)}") from error
    return target


def take_in(card: BackboneCard, file: Path, progress: Progress | None = None) -> Path:
    """Copy a paper network's weights from a file into the cache. Raises DataError if it is not the one the table names."""
    target = _made(weights_file(_published(card)))
    if not file.is_file():
        raise DataError(f"{file}: the file {card.file} was needed; {'this is a folder' if file.is_dir() else 'there is none'}.")
    with file.open("rb") as source:
        _take(card, str(file), source, file.stat().st_size, target, progress)
    return target


def weights(card: BackboneCard) -> tuple[Path, str]:
    """A paper network's weights in the cache, and their sha256. Raises ModelFileError if they are missing or damaged."""
    path = weights_file(_published(card))
    if not path.is_file():
        raise ModelFileError(
            f"backbones: {card.name} needs its published weights, the file {card.file}, which is not in {path.parent}. "
            f"Fetch it with `flawsight backbones pull {card.name}`. {_by_hand(card)}"
        )
    found = file_hash(path)
    expected = recorded(path) or card.sha256
    if not found.startswith(card.sha256) or not found.startswith(expected):
        raise ModelFileError(f"backbones: {path} has sha256 {found[:12]}…, not {expected[:12]}…. {_afresh(card)}")
    return path, found


def verify(card: BackboneCard) -> str:
    """What is here of a network, in words, all of it checked. Raises ModelFileError for what is damaged or wholly missing."""
    if card.embedded:
        card.onnx()
        return f"embedded, whole, sha256 {card.sha256[:12]}…"
    trunks = _trunks(card)
    message = f"{len(trunks)} ONNX files made of such weights, whole" if trunks else ""
    for path in trunks:
        _checked(path)
    if trunks and not weights_file(card).is_file():
        return f"{message}; its weights themselves are not here"
    _, sha256 = weights(card)
    return f"whole, sha256 {sha256[:12]}…" + (f"; {message}" if message else "")


def state(card: BackboneCard) -> str:
    """Whether a network can be used, in words; nothing is checked."""
    if card.embedded:
        return "embedded"
    if weights_file(card).is_file():
        return "here"
    return "ONNX files alone are here" if _trunks(card) else "not here"


def find_trunk(card: BackboneCard, levels: Sequence[str], sha256: str = "", primed: int = 0) -> tuple[bytes, str] | None:
    """The ONNX file kept of a network with these levels, and the sha256 of its weights; None if there is none.

    sha256: of the weights; without it, of the published ones. Raises ModelFileError if it is damaged.
    """
    for path in sorted(folder().glob(f"{TRUNKS}/{_trunk_name(card, levels, (sha256 or card.sha256) + '*', primed)}")):
        return _checked(path), path.name.removeprefix(f"{card.name}-")[:64]
    return None


def keep_trunk(card: BackboneCard, levels: Sequence[str], sha256: str, data: bytes, primed: int = 0) -> Path:
    """Keep the ONNX file made from weights of this sha256; returns where."""
    path = _made(folder() / TRUNKS / _trunk_name(card, levels, sha256, primed))
    _record(path, hashlib.sha256(data).hexdigest())
    atomic_write(path, data)
    return path


def recorded(path: Path) -> str:
    """The sha256 kept beside a file; empty if none is."""
    try:
        return path.with_name(f"{path.name}.sha256").read_text(encoding="utf-8").split(" ")[0]
    except FileNotFoundError:
        return ""


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take(card: BackboneCard, origin: str, source: BinaryIO, total: int, target: Path, progress: Progress | None) -> None:
    digest, done = hashlib.sha256(), 0
    with atomic_file(target) as out:
        for chunk in _chunks(source):
            out.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if progress:
                progress("MiB of weights", done >> 20, max(total, done) >> 20)
        found = digest.hexdigest()
        if not found.startswith(card.sha256):
            raise DataError(
                f"{origin}: the file {card.file} with sha256 {card.sha256}… was needed; this one has {found[:12]}… and "
                f"{done} bytes. Get it again, from {card.url}."
            )
        _record(target, found)


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _published(card: BackboneCard) -> BackboneCard:
    if card.embedded:
        raise UsageError(f"backbones: the weights of {card.name} come with flawsight; there is nothing to fetch or import.")
    return card


def _by_hand(card: BackboneCard) -> str:
    return f"Or get {card.url} (sha256 {card.sha256}…) elsewhere, then run: flawsight backbones import {card.name} {card.file}"


def _afresh(card: BackboneCard) -> str:
    return f"Fetch it again: flawsight backbones pull {card.name}; or import it: flawsight backbones import {card.name} {card.file}"


def _trunks(card: BackboneCard) -> list[Path]:
    return sorted(folder().glob(f"{TRUNKS}/{card.name}-*.onnx"))


def _checked(path: Path) -> bytes:
    """A trunk's bytes."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != recorded(path):
        raise ModelFileError(f"backbones: {path} is damaged. Remove it; it is made anew when it is next needed.")
    return data


def _trunk_name(card: BackboneCard, levels: Sequence[str], sha256: str, primed: int) -> str:
    return f"{card.name}-{sha256}-{'+'.join(levels)}{f'-primed{primed}' if primed else ''}.onnx"


def _record(path: Path, sha256: str) -> None:
    atomic_write(path.with_name(f"{path.name}.sha256"), f"{sha256}  {path.name}\n".encode())


def _made(path: Path) -> Path:
    """The path, its folder made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"{path.parent}: a cache folder was needed; {why}. Set FLAWSIGHT_CACHE to a folder that may be written."
        ) from error
    return path
