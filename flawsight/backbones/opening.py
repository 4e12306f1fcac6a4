"""From a network's name, its levels and what is asked for as weights to the bytes of an ONNX file, and where these are from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from flawsight.backbones import cache, proto
from flawsight.backbones.cards import BACKBONES, BackboneCard
from flawsight.backbones.onnx import Origin
from flawsight.errors import MissingExtra, UnknownName, UsageError
from flawsight.files import atomic_write

RANDOM = "random"
SEED = 0


def network_file(card: BackboneCard, levels: Sequence[str], weights: str | None = None) -> tuple[bytes, Origin]:
    """The ONNX file of a network that gives at least these levels, and where its weights are from.

    weights: None for the published ones; "random", which changes nothing where there are none; or a file: one of weights as the
    network's library reads them, or an ONNX file as `flawsight backbones export` writes it. What torch made once is kept, and found
    again without torch.
    Raises ModelFileError for weights that are missing or damaged, UsageError, MissingExtra.
    """
    if weights == RANDOM:
        data = proto.randomised(card.onnx(), SEED) if card.embedded else _torch(card).random(card, levels, SEED)
        if card.embedded and data == card.onnx():
            return data, Origin(card.sha256, card.licence, card.source)
        return data, Origin(hashlib.sha256(data).hexdigest(), "", f"drawn at random, seed {SEED}", RANDOM)
    if weights is not None:
        return _from_file(card, levels, Path(weights))
    if card.embedded:
        return card.onnx(), Origin(card.sha256, card.licence, card.source)
    kept = cache.find_trunk(card, levels)
    if kept is None:
        path, sha256 = cache.weights(card)
        kept = _made(card, levels, path, sha256), sha256
    return kept[0], Origin(kept[1], card.licence, card.source)


def export(name: str, levels: tuple[str, ...], path: Path, weights: str | None = None) -> tuple[list[str], Origin]:
    """Write a network's ONNX file; returns the levels it gives, and where its weights are from. Raises as network_file."""
    if name not in BACKBONES:
        raise UnknownName("backbones", name, BACKBONES)
    card = BACKBONES[name]
    levels = levels or card.default_levels
    card.check_levels(levels)
    data, origin = network_file(card, levels, weights)
    atomic_write(path, data)
    return proto.read(data).outputs, origin


def _from_file(card: BackboneCard, levels: Sequence[str], path: Path) -> tuple[bytes, Origin]:
    if not path.is_file():
        came = "this is a folder" if path.exists() else f"there is none. To draw them at random, say '{RANDOM}'"
        raise UsageError(f"{path}: a file with weights of {card.name} was needed; {came}.")
    sha256 = cache.file_hash(path)
    origin = Origin(sha256, "", f"the file {path.name}", "file")
    if path.suffix == ".onnx":
        data = path.read_bytes()
        found = proto.read(data).outputs
        for level in levels:
            if level not in found:
                raise UnknownName(f"{path}: its levels", level, found)
        return data, origin
    if card.embedded:
        raise UsageError(f"{path}: for {card.name} weights are taken from an ONNX file alone. Leave weights out for its own.")
    if sha256.startswith(card.sha256):
        origin = Origin(sha256, card.licence, card.source)
    kept = cache.find_trunk(card, levels, sha256)
    return (kept[0] if kept else _made(card, levels, path, sha256)), origin


def _made(card: BackboneCard, levels: Sequence[str], path: Path, sha256: str) -> bytes:
    """A file made by torch, and kept."""
    data: bytes = _torch(card).published(card, levels, path)
    cache.keep_trunk(card, levels, sha256, data)
    return data


def _torch(card: BackboneCard) -> ModuleType:
    """The room where torch is. Raises MissingExtra unless all that it needs for this network is installed."""
    from importlib.util import find_spec

    for library in dict.fromkeys(("torch", "torchvision", card.library, "onnx")):
        if find_spec(library) is None:
            raise MissingExtra(f"backbones: making an ONNX file of {card.name}", library, "torch")
    from flawsight.backbones import torch

    return torch
