"""How pictures are to be judged in an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from flawsight.errors import UnknownName, UsageError
from flawsight.evaluation import extremes
from flawsight.evaluation.frames import MASK_RULES, PIXELS_AT
from flawsight.metrics.pixels import EXACT_PX


@dataclass(frozen=True)
class Judging:
    """How to judge. use_masks: work out pixel metrics. skip_bad: leave unreadable pictures out instead of stopping.

    exact_px: pixels of all pictures up to which pixel metrics are exact, see PixelTally. pixels_at, mask_rule: where maps and masks
    are compared, and what of a reduced mask counts as defective, see frames. imagewise: also PRO picture by picture, which takes
    longer. resamples: of the pictures, for the intervals of the metrics; 0 for none. ensemble_norm: what an
    ensemble's members are scaled by, "held-out" good pictures or, as the paper's code does, the "test" pictures, see extremes.
    decides_at: the score above which the method by itself calls a picture defective, for the accuracy of that; None if it does not.
    """

    use_masks: bool = True
    skip_bad: bool = False
    exact_px: int = EXACT_PX
    pixels_at: str = "native"
    mask_rule: str = "half"
    imagewise: bool = False
    resamples: int = 0
    ensemble_norm: str = extremes.NORMS[0]
    decides_at: float | None = None

    def __post_init__(self) -> None:
        for where, name, known in (
            ("pixels_at", self.pixels_at, PIXELS_AT),
            ("mask_rule", self.mask_rule, MASK_RULES),
            ("ensemble_norm", self.ensemble_norm, extremes.NORMS),
        ):
            if name not in known:
                raise UnknownName(f"evaluate: {where}", name, known)
        if self.resamples < 0:
            raise UsageError(f"evaluate: resamples must be ≥ 0; got {self.resamples}.")

    @property
    def by_extremes(self) -> bool:
        return self.ensemble_norm == "test"
