"""From held-out scores of good pictures to a threshold and its promise."""

from flawsight.threshold.choosing import (
    CONFIDENCE,
    Threshold,
    check_confidence,
    check_share,
    choose,
    fits_best,
    fixed,
    from_defects,
    half_way,
    ladder,
    most_rejected,
    none,
    parse_share,
    upper_bound,
)
from flawsight.threshold.outlying import odd, suspects

__all__ = [
    "CONFIDENCE",
    "Threshold",
    "check_confidence",
    "check_share",
    "choose",
    "fits_best",
    "fixed",
    "from_defects",
    "half_way",
    "ladder",
    "most_rejected",
    "none",
    "odd",
    "parse_share",
    "suspects",
    "upper_bound",
]
