"""flawsight: learns what a good part looks like from good pictures alone, then scores, localises and explains defects.

    import flawsight as fs

    model = fs.fit("good/")
    model.save("part.flaw")
    prediction = fs.load("part.flaw").predict("new.png")

Importing it imports neither a runtime nor torch: each name is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flawsight._version import __version__

if TYPE_CHECKING:
    from flawsight.datasets import open_dataset
    from flawsight.errors import (
        DataError,
        FlawsightError,
        LearningFailed,
        MissingExtra,
        ModelFileError,
        NotFitted,
        PictureError,
        UnknownName,
        UsageError,
    )
    from flawsight.evaluation import evaluate, evaluate_dataset
    from flawsight.fitting import Plan, fit
    from flawsight.model import Model, load
    from flawsight.prediction import Prediction
    from flawsight.types import Report, Sample

_HOME = {
    "fit": "fitting",
    "Plan": "fitting",
    "load": "model",
    "Model": "model",
    "Prediction": "prediction",
    "Sample": "types",
    "Report": "types",
    "open_dataset": "datasets",
    "evaluate": "evaluation",
    "evaluate_dataset": "evaluation",
    "FlawsightError": "errors",
    "UsageError": "errors",
    "UnknownName": "errors",
    "DataError": "errors",
    "PictureError": "errors",
    "ModelFileError": "errors",
    "MissingExtra": "errors",
    "LearningFailed": "errors",
    "NotFitted": "errors",
    "overlay_of": "report.overlays",  # not public: what Prediction.overlay calls
}

__all__ = [
    "fit",
    "Plan",
    "load",
    "Model",
    "Prediction",
    "Sample",
    "Report",
    "open_dataset",
    "evaluate",
    "evaluate_dataset",
    "FlawsightError",
    "UsageError",
    "UnknownName",
    "DataError",
    "PictureError",
    "ModelFileError",
    "MissingExtra",
    "LearningFailed",
    "NotFitted",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"flawsight has no '{name}'; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"flawsight.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names too that nobody has used yet."""
    return sorted({*globals(), *__all__})
