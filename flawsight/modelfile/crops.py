"""Small crops of good pictures, kept in a model so that the nearest good patch can be drawn where the pictures are not at hand.

A bank has thousands of patches, a model room for a few hundred crops. Those kept are spread over each bank by greedy k-center; in
place of any other patch the one nearest to it among them is shown, and said to be another. Crops are cut from what the network
sees, with the patch in the middle and its own width around it, and lie in one JPEG, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import ModelFileError, PictureError
from flawsight.images import image
from flawsight.methods.base import KeepingMethod, Kept, Method
from flawsight.methods.stored import CURE, Stored, check_within
from flawsight.preprocess import Box, Preprocess, window
from flawsight.search import coreset
from flawsight.types import Float, Pixels

SIDES = (32, 48)  # of a crop in pixels, the least and the most: multiples of the 8 that JPEG writes at once
COLUMNS = 16  # crops beside each other
MOST = 768  # crops in a model
MOST_BYTES = 300_000  # of the JPEG, which is made coarser until it keeps to them
QUALITIES = (85, 75, 60, 40, 20, 5)
MOST_ROWS = coreset.TABLE_ROWS  # of a bank that crops are chosen from, evenly spaced: of so few that takes a tenth of a second


class Found(NamedTuple):
    """A crop. pixels: uint8 [S,S,3]. picture, place: where it is from, as Scores.source and source_peak have it.
    is_nearest: whether that is the place asked for, not one like it.
    """

    pixels: Pixels
    picture: int
    place: Float
    is_nearest: bool


@dataclass(frozen=True)
class Crops:
    """The crops of a model.

    patches: int32 [K], which patches they show, counted through all banks, rising. sheet: the JPEG, uint8 [bytes]. banks: of the
    method.
    """

    patches: NDArray[np.int32]
    sheet: NDArray[np.uint8]
    banks: list[Kept]

    def __len__(self) -> int:
        return len(self.patches)

    @property
    def side(self) -> int:
        """Pixels of each on a side."""
        wide: int = self.pixels.shape[1]
        return wide // COLUMNS

    def in_words(self) -> str:
        """How many there are and how large."""
        return f"{len(self):,} of {self.side}×{self.side} pixels, {len(self.sheet) / 1000:.0f} KB"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a model file holds."""
        return {"crops.patches": self.patches, "crops.sheet": self.sheet}

    def of(self, picture: int, place: Float) -> Found | None:
        """The crop of a good patch, or of the one nearest to it among those that have one. None of a patch that no bank keeps.

        picture, place: as Scores.source and source_peak have them.
        """
        shown, there = self._at(picture, place, self.patches), self._at(picture, place)
        if len(shown):
            return self._found(int(shown[0]), is_nearest=True)
        if not len(there):
            return None
        row = int(there[0])
        bank = int(np.searchsorted(self._starts, row, "right")) - 1
        first, end = np.searchsorted(self.patches, self._starts[bank : bank + 2])
        if first == end:
            return None
        rows = self.banks[bank].rows
        with np.errstate(over="ignore"):
            away = rows[self.patches[first:end] - self._starts[bank]] - rows[row - self._starts[bank]]
            nearest = np.einsum("kd,kd->k", away, away).argmin()
        return self._found(int(first + nearest), is_nearest=False)

    def _at(self, picture: int, place: Float, patches: NDArray[np.int32] | slice = slice(None)) -> NDArray[np.int64]:
        """Which of the patches lie there."""
        near = np.flatnonzero(self._pictures[patches] == picture)
        there: NDArray[np.int64] = near[(self._places[patches][near] == place).all(1)]
        return there

    def _found(self, crop: int, is_nearest: bool) -> Found:
        down, across = (at * self.side for at in divmod(crop, COLUMNS))
        patch = self.patches[crop]
        pixels = self.pixels[down : down + self.side, across : across + self.side]
        return Found(pixels, int(self._pictures[patch]), self._places[patch], is_nearest)

    @cached_property
    def pixels(self) -> Pixels:
        """The sheet, uint8 [rows · S, COLUMNS · S, 3]."""
        return image.read(self.sheet.tobytes(), "crops.sheet")

    @cached_property
    def _pictures(self) -> NDArray[np.int32]:
        return np.concatenate([bank.pictures for bank in self.banks])

    @cached_property
    def _places(self) -> Float:
        return np.concatenate([bank.places for bank in self.banks])

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first patch of each bank, and the end of the last."""
        return np.cumsum([0, *(len(bank.rows) for bank in self.banks)])


def kept(
    method: Method,
    preprocess: Preprocess,
    sizes_hw: Sequence[tuple[int, int]],
    seen: Callable[[Sequence[int]], Iterable[Pixels]],
) -> Crops | None:
    """The crops to keep of a fitted method's patches; None of one that keeps no patches.

    sizes_hw: of each good picture. seen: gives of pictures at these places what the network sees, see Preprocess.reduce.
    """
    if not isinstance(method, KeepingMethod):
        return None
    banks = method.kept()
    side = _side(banks, preprocess, sizes_hw)
    patches = _spread(banks, MOST // len(banks))
    pictures, places = (np.concatenate([part[i] for part in banks])[patches] for i in (1, 2))
    sheet = np.zeros((-(-len(patches) // COLUMNS) * side, COLUMNS * side, 3), np.uint8)
    wanted = np.unique(pictures).tolist()
    for picture, pixels in zip(wanted, seen(wanted), strict=True):
        for crop in np.flatnonzero(pictures == picture):
            down, across = (int(at) * side for at in divmod(crop, COLUMNS))
            cut = _cut(pixels, window_seen(preprocess, places[crop], sizes_hw[picture]), side)
            sheet[down : down + side, across : across + side] = cut
    return Crops(patches, np.asarray(memoryview(_encoded(sheet))), banks)


def restored(arrays: Mapping[str, NDArray[Any]], method: Method) -> Crops | None:
    """The crops in a model file, of a method with all that it learned; None where it holds none. Raises ModelFileError."""
    if not any(name.startswith("crops.") for name in arrays):
        return None
    stored = Stored(arrays)
    patches, sheet = stored.take("crops.patches", np.int32, "K"), stored.take("crops.sheet", np.uint8, "bytes")
    banks = method.kept() if isinstance(method, KeepingMethod) else []
    check_within(patches, "crops.patches", 0, sum(len(bank.rows) for bank in banks))
    if not len(patches) or (np.diff(patches) <= 0).any():
        raise ModelFileError(f"crops.patches: expected rising numbers of patches, got others. {CURE}")
    crops = Crops(patches, sheet, banks)
    try:
        high, wide = crops.pixels.shape[:2]
    except PictureError as error:
        raise ModelFileError(f"{error} {CURE}") from None
    if (high, wide) != (-(-len(patches) // COLUMNS) * crops.side, COLUMNS * crops.side):
        words = f"{len(patches)} squares, {COLUMNS} in a row"
        raise ModelFileError(f"crops.sheet: expected a picture of {words}, got {wide}×{high} pixels. {CURE}")
    return crops


def window_seen(preprocess: Preprocess, place: Float, picture_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """What the crop of a patch shows: left, top, right, bottom in shares of what the network sees of the picture."""
    seen = preprocess.seen_xyxy(picture_hw)
    return _in_shares(window(preprocess.box_xyxy(place, picture_hw), seen), seen)


def patch_in_crop(preprocess: Preprocess, place: Float, picture_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """Where the patch lies in its crop: left, top, right, bottom in shares of the crop's sides."""
    box = preprocess.box_xyxy(place, picture_hw)
    return _in_shares(box, window(box, preprocess.seen_xyxy(picture_hw)))


