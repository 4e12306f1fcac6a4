"""ONNX trunks under onnxruntime (the core's) or OpenVINO (an extra, chosen by name; in float32 or, by another name, bfloat16)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import MissingExtra, ModelFileError, UnknownName, UsageError
from flawsight.system.threads import beside_others
from flawsight.types import Float

Run = Callable[[Float], list[Float]]
TWICE = 1 << 27  # bytes of a graph that may be in memory twice: WideResNet-50 up to its third stage has 100 million
OPENVINO_BF16 = "openvino-bf16"
APPROXIMATE = {  # runtimes that move scores, and what must be said of them; chosen only by who names them
    OPENVINO_BF16: "The network ran in bfloat16, of 8 significant bits, so scores differ from those in float32: on MVTec AD's "
    "screw by 0.2 % of the threshold in the median and up to 1.4 %. `flawsight bench` tells it of other pictures."
}
RANDOM_NOTE = "random weights: not a reproduction"


@dataclass(frozen=True)
class Origin:
    """Where a network's weights are from. sha256: of their file. weights: "published", "random", or "file" for a user's own."""

    sha256: str = ""
    licence: str = ""
    source: str = ""
    weights: str = "published"

    @property
    def message(self) -> str:
        """In a few words."""
        return self.notes[0] if self.notes else f"{self.source} (sha256 {self.sha256[:12]}…)"

    @property
    def notes(self) -> list[str]:
        """What must be said wherever results of such a network are shown."""
        return [RANDOM_NOTE] if "random" in self.weights else []


class OnnxBackbone:
    """A network from the bytes of its ONNX file.

    levels: names of the outputs wanted. runtime: one of RUNTIMES. Pictures run one at a time: on a CPU that is faster
    than a batch, whose maps outgrow the cache, and a picture's features cannot depend on its neighbours. device: "cpu", or "cuda",
    where torch takes the place of the runtime.
    """

    def __init__(
        self,
        data: bytes,
        levels: Sequence[str],
        runtime: str = "onnxruntime",
        origin: Origin | None = None,
        device: str = "cpu",
    ) -> None:
        check_runtime(runtime, device)
        self.data = data
        self.levels = tuple(levels)
        self.origin = origin or Origin()
        self.runtime = runtime if device == "cpu" else "torch"
        self.device = device
        self._run = RUNTIMES[runtime](data, list(levels)) if device == "cpu" else _on_gpu(data, list(levels), device)

    @property
    def members(self) -> tuple[OnnxBackbone, ...]:
        """The networks it is made of: itself alone."""
        return (self,)

    @property
    def graphs(self) -> dict[str, bytes]:
        """The parts of a model file that hold it, see joined.restored."""
        return {"backbone": self.data}

    @property
    def notes(self) -> list[str]:
        """What must be said wherever results of it are shown."""
        return notes_of(self.origin, self.runtime)

    def features(self, images: Float) -> list[Float]:
        """The feature maps, float32 [B,C,h,w] for each level, of images float32 [B,3,H,W]. Safe to call from several threads."""
        singles = [self._run(images[i : i + 1]) for i in range(len(images))]
        return [np.concatenate(maps) if len(maps) > 1 else maps[0] for maps in zip(*singles, strict=True)]


class Graph:
    """Any graph under onnxruntime, from the bytes of its ONNX file: inputs by name → all outputs. Safe to call from threads.

    threads: that share one call; 0 for as many as there are cores, or one where others work beside it.
    """

    def __init__(self, data: bytes, threads: int = 0) -> None:
        self._sessions = _Sessions(data, _session, threads)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = self._sessions.here().run(None, inputs)
        return found


class _Sessions:
    """A graph on all cores; and on one, for threads beside others, made when such a thread first asks.

    open: what takes a graph up, for calls on so many threads, 0 for all; a runtime fixes that when it takes up a graph. A graph of
    more than TWICE bytes is taken up once only.
    """

    def __init__(self, data: bytes, open: Callable[[bytes, int], Any], threads: int = 0) -> None:  # noqa: A002
        self.whole = open(data, threads)
        self._open = open
        self._data = data if threads == 0 and len(data) <= TWICE else b""
        self._single: Any = None
        self._lock = threading.Lock()

    def here(self) -> Any:
        """The session for the calling thread."""
        if not self._data or not beside_others():
            return self.whole
        with self._lock:
            self._single = self._single or self._open(self._data, 1)
        return self._single


def _onnxruntime(data: bytes, levels: list[str]) -> Run:
    sessions = _Sessions(data, _session)
    name = sessions.whole.get_inputs()[0].name
    return lambda images: [np.asarray(level) for level in sessions.here().run(levels, {name: images})]


def _session(data: bytes, threads: int = 0) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Its threads would wait for the next picture by spinning, on the cores that the neighbour search needs: a third of the time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise _unusable("onnxruntime", error) from error


def _openvino(data: bytes, levels: list[str], name: str = "openvino", precision: str = "f32") -> Run:
    try:
        import openvino
    except ImportError:
        raise MissingExtra(f"backbones: runtime '{name}'", "openvino", "openvino") from None
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        reason = "this processor has no instructions for bfloat16 (AVX-512 BF16 or AMX), without which nothing is gained"
        raise UsageError(f"backbones: runtime '{name}': {reason}. Choose openvino.")

    def compiled(data: bytes, threads: int) -> Any:
        # On all cores, or a stream of calls on each.
        spread = {"NUM_STREAMS": os.cpu_count() or 1} if threads == 1 else {"PERFORMANCE_HINT": "LATENCY"}
        try:
            return core.compile_model(core.read_model(data), "CPU", {**spread, "INFERENCE_PRECISION_HINT": precision})
        except RuntimeError as error:
            raise _unusable("openvino", error) from error

    sessions = _Sessions(data, compiled)

    def run(images: Float) -> list[Float]:
        # A request of its own for each call: requests may not be shared between threads.
        result = sessions.here().create_infer_request().infer({0: images})
        return [np.array(result[level]) for level in levels]

    return run


def check_runtime(runtime: str, device: str) -> None:
    """Raise UnknownName, UsageError or MissingExtra unless networks can run so on this machine."""
    from importlib.util import find_spec

    if runtime not in RUNTIMES:
        raise UnknownName("backbones: runtimes", runtime, RUNTIMES)
    if device == "cpu":
        return
    if runtime != "onnxruntime":
        raise UsageError(f"backbones: {runtime} runs on the cpu alone; device {device} came too. Leave out either.")
    if find_spec("torch") is None:
        raise MissingExtra(f"backbones: device {device}", "torch", "torch")
    from flawsight.backbones.gpu import place

    place(device)


def _on_gpu(data: bytes, levels: list[str], device: str) -> Run:
    from flawsight.backbones import gpu

    return gpu.runner(data, levels, device)


def notes_of(origin: Origin, runtime: str) -> list[str]:
    """What must be said wherever results of such a network under this runtime are shown."""
    return [*origin.notes, *([APPROXIMATE[runtime]] if runtime in APPROXIMATE else [])]


def _unusable(runtime: str, error: Exception) -> ModelFileError:
    return ModelFileError(f"backbones: {runtime} cannot load the network ({error}). Rebuild or refit the model.")


RUNTIMES: dict[str, Callable[[bytes, list[str]], Run]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    OPENVINO_BF16: partial(_openvino, name=OPENVINO_BF16, precision="bf16"),
}
