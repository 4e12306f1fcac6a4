"""Masks that can be read and still cannot be right: those that mark nothing, or nearly everything."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from flawsight.datasets.base import some
from flawsight.images import maskfiles
from flawsight.types import Mask, Sample, mask_files

MOST, RIM = 0.5, 0.5  # shares of all pixels and of those at the rim, above which a mask looks inverted


@dataclass
class OddMasks:
    """What is found in the masks of defective pictures, by the pictures' names.

    blank: they mark nothing; hidden: that is since all they draw is in their transparency. full: they mark more than half of the
    picture, its rim included.
    """

    blank: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    n: int = 0

    def add(self, sample: Sample, mask: Mask) -> None:
        """Look at a picture's mask, bool [H,W], or [n,H,W] of its regions. Raises PictureError."""
        marked: Mask = mask.max(axis=0) if mask.ndim == 3 else mask
        self.n += 1
        if not marked.any():
            self.blank.append(sample.name)
            if any(file.suffix != ".json" and maskfiles.is_drawn_in_alpha(file) for file in mask_files(sample.mask)):
                self.hidden.append(sample.name)
        elif marked.mean() > MOST and _rim(marked).mean() > RIM:
            self.full.append(sample.name)

    def notes(self) -> list[str]:
        """What is odd, in sentences."""
        notes = []
        if self.blank:
            found = f"{len(self.blank)} of {self.n} masks show nothing, so no defect is measured in their pictures"
            notes.append(f"{found}: {some(self.blank)}.")
        if self.hidden:
            notes.append(
                f"In {len(self.hidden)} of them all colours are black and only the transparency differs, which counts as black. "
                "Save masks as white on black."
            )
        if self.full:
            notes.append(
                f"{len(self.full)} of {self.n} masks mark more than half of their picture, its rim included: {some(self.full)}. "
                "If black and white are exchanged there, invert them: black is the background."
            )
        return notes


def _rim(marked: Mask) -> Mask:
    return np.concatenate([marked[0], marked[-1], marked[:, 0], marked[:, -1]])
