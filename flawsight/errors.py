"""The errors flawsight raises on purpose.

    FlawsightError
    ├── UsageError            the call or an option is wrong; the command line exits with 2
    │   └── UnknownName       no method, backbone, data set, metric or option of that name
    ├── DataError             the pictures, masks or folders cannot be used as they are
    │   └── PictureError      one picture cannot be read
    ├── ModelFileError        the model file, or a network's weights, are damaged, tampered with, missing or of a newer schema
    ├── MissingExtra          an optional library is not installed
    ├── LearningFailed        a method that learns by gradient learned nothing that can be used
    └── NotFitted             a method was asked to score before it was fitted

Every message reads: where: what was needed; what came. What to do.
"""

from __future__ import annotations

import copyreg
import difflib
from collections.abc import Iterable
from typing import Any


class FlawsightError(Exception):
    """Base of every error flawsight raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors come whole from other processes, whatever their `__init__` takes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # missing in typeshed


class UsageError(FlawsightError):
    """The call or an option is wrong."""


class UnknownName(UsageError):
    """A name that is in no table; the message offers the nearest ones."""

    def __init__(self, where: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        spelled = {one.lower(): one for one in known}
        near = [spelled[one] for one in difflib.get_close_matches(name.lower(), spelled, n=2, cutoff=0.5)]
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        super().__init__(f"{where}: there is no '{name}'. {hint}")


class DataError(FlawsightError):
    """The pictures, masks or folders cannot be used as they are."""


class PictureError(DataError):
    """One picture cannot be read. `name` says which, `reason` why and what to do."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class ModelFileError(FlawsightError):
    """The model file, or a network's weights, are damaged, tampered with, missing or of a newer schema."""


class MissingExtra(FlawsightError):
    """An optional library is not installed."""

    def __init__(self, where: str, library: str, extra: str) -> None:
        super().__init__(f"{where}: needs {library}, which is not installed. Run: pip install 'flawsight[{extra}]'")


class LearningFailed(FlawsightError):
    """A method that learns by gradient learned nothing that can be used."""


class NotFitted(FlawsightError):
    """A method was asked to score before it was fitted."""
