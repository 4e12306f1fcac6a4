"""Judging labelled pictures: a model and Samples in, a Report out."""

from flawsight.evaluation.recipe import evaluate, evaluate_dataset, objects_of

__all__ = ["evaluate", "evaluate_dataset", "objects_of"]
