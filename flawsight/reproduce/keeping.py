"""A network that remembers: what it made of a picture is kept, so that methods and seeds after the first get it for nothing."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np

from flawsight.backbones.joined import OF, JoinedBackbone
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.types import Float

IN_MEMORY = 512 << 20  # bytes of feature maps above which they go to a file
ON_DISK = 16 << 30  # bytes of the file above which nothing more is kept


@contextlib.contextmanager
def keeping(network: OnnxBackbone | JoinedBackbone) -> Iterator[OnnxBackbone | JoinedBackbone]:
    """The network, which remembers until the block ends; of several joined ones each by itself."""
    with contextlib.ExitStack() as stack:

        def kept(one: OnnxBackbone) -> KeptBackbone:
            n = len(network.members)
            return stack.enter_context(contextlib.closing(KeptBackbone(one, IN_MEMORY // n, ON_DISK // n)))

        if isinstance(network, OnnxBackbone):
            yield kept(network)
        else:
            names = dict.fromkeys(level.partition(OF)[0] for level in network.levels)  # as the members come
            parts = {name: kept(member) for name, member in zip(names, network.members, strict=True)}
            yield JoinedBackbone(parts, network.levels, network.origin)


class KeptBackbone(OnnxBackbone):
    """The network given, with its feature maps kept by the contents of its input. Safe to use from several threads.

    in_memory, on_disk: bytes, see above. The file has no name and is gone when this is closed.
    """

    def __init__(self, network: OnnxBackbone, in_memory: int = IN_MEMORY, on_disk: int = ON_DISK) -> None:
        vars(self).update(vars(network))  # it is that network, in all that is asked of it but the features
        self._network = network
        self._room = in_memory
        self._room_on_disk = on_disk
        self._kept: dict[bytes, list[Float]] = {}
        self._filed: dict[bytes, tuple[int, list[tuple[int, ...]]]] = {}  # where its maps begin in the file, and their shapes
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self.n_computed = 0

    def features(self, images: Float) -> list[Float]:
        """See OnnxBackbone.features."""
        singles = [self._one(images[i : i + 1]) for i in range(len(images))]
        return [np.concatenate(maps) if len(maps) > 1 else maps[0] for maps in zip(*singles, strict=True)]

    def close(self) -> None:
        """Forget what was kept."""
        self._kept.clear()
        self._filed.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _one(self, image: Float) -> list[Float]:
        key = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=20, person=str(image.shape[-2:]).encode()[:16]).digest()
        with self._lock:
            if (maps := self._known(key)) is not None:
                return maps
        maps = self._network.features(image)
        with self._lock:
            self.n_computed += 1
            if key not in self._kept and key not in self._filed:
                self._keep(key, maps)
        return maps

    def _known(self, key: bytes) -> list[Float] | None:
        if key in self._kept:
            return [array.copy() for array in self._kept[key]]  # whoever gets them may scale them in place
        if key not in self._filed or self._file is None:
            return None
        start, shapes = self._filed[key]
        maps = []
        for shape in shapes:
            mapped = np.memmap(self._file, np.float32, "r", start, shape)
            maps.append(np.array(mapped))
            start += mapped.nbytes
        return maps

    def _keep(self, key: bytes, maps: list[Float]) -> None:
        size = sum(array.nbytes for array in maps)
        if size <= self._room:
            self._kept[key] = [array.copy() for array in maps]
            self._room -= size
        elif size <= self._room_on_disk:
            try:
                self._filed[key] = self._write(maps), [array.shape for array in maps]
                self._room_on_disk -= size
            except OSError:
                self._room_on_disk = 0  # the disk is full: what was kept so far serves on, and nothing is kept any more

    def _write(self, maps: list[Float]) -> int:
        """Where in the file the maps begin."""
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as this does
        start = self._file.seek(0, 2)
        for array in maps:
            self._file.write(np.ascontiguousarray(array, np.float32).data)
        self._file.flush()
        return start