def _in_shares(box: Box, whole: Box) -> tuple[float, float, float, float]:
    (x0, y0, x1, y1), (left, top, right, bottom) = box, whole
    wide, high = right - left, bottom - top
    return (x0 - left) / wide, (y0 - top) / high, (x1 - left) / wide, (y1 - top) / high


def _spread(banks: Sequence[Kept], most: int) -> NDArray[np.int32]:
    """At most so many patches of each bank, far from each other; counted through all banks, rising."""
    chosen, start = [], 0
    for bank in banks:
        n = len(bank.rows)
        some = np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(np.int64)
        picked = some[coreset.greedy(bank.rows[some], min(most, len(some)), overwrite=True)[0]]
        chosen.append(np.sort(picked) + start)
        start += n
    return np.concatenate(chosen).astype(np.int32)


def _side(banks: Sequence[Kept], preprocess: Preprocess, sizes_hw: Sequence[tuple[int, int]]) -> int:
    """Pixels that are enough for what the network sees of most patches and their surroundings."""
    first = banks[0]
    left, top, right, bottom = window_seen(preprocess, first.places[0], sizes_hw[first.pictures[0]])
    high, wide = preprocess.input_hw(sizes_hw[first.pictures[0]])
    enough = max((right - left) * wide, (bottom - top) * high)
    return next((side for side in SIDES if side >= enough), SIDES[-1])


def _cut(pixels: Pixels, shares: tuple[float, float, float, float], side: int) -> Pixels:
    """That part of what the network sees, uint8 [h,w,1 or 3], as a square: [side,side,1 or 3]."""
    from PIL import Image

    high, wide = pixels.shape[:2]
    box = np.array(shares) * (wide, high, wide, high)
    left, top = np.floor(box[:2]).astype(int)
    part = pixels[top : math.ceil(box[3]), left : math.ceil(box[2])]
    box -= left, top, left, top
    source = Image.fromarray(np.ascontiguousarray(part[:, :, 0] if part.shape[2] == 1 else part))
    return np.atleast_3d(np.asarray(source.resize((side, side), Image.Resampling.BICUBIC, tuple(box))))


def _encoded(sheet: Pixels) -> bytes:
    """The sheet as a JPEG, as fine as it may be; of grey crops with one channel."""
    is_grey = (sheet == sheet[:, :, :1]).all()
    for quality in QUALITIES:
        data = image.encode(sheet[:, :, 0] if is_grey else sheet, "jpeg", quality, full_colour=True)
        if len(data) <= MOST_BYTES:
            break
    return data
