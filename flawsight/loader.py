"""Pictures in: what they are called, their pixels, and what is known of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flawsight.datasets.base import loose_samples
from flawsight.errors import PictureError, UsageError
from flawsight.images import image
from flawsight.images.traits import ALL_BITS, UNKNOWN, Traits
from flawsight.types import Pixels, Sample, name_of

if TYPE_CHECKING:
    from flawsight.types import AnyPicture


class Inspection(NamedTuple):
    """What is known of a picture that can be read: size (high, wide) and a sha256 of its pixels; what `keep` and `look` made of it;
    and what it is like apart from what it shows.
    """

    size_hw: tuple[int, int]
    fingerprint: str
    kept: Pixels | None = None
    look: Pixels | None = None
    traits: Traits = UNKNOWN


def named(picture: AnyPicture, position: int) -> str:
    """What to call a picture in results and errors: its name or path, or else its position."""
    if isinstance(picture, Sample):
        return picture.name
    if isinstance(picture, str | os.PathLike):
        return name_of(Path(picture))
    name = getattr(picture, "filename", None) or getattr(picture, "name", None)  # of a Pillow picture; of an open file
    return name_of(name if isinstance(name, str | bytes | Path) else f"picture {position}")


def path_of(picture: AnyPicture) -> Path | None:
    """The file that a picture is in, if it came as one."""
    if isinstance(picture, Sample):
        return picture.path
    return Path(picture) if isinstance(picture, str | os.PathLike) else None


def several(pictures: AnyPicture | Iterable[AnyPicture]) -> Iterator[tuple[AnyPicture, int]]:
    """The pictures, with their positions from 1 on: those of a folder and below in its place, open files read by their turn.

    Raises UsageError where one picture came that could be taken for several, DataError for a folder without pictures.
    """
    if isinstance(pictures, str | os.PathLike):
        pictures = [pictures]
    shape = getattr(pictures, "shape", (0, 0, 0, 0))
    one = (
        isinstance(pictures, bytes | bytearray | memoryview | Sample) or hasattr(pictures, "read") or hasattr(pictures, "getpixel")
    )
    if one or len(shape) < 3 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        raise UsageError("predict_batch: expected several pictures, got one. Call predict, or give it in a list.")
    return enumerated(pictures)  # type: ignore[arg-type]


def enumerated(pictures: Iterable[AnyPicture]) -> Iterator[tuple[AnyPicture, int]]:
    """See several."""
    position = 0
    for picture in pictures:
        is_folder = isinstance(picture, str | os.PathLike) and Path(picture).is_dir()
        for one in loose_samples([Path(picture)]) if is_folder else [picture]:  # type: ignore[arg-type]
            position += 1
            yield one, position


def read(picture: AnyPicture, position: int, bits: int = ALL_BITS) -> Pixels:
    """Its pixels, uint8 [H,W,3]. bits: see image.read. Raises PictureError with the picture's name."""
    return examine(picture, position, bits)[0]


def examine(picture: AnyPicture, position: int, bits: int = ALL_BITS) -> tuple[Pixels, Traits]:
    """The same, and what the picture is like apart from what it shows."""
    source, name = picture.path if isinstance(picture, Sample) else picture, named(picture, position)
    return image.examine(streamed(source, name) if hasattr(source, "read") else source, name, bits)


def streamed(stream: Any, name: str) -> bytes:
    """All bytes of an open file, from its start where it can go back there. Raises PictureError."""
    try:
        if stream.seekable():
            stream.seek(0)
        data = stream.read()
    except (OSError, ValueError) as error:  # ValueError: of one that is closed
        raise PictureError(name, f"cannot be read ({error}). Give it open, or its path.") from None
    if not isinstance(data, bytes | bytearray | memoryview):
        raise PictureError(name, 'is open as text. Open it with mode "rb".')
    return bytes(data)


def inspect(
    picture: AnyPicture,
    position: int,
    keep: Callable[[Pixels], Pixels | None] | None = None,
    look: Callable[[Pixels], Pixels] | None = None,
    bits: int = ALL_BITS,
) -> Inspection | PictureError:
    """Decode the whole picture to see whether it can be; an error is returned, not raised, so that all can be listed.

    keep: what to keep of its pixels, so that it need not be decoded again. look: a small copy, to find what is alike by. bits: see
    image.read.
    """
    try:
        pixels, traits = examine(picture, position, bits)
    except PictureError as error:
        return error
    kept = keep(pixels) if keep else None
    return Inspection((pixels.shape[0], pixels.shape[1]), fingerprint(pixels), kept, look and look(pixels), traits)


def fingerprint(pixels: Pixels) -> str:
    """sha256 of a picture's size and pixels: equal for two files that show the same."""
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    if image.is_grey(pixels):  # a channel at a time takes a fifth of what numpy's own copy does
        whole = np.empty(pixels.shape, np.uint8)
        for channel in range(3):
            whole[:, :, channel] = pixels[:, :, 0]
        pixels = whole
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
