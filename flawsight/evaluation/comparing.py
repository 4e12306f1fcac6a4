"""Maps beside masks: what evaluation gathers of pixels, one picture at a time, and works out at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsight.datasets.odd_masks import OddMasks
from flawsight.errors import DataError, PictureError
from flawsight.evaluation.frames import map_at, mask_at
from flawsight.images import image, maskfiles
from flawsight.metrics import PixelTally, pro_of_picture, resampling
from flawsight.prediction import Prediction
from flawsight.preprocess import Preprocess
from flawsight.types import Mask, Outlines, Sample, mask_files

RESAMPLES = 200  # at most: a resample of all pixels costs more than one of the pictures' scores


@dataclass
class Comparison:
    """The pixels of the pictures added so far. pixels_at, mask_rule: see frames. imagewise: PRO of each picture too.

    n_masks: pictures with a mask. maskless: kind → defective pictures without one, which are left out. odd: what is odd about
    the masks.
    """

    preprocess: Preprocess
    pixels_at: str
    mask_rule: str
    imagewise: bool
    tally: PixelTally
    n_masks: int = 0
    maskless: dict[str, int] = field(default_factory=dict)
    odd: OddMasks = field(default_factory=OddMasks)
    _labels: list[int] = field(default_factory=list)
    _pro_each: list[float] = field(default_factory=list)

    def add(self, sample: Sample, result: Prediction) -> None:
        """Count a labelled picture in, unless its method gives no map. Raises DataError for a mask that does not fit."""
        heat = map_at(self.pixels_at, result)
        if heat is None:
            return
        if sample.mask is None and sample.label:
            self.maskless[sample.kind] = self.maskless.get(sample.kind, 0) + 1
            return
        mask: Mask = np.zeros(heat.shape, np.bool_)
        saturations: list[float] = []
        if sample.mask:
            whole = _read_mask(sample, result.size_hw)
            self.odd.add(sample, whole)
            mask = mask_at(self.pixels_at, whole, self.preprocess, self.mask_rule)
            saturations = _saturations(sample, whole)
        self.n_masks += sample.mask is not None
        self.tally.add(heat, mask, saturations)
        self._labels.append(int(bool(sample.label)))
        if self.imagewise and mask.any():
            self._pro_each.append(pro_of_picture(heat, mask))

    @property
    def pixels(self) -> PixelTally | None:
        """What the pixel metrics are worked out from; None without a mask."""
        return self.tally if self.n_masks else None

    @property
    def pro_each(self) -> list[float] | None:
        """PRO of each picture with a defect; None if it was not asked for."""
        return self._pro_each if self.imagewise else None

    def resampled(self, n: int) -> dict[str, NDArray[np.float64]]:
        """Pixel metrics of at most RESAMPLES sets of pictures drawn anew, by name; to be asked for before measuring."""
        return resampling.pixel_metrics(self.tally, self._labels, min(n, RESAMPLES)) if self.n_masks else {}


def check_masks(samples: Sequence[Sample]) -> None:
    """Raise DataError for the first mask that does not fit its picture, from the files' headers alone."""
    for sample in samples:
        try:
            picture_hw = image.size_hw(sample.path) if sample.mask else (0, 0)
        except PictureError:
            continue  # named with all the others when it is judged
        for file, mask_hw in maskfiles.sizes_hw(sample.mask).items():
            _check_mask(sample, file, mask_hw, picture_hw)


def _read_mask(sample: Sample, picture_hw: tuple[int, int]) -> Mask:
    """The picture's mask bool [H,W], or several of them [n,H,W]."""
    if isinstance(sample.mask, Outlines):
        _check_mask(sample, sample.mask.file, sample.mask.size_hw, picture_hw)
        return maskfiles.read(sample.mask)
    masks = []
    for file in mask_files(sample.mask):
        masks.append(maskfiles.read(file))
        _check_mask(sample, file, masks[-1].shape, picture_hw)
    return np.stack(masks) if isinstance(sample.mask, tuple) else masks[0]


def _saturations(sample: Sample, masks: Mask) -> list[float]:
    """Of each region of masks [n,H,W] the share that suffices; none where regions or shares are not known. Raises DataError."""
    if not sample.saturations or masks.ndim == 2:
        return []
    known = {one.value: one for one in sample.saturations}
    shares = []
    for file, mask in zip(mask_files(sample.mask), masks, strict=True):
        value = maskfiles.largest_value(file)
        if value not in known:
            raise DataError(
                f"{file}: a mask of one of the values {', '.join(map(str, sorted(known)))} was needed, by which the data set tells "
                f"how much of a defect suffices; its value is {value}. Unpack it again, or leave masks out with use_masks=False."
            )
        shares.append(known[value].share(max(1, int(np.count_nonzero(mask)))))
    return shares


def _check_mask(sample: Sample, file: Path, mask_hw: tuple[int, ...], picture_hw: tuple[int, ...]) -> None:
    if mask_hw != picture_hw:
        raise DataError(
            f"{file}: the mask of {sample.name} must have its picture's size, {picture_hw[1]}×{picture_hw[0]}; "
            f"it has {mask_hw[1]}×{mask_hw[0]}. Mend it, or judge whole pictures only, with use_masks=False."
        )
