"""sPRO, PRO with regions that are wholly found before all of their pixels are (Bergmann et al., "Beyond Dents and Scratches", IJCV
2022).

Of a region as large as a missing part any few pixels say enough. It has a saturation area S, at most its own: at threshold t its
overlap is min(pixels of it that score at least t, S) / S. sPRO(t) is the mean over all regions, each counting the same. The area
under it over the false-positive rate is taken up to a rate of 0.05 and divided by that, as PRO's is up to 0.3.

So only the S highest pixels of a region matter, each 1/S of it: sPRO is the PRO of these. A pixel of several regions counts in
each. Good pixels are those of no region, as for PRO.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from flawsight.metrics.binned import Bins, Codes, pro_error
from flawsight.metrics.cuts import Cuts, Keys, area_to, split, walk_cuts
from flawsight.metrics.ranking import NAN, Counts
from flawsight.types import Mask

SPRO_FPR = 0.05

Reals = NDArray[np.float64]


class Saturated:
    """Gathers of each region the pixels that suffice; the good pixels are kept elsewhere. Takes 8 bytes a pixel, or 24 MiB."""

    def __init__(self) -> None:
        self._keys: list[Keys] = []
        self._weights: list[float] = []  # 1/S of each region
        self._bins: Bins | None = None

    @property
    def n_regions(self) -> int:
        """Regions counted so far."""
        return len(self._weights)

    def add(self, codes: Codes, regions: Mask, shares: Reals) -> None:
        """Count a picture's regions in. codes: of its seen pixels [n], see pixels; regions: bool [k,n] of these. shares: [k], S as
        a share of the region's size. A region of which nothing was seen is left out.
        """
        for region, share in zip(regions, shares, strict=True):
            own = codes[region]
            if not own.size:
                continue
            n = max(1, round(float(share) * own.size))
            number = np.uint64(len(self._weights))
            self._weights.append(1 / n)
            self._keys.append(np.partition(own, n - 1)[:n].astype(np.uint64) << np.uint64(32) | number)

    def bin(self) -> None:
        """Move what was gathered into bins."""
        self._bins = self._bins or Bins()
        weights = np.array(self._weights)
        while self._keys:
            codes, numbers = split(self._keys.pop())
            self._bins.add(codes, weights[numbers])

    def measure(self, good: list[Codes], max_fpr: float, block_px: int) -> float:
        """sPRO beside these good pixels, sorted in parts; NaN without a region or a good pixel."""
        n_good = sum(part.size for part in good)
        if not (self._weights and n_good):
            return NAN
        self._keys = [np.sort(np.concatenate(self._keys))]
        cuts = walk_cuts(self._keys[0], good, np.array(self._weights) / self.n_regions, block_px)
        return _under(cuts, max_fpr * n_good)

    def measure_binned(self, good: Counts, max_fpr: float) -> tuple[float, float]:
        """sPRO beside good pixels counted in bins, and how far it can be off at most; NaN and 0 as above."""
        n_good = int(good.sum())
        if not (self._weights and n_good and self._bins):
            return NAN, 0.0
        ends = self._bins.ends(good)
        cut = Cuts(ends.codes, ends.tp, ends.fp, ends.overlap / self.n_regions)
        return _under([cut], max_fpr * n_good), pro_error(ends.fp.astype(np.float64), ends.overlap, max_fpr)


def _under(cuts: Iterable[Cuts], limit: float) -> float:
    return sum(area_to(limit, fp, overlap) for _, _, fp, overlap in cuts) / limit
