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
from flawsight.system.files import atomic_write

RANDOM = "random"
SEED = 0
LEAST = 64  # pixels a side of a picture that primes: of one smaller a level may be a single place, which has no variance


def network_file(card: BackboneCard, levels: Sequence[str], weights: str | None = None, primed: int = 0) -> tuple[bytes, Origin]:
    """The ONNX file of a network that gives at least these levels, and where its weights are from.

    weights: None for the published ones; "random", which changes nothing where there are none; or a file: one of weights as the
    network's library reads them, or an ONNX file as `flawsight backbones export` writes it. What torch made once is kept, and found
    again without torch.
    primed: pixels a side of a picture of ones that first goes through the network in training mode, which moves the means and
    variances of its normalisation, as PatchCore's code does; 0 for none. An ONNX file stays as it is, and so do the embedded
    networks, whose normalisation is merged into their weights.
    Raises ModelFileError for weights that are missing or damaged, UsageError, MissingExtra.
    """
    if primed and primed < LEAST:
        raise UsageError(f"backbones: primed must be 0, or {LEAST} pixels or more; got {primed}.")
    if weights == RANDOM:
        data = proto.randomised(card.onnx(), SEED) if card.embedded else _torch(card).random(card, levels, SEED, primed)
        if card.embedded and data == card.onnx():
            return data, Origin(card.sha256, card.licence, card.source)
        source = f"drawn at random, seed {SEED}{_how_primed(0 if card.embedded else primed)}"
        return data, Origin(hashlib.sha256(data).hexdigest(), "", source, RANDOM)
    if weights is not None:
        return _from_file(card, levels, Path(weights), primed)
    if card.embedded:
        return card.onnx(), Origin(card.sha256, card.licence, card.source)
    kept = cache.find_trunk(card, levels, primed=primed)
    if kept is None:
        path, sha256 = cache.weights(card)
        kept = _made(card, levels, path, sha256, primed), sha256
    return kept[0], Origin(kept[1], card.licence, card.source + _how_primed(primed))


def export(name: str, levels: tuple[str, ...], path: Path, weights: str | None = None, primed: int = 0) -> tuple[list[str], Origin]:
    """Write a network's ONNX file; returns the levels it gives, and where its weights are from. Raises as network_file."""
    if name not in BACKBONES:
        raise UnknownName("backbones", name, BACKBONES)
    card = BACKBONES[name]
    levels = levels or card.default_levels
    card.check_levels(levels)
    if primed and card.embedded:
        raise UsageError(f"backbones: {name} has its normalisation merged into its weights and cannot be primed. Leave primed out.")
    data, origin = network_file(card, levels, weights, primed)
    atomic_write(path, data)
    return proto.read(data).outputs, origin


def _from_file(card: BackboneCard, levels: Sequence[str], path: Path, primed: int) -> tuple[bytes, Origin]:
    if not path.is_file():
        came = "this is a folder" if path.exists() else f"there is none. To draw them at random, say '{RANDOM}'"
        raise UsageError(f"{path}: a file with weights of {card.name} was needed; {came}.")
    sha256 = cache.file_hash(path)
    if path.suffix == ".onnx":
        data = path.read_bytes()
        found = proto.read(data).outputs
        for level in levels:
            if level not in found:
                raise UnknownName(f"{path}: its levels", level, found)
        as_it_is = ", its normalisation as it is there" if primed else ""
        return data, Origin(sha256, "", f"the file {path.name}{as_it_is}", "file")
    if card.embedded:
        raise UsageError(f"{path}: for {card.name} weights are taken from an ONNX file alone. Leave weights out for its own.")
    origin = Origin(sha256, "", f"the file {path.name}{_how_primed(primed)}", "file")
    if sha256.startswith(card.sha256):
        origin = Origin(sha256, card.licence, card.source + _how_primed(primed))
    kept = cache.find_trunk(card, levels, sha256, primed)
    return (kept[0] if kept else _made(card, levels, path, sha256, primed)), origin


def _how_primed(primed: int) -> str:
    return f", primed with {primed} × {primed} ones" if primed else ""


def _made(card: BackboneCard, levels: Sequence[str], path: Path, sha256: str, primed: int) -> bytes:
    """A file made by torch, and kept."""
    data: bytes = _torch(card).published(card, levels, path, primed)
    cache.keep_trunk(card, levels, sha256, data, primed)
    return data


def _torch(card: BackboneCard) -> ModuleType:
    """The room where torch is. Raises MissingExtra unless all that it needs for this network is installed."""
    from importlib.util import find_spec

    for library in dict.fromkeys(("torch", "torchvision", card.library, "onnx")):
        if find_spec(library) is None:
            raise MissingExtra(f"backbones: making an ONNX file of {card.name}", library, "torch")
    from flawsight.backbones import torch

    return torch
