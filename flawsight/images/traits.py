"""What pictures are like apart from what they show: how they are stored, how many bits they use, how bright they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import UsageError

FEWEST_BITS, ALL_BITS = 8, 16
USUAL_BITS = (FEWEST_BITS, 10, 12, 14, ALL_BITS)  # of cameras that write files of 16 bits
SIDE = 96  # pixels of a picture, on its shorter side, that are looked at for colour and brightness
COLOURFUL = 1.0  # mean distance of the lightest channel from the darkest, of 255, from which a picture counts as one in colour
QUALITY_50 = 3688  # sum of the luminance table of a JPEG of quality 50


class Traits(NamedTuple):
    """Of one picture. format: such as "PNG"; "" of pixels that come from no file.

    depth: bits of a channel in the file, 8 or 16. bits: how many of these the picture needs, one of USUAL_BITS. quality: of a JPEG,
    estimated; 0 of others. is_grey: whether it shows no colours, however it is stored. brightness: 0 to 255, the mean of the pixels
    that are neither among the darkest nor among the brightest quarter, so that a small defect hardly moves it.
    """

    format: str = ""
    depth: int = FEWEST_BITS
    bits: int = FEWEST_BITS
    quality: int = 0
    is_grey: bool = False
    brightness: float = float("nan")

    @property
    def colour(self) -> str:
        """The same in a word."""
        return "grey" if self.is_grey else "colour"

    @property
    def depth_in_words(self) -> str:
        """The bits of a channel in the file, as "16-bit"."""
        return f"{self.depth}-bit"


UNKNOWN = Traits()


@dataclass(frozen=True)
class Learned:
    """Of all the pictures that a model was fitted on. bits: that pictures of 16 bits are read with.

    formats, depths, colours: how many pictures are of each. qualities, brightness: lowest and highest, empty where there is none.

    Raises UsageError for what cannot be.
    """

    bits: int = ALL_BITS
    formats: dict[str, int] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    colours: dict[str, int] = field(default_factory=dict)
    qualities: tuple[int, ...] = ()
    brightness: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "qualities", tuple(self.qualities))
        object.__setattr__(self, "brightness", tuple(self.brightness))
        if not FEWEST_BITS <= self.bits <= ALL_BITS:
            raise UsageError(f"pictures.bits: expected {FEWEST_BITS} to {ALL_BITS}, got {self.bits}.")
        for name in ("formats", "depths", "colours"):
            if any(n < 1 for n in getattr(self, name).values()):
                raise UsageError(f"pictures.{name}: expected counts from 1, got {getattr(self, name)}.")
        for name in ("qualities", "brightness"):
            ends = getattr(self, name)
            if len(ends) not in (0, 2) or not all(0 <= end <= 255 for end in ends):
                raise UsageError(f"pictures.{name}: expected two numbers of 0 to 255 or none, got {list(ends)}.")

    def in_words(self) -> dict[str, str]:
        """The same for a person; empty where nothing is known."""
        if not self.depths:
            return {}
        used = f", of 16 bits {self.bits} used" if self.bits < ALL_BITS else ""
        words = {
            "formats": _counted(self.formats) or "none, pixels alone",
            "colours": _counted(self.colours),
            "bits": f"{_counted(self.depths)}{used}",
            **({"brightness": f"{span(self.brightness)} of 255"} if self.brightness else {}),
        }
        return {**words, "JPEG quality": f"about {span(self.qualities)}"} if self.qualities else words


def learned_from(traits: Sequence[Traits], bits: int) -> Learned:
    """What these pictures have in common, of which those of 16 bits were read with so many."""
    qualities, bright = [one.quality for one in traits if one.quality], [one.brightness for one in traits]
    return Learned(
        bits=bits,
        formats=dict(Counter(sorted(one.format for one in traits if one.format))),
        depths=dict(Counter(sorted(one.depth_in_words for one in traits))),
        colours=dict(Counter(sorted(one.colour for one in traits))),
        qualities=(min(qualities), max(qualities)) if qualities else (),
        brightness=(round(min(bright), 2), round(max(bright), 2)) if bright else (),
    )


def bits_used(traits: Iterable[Traits]) -> int:
    """The bits that pictures of 16 bits use, the same for all of them: one of USUAL_BITS, ALL_BITS where there are none."""
    return max((one.bits for one in traits if one.depth > FEWEST_BITS), default=ALL_BITS)


def bits_for(highest: int) -> int:
    """The fewest of USUAL_BITS that hold a value of 0 to 65535."""
    return next(bits for bits in USUAL_BITS if not highest >> bits)


def check_bits(bits: int | None) -> None:
    """Raise UsageError unless pictures of 16 bits can be read with so many; None says that they tell themselves."""
    if bits is not None and not FEWEST_BITS <= bits <= ALL_BITS:
        raise UsageError(f"fit: bits must be {FEWEST_BITS} to {ALL_BITS}; got {bits}.")


def of(pixels: NDArray[np.uint8], is_grey: bool, format: str = "", bits: int | None = None, quality: int = 0) -> Traits:  # noqa: A002
    """The traits of a picture uint8 [H,W,3]. is_grey: whether its channels are known to be the same. bits: of 16, that it uses."""
    step = max(1, min(pixels.shape[:2]) // SIDE)
    seen = pixels[step // 2 :: step, step // 2 :: step]
    plain = is_grey or float(np.mean(seen.max(axis=2) - seen.min(axis=2))) < COLOURFUL
    levels = np.sort(seen[:, :, 0] if is_grey else seen.mean(axis=2), axis=None)
    middle = levels[levels.size // 4 : levels.size - levels.size // 4]
    depth = FEWEST_BITS if bits is None else ALL_BITS
    return Traits(format, depth, bits or FEWEST_BITS, quality, plain, float(middle.mean()))


def jpeg_quality(luminance: Sequence[int]) -> int:
    """Of 1 to 100, by how libjpeg scales its table: what that of a JPEG comes nearest to."""
    scale = 100 * sum(luminance) / QUALITY_50
    return max(1, min(100, round(100 - scale / 2 if scale <= 100 else 5000 / scale)))


def span(ends: Sequence[float]) -> str:
    """From the lowest to the highest in words."""
    low, high = (f"{end:.0f}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({n})" for name, n in counts.items())
