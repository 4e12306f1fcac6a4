"""What a method learned, as it comes out of a model file: each array is checked as it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsight.errors import ModelFileError
from flawsight.methods.base import Method

CURE = "Copy the file again or refit."
LONGEST_SIDE = 1 << 20  # of a grid or of the network's input: of a strip of the largest size half of it


class Stored:
    """The arrays that a method's `state` gave. A dimension that is named twice has one length."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._sides: dict[str, int] = {}

    def take(self, name: str, dtype: type[np.generic], *shape: str | int, unknown: bool = False) -> NDArray[Any]:
        """The array of this type and shape, with a length or a name for each dimension. unknown: whether NaN may be in it.

        Raises ModelFileError where it is missing, of another type or shape, or not finite.
        """
        words = f"{np.dtype(dtype)} [{','.join(map(str, shape))}]"
        if name not in self._arrays:
            raise ModelFileError(f"{name}: expected {words}, got nothing. {CURE}")
        array = self._arrays[name]
        if not self._fits(array, dtype, shape):
            known = [f"{side}={n}" for side, n in self._sides.items() if side in shape]
            came = f"{array.dtype} [{','.join(map(str, array.shape))}]"
            raise ModelFileError(f"{name}: expected {' with '.join([words, *known])}, got {came}. {CURE}")
        check_finite(array, name, unknown)
        return array

    def _fits(self, array: NDArray[Any], dtype: type[np.generic], shape: tuple[str | int, ...]) -> bool:
        if array.dtype != dtype or array.ndim != len(shape):
            return False
        sides = dict(self._sides)
        for side, n in zip(shape, array.shape, strict=True):
            if (sides.setdefault(side, n) if isinstance(side, str) else side) != n:
                return False
        self._sides = sides
        return True


def check_within(array: NDArray[Any], name: str, first: int, end: ArrayLike) -> None:
    """Raise ModelFileError unless all entries lie from `first` to below `end`."""
    if not ((array >= first) & (array < end)).all():
        words = end if isinstance(end, int) else "the number of what they point at"
        raise ModelFileError(f"{name}: expected values from {first} to below {words}, got others. {CURE}")


def check_finite(array: NDArray[Any], name: str, unknown: bool = False) -> None:
    """Raise ModelFileError for an array with infinite values, or with NaN unless what is unknown may be in it."""
    if array.dtype.kind == "f" and not (~np.isinf(array) if unknown else np.isfinite(array)).all():
        raise ModelFileError(f"{name}: expected finite numbers, got others. {CURE}")


def restore(method: Method, arrays: Mapping[str, NDArray[Any]], prefix: str) -> None:
    """Give a method those of the arrays whose names begin so. Raises ModelFileError with the whole name."""
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    try:
        method.with_state(own)
    except ModelFileError as error:
        raise ModelFileError(f"{prefix}{error}") from error
