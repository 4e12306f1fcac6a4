"""The error tree: it comes whole from other processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from flawsight import errors

MADE = [
    errors.FlawsightError("x: wrong"),
    errors.UsageError("x: wrong"),
    errors.UnknownName("methods", "patchcor", ["patchcore", "padim"]),
    errors.DataError("x: wrong"),
    errors.PictureError("größe.png", "is empty"),
    errors.ModelFileError("x: wrong"),
    errors.MissingExtra("methods: x", "torch", "torch"),
    errors.LearningFailed("x: wrong"),
    errors.NotFitted("x: wrong"),
]


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_errors_come_whole_from_other_processes(error: errors.FlawsightError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
