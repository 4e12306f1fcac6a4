"""A fit: a Plan says what and how, `fit` does it, `estimate` says beforehand what it will take."""

from flawsight.fitting.job import UNTOLD, estimate, fit
from flawsight.fitting.pictures import good_pictures, pictures_of, unused
from flawsight.fitting.plan import Plan

__all__ = ["UNTOLD", "Plan", "estimate", "fit", "good_pictures", "pictures_of", "unused"]
