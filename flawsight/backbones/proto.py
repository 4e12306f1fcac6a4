"""What an ONNX file says, read from its bytes without another library: as much of protobuf, and of ONNX, as networks here need.

A message is a row of fields, each a number with its kind, then a value: a varint, 4 or 8 bytes, or bytes of a given length, which
may be a message again. The numbers below are those of onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import ModelFileError

FLOAT, INT64 = 1, 7  # kinds of numbers in constants
DTYPES: dict[int, np.dtype[Any]] = {FLOAT: np.dtype("<f4"), INT64: np.dtype("<i8")}
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5

Field = tuple[int, Any]  # number, value


@dataclass(frozen=True)
class Node:
    """One step of a graph. attributes: name → whole number, float, text, or tuple of whole numbers."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Network:
    """A graph. constants: name → array, whose memory is the file's own bytes; input, outputs: their names."""

    nodes: list[Node]
    constants: dict[str, NDArray[Any]]
    input: str
    outputs: list[str]


def read(data: bytes | bytearray) -> Network:
    """The network in an ONNX file. Raises ModelFileError for other bytes."""
    network = Network([], {}, "", [])
    inputs: list[str] = []
    try:
        for number, value in _inside(memoryview(data), 7):
            if number == 1:
                network.nodes.append(_node(value))
            elif number == 5:
                name, array = _tensor(value)
                network.constants[name] = array
            elif number in (11, 12):
                (inputs if number == 11 else network.outputs).append(_text(next(_inside_all(value, 1))))
    except (ValueError, IndexError, KeyError, StopIteration, struct.error) as error:
        raise ModelFileError(f"backbones: these {len(data)} bytes are no network in an ONNX file ({error!r}).") from error
    pictures = [name for name in inputs if name not in network.constants]
    if not network.nodes or len(pictures) != 1:
        raise ModelFileError(f"backbones: these {len(data)} bytes are no network in an ONNX file that takes pictures alone.")
    return Network(network.nodes, network.constants, pictures[0], network.outputs)


def randomised(data: bytes, seed: int) -> bytes:
    """The same network with random weights: He's for every layer, the smaller ones after which nothing is cut off; biases zero.

    For networks whose normalisation is merged into the convolutions, as the embedded ones are.
    """
    changed = bytearray(data)
    rng = np.random.default_rng(seed)
    network = read(changed)
    bent = {node.inputs[0] for node in network.nodes if node.op in ("Clip", "Relu")}
    for node in network.nodes:
        if node.op == "Conv":
            weight, bias = (network.constants[name] for name in node.inputs[1:])
            gain = 2 if node.outputs[0] in bent else 1
            weight[:] = rng.standard_normal(weight.shape, np.float32) * np.float32((gain / weight[0].size) ** 0.5)
            bias[:] = 0
    return bytes(changed)


def _fields(view: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(view, at)
            yield number, value - (1 << 64) if value >> 63 else value
            continue
        if kind == BYTES:
            size, at = _varint(view, at)
        else:
            size = {EIGHT_BYTES: 8, FOUR_BYTES: 4}[kind]
        if at + size > len(view):
            raise ValueError("cut short")
        yield number, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while view[at] & 0x80:
        value |= (view[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | view[at] << shift, at + 1


def _inside_all(view: memoryview, number: int) -> Iterator[Any]:
    return (value for found, value in _fields(view) if found == number)


def _inside(view: memoryview, number: int) -> Iterator[Field]:
    for message in _inside_all(view, number):
        yield from _fields(message)


def _text(view: memoryview) -> str:
    return bytes(view).decode()


def _numbers(values: list[Any]) -> Iterator[int]:
    """Whole numbers of a repeated field, which come one by one or many in one stretch of bytes."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number - (1 << 64) if number >> 63 else number


def _node(view: memoryview) -> Node:
    fields = list(_fields(view))
    inputs = tuple(_text(value) for number, value in fields if number == 1)
    outputs = tuple(_text(value) for number, value in fields if number == 2)
    op = next(_text(value) for number, value in fields if number == 4)
    return Node(op, inputs, outputs, dict(_attribute(value) for number, value in fields if number == 5))


def _attribute(view: memoryview) -> tuple[str, Any]:
    fields = list(_fields(view))
    kind = next((value for number, value in fields if number == 20), 0)
    values = [value for number, value in fields if number == {1: 2, 2: 3, 3: 4, 7: 8}.get(kind)]
    name = next(_text(value) for number, value in fields if number == 1)
    if kind == 1:
        return name, struct.unpack("<f", values[0])[0]
    if kind == 3:
        return name, _text(values[0])
    numbers = tuple(_numbers(values))
    return name, numbers if kind == 7 else next(iter(numbers), None)


def _tensor(view: memoryview) -> tuple[str, NDArray[Any]]:
    fields = list(_fields(view))
    shape = tuple(_numbers([value for number, value in fields if number == 1]))
    kind = next(value for number, value in fields if number == 2)
    name = next(_text(value) for number, value in fields if number == 8)
    raw = next(value for number, value in fields if number == 9)
    return name, np.frombuffer(raw, DTYPES[kind]).reshape(shape)
