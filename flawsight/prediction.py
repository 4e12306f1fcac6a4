"""Prediction: one picture judged, and what can be asked of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flawsight import regions
from flawsight.images.traits import ALL_BITS, UNKNOWN, Traits
from flawsight.preprocess import Preprocess
from flawsight.types import Evidence, Float, Mask, Region

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, repr=False)
class Prediction:
    """One picture judged.

    score: raw, higher is worse. threshold: the model's.
    size_hw: the picture's own pixels. seen_xyxy: the part that was looked at, in those. name: path or position of the picture.
    input_map: float32 [h,w], on the scale of the score, at the network's input; None where the method gives no map. preprocess:
    what brings it to the picture's pixels. typical_good: score of a typical good picture. path: the file it came from, if it did.
    traits: what the picture is like apart from what it shows. bits: that it was read with, see image.read.
    """

    name: str
    score: float
    threshold: float
    size_hw: tuple[int, int]
    seen_xyxy: tuple[int, int, int, int]
    input_map: Float | None
    preprocess: Preprocess
    evidence: Evidence | None = None
    typical_good: float = 0.0
    path: Path | None = None
    traits: Traits = UNKNOWN
    bits: int = ALL_BITS

    def __repr__(self) -> str:
        """A line: what counts, without arrays."""
        verdict = "rejected" if self.is_defective else "passed"
        return f"<Prediction {self.name}: {verdict}, score {self.score:.4g}, threshold {self.threshold:.4g}>"

    def to_dict(self) -> dict[str, Any]:
        """All but the map as plain values, which JSON takes unless the score is no number."""
        box, good = self.evidence and self.evidence.box_xyxy, self.evidence and self.evidence.good_box_xyxy
        return {
            "name": self.name,
            "score": self.score,
            "threshold": self.threshold,
            "is_defective": self.is_defective,
            "size_hw": list(self.size_hw),
            "seen_xyxy": list(self.seen_xyxy),
            "box_xyxy": box and list(box),
            "nearest_good": self.evidence and self.evidence.good_name,
            "nearest_good_box_xyxy": good and list(good),
            "regions": [asdict(region) for region in self.regions],
        }

    def overlay(self, picture: Any = None) -> Image.Image:
        """The picture with its heat map over it, in the colours of the reports. picture: the one judged, in any form that `predict`
        takes; needed unless it came from a file.

        Raises UsageError where there is no map, or no picture; PictureError where it cannot be read.
        """
        import flawsight

        drawn: Image.Image = flawsight.overlay_of(self, picture)
        return drawn

    @cached_property
    def map(self) -> Float | None:
        """The map at the picture's own pixels, float32 [H,W]; NaN where nobody looked, None where the method gives no map.

        It is worked out when it is first asked for: of a large picture that takes as long as a fifth of all the rest.
        """
        return None if self.input_map is None else self.preprocess.restore(self.input_map, self.size_hw)

    @cached_property
    def pixel_threshold(self) -> float:
        """The value that the map exceeds in `regions` and `mask`, see flawsight.regions; infinite where there are none."""
        return math.inf if self.map is None else regions.pixel_threshold(self.map, self.score, self.threshold)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Where a rejected picture is above the threshold, highest peak first, see flawsight.regions; none of a passed one."""
        return () if self.map is None or not self.is_defective else regions.find(self.map, self.pixel_threshold)

    @property
    def mask(self) -> Mask | None:
        """Bool [H,W] at the picture's own pixels, True in its regions; None where the method gives no map."""
        return None if self.map is None else self.map > self.pixel_threshold

    @property
    def is_defective(self) -> bool:
        """Whether the picture is rejected: unless its score is known to lie no higher than the threshold, which NaN never does."""
        return not self.score <= self.threshold
