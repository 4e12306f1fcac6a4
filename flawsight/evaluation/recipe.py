"""Model + samples → Report: every picture judged by Model.predict, and the metrics where labels and masks allow."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flawsight import loader
from flawsight.datasets import DataSet
from flawsight.errors import DataError, PictureError
from flawsight.evaluation import cues, extremes
from flawsight.evaluation.comparing import Comparison, check_masks
from flawsight.evaluation.frames import MASK_RULES, PIXELS_AT
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan, fit
from flawsight.fitting.inspecting import inspect, unreadable
from flawsight.methods.base import LearnedMethod
from flawsight.metrics import Judged, PixelTally, measure, resampling, roc_curve
from flawsight.metrics.pixels import PixelMetrics
from flawsight.model import Model
from flawsight.prediction import Prediction
from flawsight.system import memory, threads
from flawsight.system.record import peak_rss_mb, versions
from flawsight.types import Float, Progress, Report, Row, Sample

MEASURING_BYTES, KEY_BYTES = 128 << 20, 8  # of pixel metrics while they are measured, and of a pixel kept for that
HEAT_STRIDE = 4  # pixels of the network's input for each kept in a report


def evaluate_dataset(
    dataset: DataSet,
    model: Model | None = None,
    plan: Plan | None = None,
    judging: Judging | None = None,
    progress: Progress | None = None,
) -> tuple[Report, Model]:
    """The Report on a data set's test pictures, of the model given or of one fitted on its good ones; and that model.

    Within the plan's memory pixel metrics are exact so far as it goes. Raises DataError for a data set that cannot be judged,
    before time is spent.
    """
    judging = judging or Judging()
    if judging.by_extremes:
        extremes.check(model.method.name if model else (plan or Plan()).method_name)
    if not dataset.test:
        raise DataError(
            f"{dataset.root}: no pictures to be judged on; needs defective ones beside the good, see `flawsight list datasets`."
        )
    if judging.use_masks:
        check_masks(dataset.test)
    if model is None and not judging.skip_bad:
        inspect("evaluate", dataset.test, False, progress)
    started = time.perf_counter()
    fitted = fit(dataset.train, plan, progress) if model is None else model
    timings = {"fit": time.perf_counter() - started} if model is None else {}
    train = {sample.name: sample.path for sample in dataset.train}
    if plan is not None and plan.memory is not None:
        left = memory.parse(plan.memory) - memory.resident() - MEASURING_BYTES
        judging = replace(judging, exact_px=max(0, min(judging.exact_px, left // KEY_BYTES)))
    report = evaluate(fitted, dataset.test, dataset.title, judging, train, progress)
    notes = list(dict.fromkeys([*dataset.notes, *report.notes, *(fitted.training.notes if model is None else ())]))
    return replace(report, timings_s={**timings, **report.timings_s}, notes=notes), fitted


def evaluate(
    model: Model,
    samples: Sequence[Sample],
    title: str,
    judging: Judging | None = None,
    train: dict[str, Path] | None = None,
    progress: Progress | None = None,
    each: Callable[[Sample, Prediction], None] | None = None,
) -> Report:
    """The Report on these pictures; without labels, one without metrics.

    train: name → path of the pictures the model was fitted on, to be shown beside what it found. each: called with every picture
    that was judged, in order, while its map at full size is at hand. Raises DataError naming every
    unreadable picture unless they may be skipped.
    """
    judging = judging or Judging()
    if judging.by_extremes:
        model = extremes.rescaled(model, samples, progress)
    known = {*model.training.fingerprints, *model.training.defects.values()}
    judged = _Judged(model, judging, known, _comparison(model, judging))
    started = time.perf_counter()
    for done, (sample, result) in enumerate(zip(samples, model.predict_each(samples), strict=True), 1):
        judged.add(sample, result)
        if each and isinstance(result, Prediction):
            each(sample, result)
        if progress:
            progress("judging pictures", done, len(samples))
    judged.stop_if_bad()
    scored = time.perf_counter()
    intervals = judged.intervals()  # first: measuring mixes the pictures' pixels
    metrics, pixels = judged.measure()
    timings = {"judge": scored - started, "metrics": time.perf_counter() - scored}
    if judged.rows:
        timings["judge_per_picture"] = timings["judge"] / len(judged.rows)
    return Report(
        title=title,
        metrics=metrics,
        rows=judged.rows,
        curves=judged.curves(pixels),
        counts=judged.counts(pixels),
        threshold={**asdict(model.threshold), "promise": model.threshold.promise},
        held_out=model.training.independent,
        series=model.training.independent_series,
        scale=model.colour_scale,
        settings=_settings(model, judging),
        timings_s=timings,
        versions=versions(model.backbone.runtime, isinstance(model.method, LearnedMethod) or model.backbone.device != "cpu"),
        peak_rss_mb=peak_rss_mb(),
        seed=int(getattr(model.method.params, "seed", 0)),
        train=_known_train(model, judged.rows, train or {}),
        notes=judged.notes(pixels),
        unreadable={error.name: error.reason for error in judged.bad},
        intervals=intervals,
    )


@dataclass
class _Judged:
    """What is gathered while pictures are judged."""

    model: Model
    judging: Judging
    known: set[str]
    compared: Comparison
    rows: list[Row] = field(default_factory=list)
    bad: list[PictureError] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    judged: list[cues.Judged] = field(default_factory=list)

    def add(self, sample: Sample, result: Prediction | PictureError) -> None:
        if isinstance(result, PictureError):
            self.bad.append(result)
            return
        size_hw, heat = result.size_hw, None
        if result.map is not None:
            stride = max(1, round(max(size_hw) * HEAT_STRIDE / max(self.model.preprocess.input_hw(size_hw))))
            heat = result.map[stride // 2 :: stride, stride // 2 :: stride].astype(np.float16)
        self.rows.append(
            Row(
                sample=sample,
                score=result.score,
                is_defective=result.is_defective,
                size_hw=size_hw,
                seen_xyxy=result.seen_xyxy,
                heat=heat,
                evidence=result.evidence,
                regions=result.regions,
                pixel_threshold=result.pixel_threshold,
                bits=self.model.bits,
            )
        )
        self.judged.append(cues.Judged(self.rows[-1], result.traits))
        self.sizes.add(size_hw)
        if self.judging.use_masks and sample.label is not None:
            self.compared.add(sample, result)

    def stop_if_bad(self) -> None:
        if self.bad and not self.judging.skip_bad:
            raise unreadable("evaluate", self.bad, len(self.bad) + len(self.rows))

    def measure(self) -> tuple[dict[str, float], PixelMetrics | None]:
        labelled = [row for row in self.rows if row.sample.label is not None]
        if not labelled:
            return {}, None
        scores, labels = [row.score for row in labelled], [int(row.sample.label or 0) for row in labelled]
        objects = objects_of([row.sample for row in labelled])
        pixels = None if self.compared.pixels is None else self.compared.pixels.metrics()
        return measure(Judged(scores, labels, pixels, self.compared.pro_each, objects, self.judging.decides_at)), pixels

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Of each metric that is resampled, from where to where its values lie."""
        n = self.judging.resamples
        labelled = [row for row in self.rows if row.sample.label is not None]
        if not n or not labelled:
            return {}
        labels = [int(row.sample.label or 0) for row in labelled]
        drawn = {"image_auroc": resampling.image_auroc([row.score for row in labelled], labels, n)}
        drawn |= self.compared.resampled(n)
        return {name: resampling.interval(values) for name, values in drawn.items()}

    def curves(self, pixels: PixelMetrics | None) -> dict[str, tuple[Float, Float]]:
        labelled = [row for row in self.rows if row.sample.label is not None]
        curves = {}
        if {row.sample.label for row in labelled} == {0, 1}:
            curves["roc"] = roc_curve([row.score for row in labelled], [int(row.sample.label or 0) for row in labelled])
        if pixels is not None and len(pixels.pro_curve[0]):
            curves["pro"] = pixels.pro_curve
        return curves

    def counts(self, pixels: PixelMetrics | None) -> dict[str, int]:
        def count(label: int | None, rejected: bool | None = None) -> int:
            return sum(row.sample.label == label and rejected in (None, row.is_defective) for row in self.rows)

        counts = {"good": count(0), "defective": count(1), "false_rejects": count(0, True), "misses": count(1, False)}
        counts |= {"unlabelled": count(None), "rejected": sum(row.is_defective for row in self.rows)}
        if pixels is not None:
            counts |= {"regions": pixels.n_regions, "regions_unseen": pixels.n_regions_unseen}
        return counts

    def notes(self, pixels: PixelMetrics | None) -> list[str]:
        notes = [*self.model.backbone.notes, *([extremes.NOTE] if self.judging.by_extremes else [])]
        notes += [f"Left out, unreadable: {error}" for error in self.bad]
        notes += [f"Left out of the fit, unreadable: {name}: {reason}" for name, reason in self.model.training.skipped.items()]
        learned = {(int(high), int(wide)) for high, wide in self.model.training.sizes_hw}
        if other := sorted(self.sizes - learned):
            high, wide = other[0]
            notes.append(
                f"Pictures of {wide}×{high} pixels were judged; the model learned from {_sizes(learned)}. "
                "Scores hold only if the parts appear equally large."
            )
        notes += cues.notes_on(self.model.training.pictures, self.judged)
        if self.rows and all(row.heat is None for row in self.rows):
            notes.append(self._no_map())
        notes += self.compared.odd.notes()
        if self.compared.maskless and self.compared.n_masks:
            notes.append(f"{sum(self.compared.maskless.values())} defective pictures have no mask: pixel metrics leave them out.")
        if pixels is not None and pixels.error:
            counted = f"Pixel metrics of {pixels.n_pixels / 1e6:.0f} million pixels were counted in bins"
            notes.append(f"{counted}: right to within {pixels.error:.2g}.")
        if same := self._learned_from():
            notes.append(f"The model learned from {len(same)} of the judged pictures, which flatters it: {', '.join(same[:3])}.")
        return notes

    def _no_map(self) -> str:
        message = f"{self.model.method.name} gives no map: it scores pictures as wholes"
        masked = self.judging.use_masks and any(row.sample.mask for row in self.rows)
        return f"{message}, so there are no pixel metrics, whatever masks there are." if masked else f"{message}."

    def _learned_from(self) -> list[str]:
        """Judged pictures that the model was fitted on, by their pixels; only looked for where names meet."""
        training = self.model.training
        names, defects = ({Path(name).name for name in some} for some in (training.names, training.defects))
        suspects = [row.sample for row in self.rows if row.sample.path.name in (defects if row.sample.label == 1 else names)]
        return [
            sample.name
            for sample, print_ in zip(
                suspects, threads.ahead(lambda one: loader.fingerprint(loader.read(one, 0, self.model.bits)), suspects), strict=True
            )
            if print_ in self.known
        ]


