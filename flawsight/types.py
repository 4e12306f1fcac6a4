"""The nouns that travel between the parts: Sample, Scores, Evidence, Region, Row, Report. All frozen; shapes in the docstrings."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL import Image


Float = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Index = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]
Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
DETAIL = " · "  # in what progress says is being done, before that which changes from step to step: "training · loss 0.0123"
# A picture as anybody may have it: a path, a file's bytes, an open file, a Pillow picture, uint8 pixels, a Sample.
AnyPicture: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Pixels | Image.Image | Sample"


def name_of(path: str | bytes | Path) -> str:
    r"""What a path is called in results and errors: forward slashes, and bytes that are no UTF-8 written out: caf\udce9.png."""
    return Path(os.fsdecode(path)).as_posix().encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Outlines:
    """The defects of one picture as shapes, read from a file of Labelme or COCO.

    file: where they are. size_hw: of the picture that they were drawn on. shapes: each its kind (polygon, rectangle, circle or
    line) and its points (x, y) in pixels; a rectangle has two opposite corners, a circle its centre and a point of its rim.
    """

    file: Path
    size_hw: tuple[int, int]
    shapes: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


MaskFiles = Path | tuple[Path, ...] | Outlines  # of one picture; of several files each shows one region


def mask_files(mask: MaskFiles | None) -> tuple[Path, ...]:
    """The files that a picture's mask is in, none where there is none."""
    if isinstance(mask, Outlines):
        return (mask.file,)
    return (mask,) if isinstance(mask, Path) else mask or ()


@dataclass(frozen=True)
class Saturation:
    """How much of a region suffices for it to count as wholly found, for sPRO.

    value: of the pixels in the region's mask file. area: in pixels of the picture; relative: as a share of the region instead.
    """

    value: int
    area: float
    relative: bool

    def share(self, region_px: int) -> float:
        """The share of a region of that many pixels that suffices, in (0,1]: of whole pixels, at least one, at most all."""
        enough = int(self.area * region_px) if self.relative else int(self.area)
        return min(max(enough, 1), region_px) / region_px


@dataclass(frozen=True)
class Sample:
    """One picture of a data set, by its path; no pixels.

    name: path relative to the data set's root, with forward slashes; unique in the set.
    label: 0 good, 1 defective, None unknown. kind: "good" or the kind of defect. mask: the picture of the true defect, or several,
    each of one region of it, or its outlines. saturations: of a set that says how much of each of these regions suffices, by the
    value in its file.
    object_name: what other pictures show too, from other sides; "" where a picture stands for itself.
    """

    path: Path
    name: str
    label: int | None = None
    kind: str = ""
    mask: MaskFiles | None = None
    saturations: tuple[Saturation, ...] = ()
    object_name: str = ""


@dataclass(frozen=True)
class Scores:
    """What a method says of a batch: raw, higher is worse, never clipped, never rescaled by what is being judged.

    image: float32 [B]. map: float32 [B,h,w] at the size of the network's input; None from a method that judges pictures as wholes.
    Where a method keeps patches of good pictures, also
    peak: float32 [B,4], the most anomalous patch as top, left, bottom, right, each a share of the input's side; source: int32 [B],
    which training picture holds the nearest good patch; source_peak: float32 [B,4], where.
    """

    image: Float
    map: Float | None = None
    peak: Float | None = None
    source: NDArray[np.int32] | None = None
    source_peak: Float | None = None


@dataclass(frozen=True)
class Crop:
    """A small crop of a good picture that is kept in the model.

    pixels: uint8 [S,S,3], of what the network sees. patch_xyxy: where the patch lies, in shares of the crop's sides. is_nearest:
    whether this is the nearest good patch itself; else it is the one most like it of those kept. name: of the picture that it is
    from; box_xyxy: the patch in that picture's pixels.
    """

    pixels: Pixels
    patch_xyxy: tuple[float, float, float, float]
    is_nearest: bool
    name: str
    box_xyxy: tuple[int, int, int, int]


@dataclass(frozen=True)
class Evidence:
    """Why a picture scored as it did: its most anomalous patch and the nearest good one.

    box_xyxy: in the picture's pixels. good_name: the training picture's name; good_box_xyxy: in that picture's pixels.
    crop: what the model keeps to show of that patch, if anything.
    """

    box_xyxy: tuple[int, int, int, int]
    good_name: str
    good_box_xyxy: tuple[int, int, int, int]
    crop: Crop | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Region:
    """Pixels above the threshold that touch each other, corners included. All in the picture's own pixels."""

    box_xyxy: tuple[int, int, int, int]  # x1, y1 just outside it
    area: int  # pixels
    peak: float  # the highest value of the map in it
    peak_xy: tuple[int, int]  # where


@dataclass(frozen=True)
class Row:
    """One picture in a report.

    heat: float16 [h/4,w/4], the prediction's map thinned out, for drawing only; None where the method gives no map. size_hw: the
    picture's own pixels. regions, pixel_threshold: the prediction's. files: what was written about it, "overlay", "map" or "mask" →
    file, below the folder of results. bits: that the picture is read with, see image.read.
    """

    sample: Sample
    score: float
    is_defective: bool
    size_hw: tuple[int, int]
    seen_xyxy: tuple[int, int, int, int]
    heat: NDArray[np.float16] | None
    evidence: Evidence | None = None
    regions: tuple[Region, ...] = ()
    pixel_threshold: float = math.inf
    files: Mapping[str, str] = field(default_factory=dict)
    bits: int = 16


@dataclass(frozen=True)
class Report:
    """A model judged on labelled pictures.

    title: what was judged. metrics: name → fraction, NaN where undefined. curves: name → (x, y), each float32 [n], n ≤ 500:
    "roc" (false-positive rate, true-positive rate), "pro" (false-positive rate, mean overlap). counts: false_rejects, misses,
    good, defective, regions. threshold: value, what it promises, its rule. held_out: scores of unseen good
    pictures, float32 [n]; series: the number of each one's series, None where each counts by itself.
    scale: (cold, middle) of the one colour scale: typical good and threshold. settings, timings_s, versions: for the record.
    train: name → path of the good pictures the model was fitted on, where they are at hand. notes: what a reader must know.
    unreadable: name → why, of pictures left out. intervals: name of a metric → from where to where 95 % of its values lie where
    pictures are drawn anew.
    """

    title: str
    metrics: dict[str, float]
    rows: list[Row]
    curves: dict[str, tuple[Float, Float]]
    counts: dict[str, int]
    threshold: dict[str, Any]
    held_out: Float
    scale: tuple[float, float]
    settings: dict[str, Any]
    timings_s: dict[str, float]
    versions: dict[str, str]
    peak_rss_mb: float
    seed: int
    train: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    series: list[int] | None = None
