"""Training: what a model keeps of the pictures it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flawsight.images.traits import Learned
from flawsight.types import Float


@dataclass(frozen=True)
class Training:
    """What a model was fitted on.

    names, fingerprints: of each good picture, the latter a sha256 of its pixels. sizes_hw: int32 [N,2]. held_out: float32 [N],
    the score of each had it not been learned from, NaN where that is not known. skipped: name → why it was left out. notes: what
    a reader must know. defects: name → fingerprint of labelled defective pictures, of a method that learns from some too. series: a
    number for each picture, the same for those of one series; empty where each counts by itself. left_out: names of pictures that
    were not learned from because that was asked for. pictures: what the good ones are like apart from what they show.
    """

    names: list[str]
    fingerprints: list[str]
    sizes_hw: NDArray[np.int32]
    held_out: Float
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    defects: dict[str, str] = field(default_factory=dict)
    series: list[int] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    pictures: Learned = field(default_factory=Learned)

    @property
    def independent(self) -> Float:
        """The held-out scores that are known, one of each different picture: a copy says nothing new of the next good part."""
        return self.held_out[self._different]

    @property
    def independent_series(self) -> list[int] | None:
        """The series of the pictures whose scores `independent` gives; None where each counts by itself."""
        return [self.series[i] for i in self._different] if self.series else None

    @property
    def in_series(self) -> dict[str, list[str]]:
        """The names of the pictures of each series that has several, under the name of its first."""
        members: dict[int, list[str]] = {}
        for name, number in zip(self.names, self.series, strict=False):
            members.setdefault(number, []).append(name)
        return {inside[0]: inside for inside in members.values() if len(inside) > 1}

    def held_out_with(self, place: int) -> list[int]:
        """The places of the pictures that were held out together with that at `place`, itself among them."""
        groups = self.series if len(set(self.series)) > 1 else self.fingerprints
        return [other for other, group in enumerate(groups) if group == groups[place]]

    @property
    def held_out_by_name(self) -> dict[str, float | None]:
        """Name → held-out score, highest first; None, last, where that is not known."""
        known = np.where(np.isfinite(self.held_out), self.held_out, -np.inf)
        ranked = np.argsort(-known, kind="stable")
        return {self.names[i]: float(known[i]) if np.isfinite(known[i]) else None for i in ranked}

    @property
    def _different(self) -> NDArray[np.int64]:
        _, first = np.unique(self.fingerprints, return_index=True)
        first = np.sort(first)
        return first[np.isfinite(self.held_out[first])]