def objects_of(samples: Sequence[Sample]) -> list[str] | None:
    """What each picture shows, [n], itself where no other shows it; None where all stand for themselves."""
    named = [sample.object_name or sample.name for sample in samples]
    return named if any(sample.object_name for sample in samples) else None


def _comparison(model: Model, judging: Judging) -> Comparison:
    tally = PixelTally(exact_px=judging.exact_px)
    return Comparison(model.preprocess, judging.pixels_at, judging.mask_rule, judging.imagewise, tally)


def _known_train(model: Model, rows: Sequence[Row], train: dict[str, Path]) -> dict[str, Path]:
    """Where the good pictures that the rows point at lie, by the model's names for them.

    A model may have been fitted on the same pictures under other names, from a folder further down: then the file's own name finds
    the picture, and its pixels prove it. A model that was fitted on paths finds pictures that still lie there.
    """
    prints = dict(zip(model.training.names, model.training.fingerprints, strict=True))
    by_file_name = {path.name: path for path in train.values()}
    wanted = {row.evidence.good_name for row in rows if row.evidence}
    places = {
        name: train.get(name) or by_file_name.get(Path(name).name) or (Path(name) if os.path.isfile(name) else None)  # noqa: PTH113  that raises for odd names
        for name in sorted(wanted & prints.keys())
    }
    found = [(name, path) for name, path in places.items() if path is not None]
    inspected = threads.ahead(lambda item: loader.inspect(item[1], 0, bits=model.bits), found)
    return {
        name: path
        for (name, path), one in zip(found, inspected, strict=True)
        if isinstance(one, loader.Inspection) and one.fingerprint == prints[name]
    }


def _settings(model: Model, judging: Judging) -> dict[str, Any]:
    return {
        "method": model.method.name,
        **{f"{model.method.name}.{name}": value for name, value in asdict(model.method.params).items()},
        "backbone": model.backbone_name,
        "levels": list(model.backbone.levels),
        "weights": model.backbone.origin.weights,
        "weights_source": model.backbone.origin.source,
        "weights_sha256": model.backbone.origin.sha256,
        "runtime": model.backbone.runtime,
        **{f"preprocess.{name}": value for name, value in asdict(model.preprocess).items()},
        "good_pictures": len(model.training.names),
        "mask_rule": MASK_RULES[judging.mask_rule],
        "pixel_metrics_at": PIXELS_AT[judging.pixels_at],
    }


def _sizes(sizes: set[tuple[int, int]]) -> str:
    return ", ".join(f"{wide}×{high}" for high, wide in sorted(sizes)[:3])
