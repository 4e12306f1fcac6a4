"""Model: what a fit leaves behind. Preprocess + method + threshold, and the one way in which pictures are judged."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flawsight import loader
from flawsight._version import __version__
from flawsight.backbones.joined import JoinedBackbone, restored
from flawsight.backbones.onnx import OnnxBackbone, check_runtime
from flawsight.errors import FlawsightError, MissingExtra, ModelFileError, PictureError, UsageError
from flawsight.images.traits import UNKNOWN, Learned, Traits
from flawsight.methods import METHODS, make
from flawsight.methods.base import Method
from flawsight.methods.stored import restore
from flawsight.modelfile import bundle, crops, manifest
from flawsight.modelfile.crops import Crops
from flawsight.modelfile.training import Training
from flawsight.prediction import Prediction
from flawsight.preprocess import Preprocess
from flawsight.system import threads
from flawsight.threshold import Threshold, fixed
from flawsight.types import Arrays, Crop, Evidence, Float, Pixels, Scores, name_of

if TYPE_CHECKING:
    from flawsight.types import AnyPicture

BLANK = (64, 64, 3)  # of the picture that a model judges when it is loaded


@dataclass(frozen=True, repr=False)
class Model:
    """A fitted method with its preprocessing and threshold. Safe to use from several threads.

    history: the thresholds it had before, oldest first, each with the time it was set. created: UTC, ISO 8601.
    crops: of good pictures, to draw the nearest good patch from.
    """

    preprocess: Preprocess
    method: Method
    backbone_name: str
    backbone: OnnxBackbone | JoinedBackbone
    threshold: Threshold
    training: Training
    created: str
    threshold_set: str
    history: tuple[dict[str, Any], ...] = ()
    crops: Crops | None = None

    def __repr__(self) -> str:
        """A line: what counts, without arrays."""
        n = len(self.training.names)
        return f"<Model {self.method.name} on {self.backbone_name}: {n} good pictures, threshold {self.threshold.value:.4g}>"

    def predict(self, picture: AnyPicture, name: str | None = None) -> Prediction:
        """Judge one picture: a path, a file's bytes, an open file, a Pillow picture, or uint8 [H,W,3] in RGB, [H,W,1] or [H,W].

        OpenCV gives its frames in BGR: `predict(frame[:, :, ::-1])` turns them. Raises PictureError if the picture cannot be read,
        or uses more bits than those that were learned from, see `bits`.
        """
        name = name or loader.named(picture, 0)
        try:
            return self._judge(*loader.examine(picture, 0, self.bits), name, loader.path_of(picture))
        except PictureError as error:
            raise PictureError(name, error.reason) from None

    def predict_batch(self, pictures: AnyPicture | Iterable[AnyPicture]) -> Iterator[Prediction]:
        """Judge many pictures, in order, one result at a time; the work runs ahead in threads.

        pictures: as `predict` takes them, and folders, of which all pictures in them and below are judged; or one folder. Raises as
        `predict`, DataError for a folder without pictures, UsageError for one picture that is not in a list.
        """
        for result in self.predict_each(pictures):
            if isinstance(result, PictureError):
                raise result
            yield result

    def predict_each(self, pictures: AnyPicture | Iterable[AnyPicture]) -> Iterator[Prediction | PictureError]:
        """As predict_batch, but a picture that cannot be read gives its error in its place, and the others are judged."""

        def judge(item: tuple[Any, int]) -> Prediction | PictureError:
            try:
                return self._judge(*loader.examine(*item, self.bits), loader.named(*item), loader.path_of(item[0]))
            except PictureError as error:
                return error

        return threads.ahead(judge, loader.several(pictures))

    def with_threshold(self, threshold: Threshold | float) -> Model:
        """The same model with another threshold, or one set by hand at this score; the one it had goes into the history.

        Raises UsageError for what is neither, DataError where there are too few held-out scores to say what it promises.
        """
        if isinstance(threshold, numbers.Real) and not isinstance(threshold, bool):
            threshold = fixed(self.training.independent, float(threshold), series=self.training.independent_series)
        elif not isinstance(threshold, Threshold):
            came = type(threshold).__name__
            raise UsageError(f"with_threshold: expected a score, or what threshold.choose or threshold.fixed gave; got {came}.")
        before = {**manifest.stored_threshold(self.threshold), "set": self.threshold_set}
        return dataclasses.replace(self, threshold=threshold, threshold_set=now(), history=(*self.history, before))

    def in_place_of(self, replaced: tuple[dict[str, Any], ...]) -> Model:
        """The same model, its history begun with the thresholds of the one that it replaces; see manifest.to_replace."""
        return dataclasses.replace(self, history=(*replaced, *self.history))

    @property
    def bits(self) -> int:
        """How many bits of a 16-bit file are in use, see image.read: as found or set in the fit."""
        return self.training.pictures.bits

    @property
    def colour_scale(self) -> tuple[float, float]:
        """The scores of the cold end and of the middle of heat maps: a typical good picture's worst place, and the threshold."""
        known = self.training.held_out[np.isfinite(self.training.held_out)]
        return float(np.median(known)) if known.size else 0.0, self.threshold.value

    def info(self) -> dict[str, Any]:
        """What a person asks of a model, as plain values."""
        training, state = self.training, self.method.state()
        sizes = sorted({(int(wide), int(high)) for high, wide in training.sizes_hw})
        return {
            "method": self.method.name,
            "backbone": f"{self.backbone_name}, {' + '.join(self.backbone.levels)}",
            "weights": self.backbone.origin.message,
            "good_pictures": len(training.names),
            "left_out": len(training.skipped) + len(training.left_out),
            **({"left_out_as_asked": training.left_out} if training.left_out else {}),
            **({"series": len(set(training.series)), "in_series": training.in_series} if training.series else {}),
            "pictures": training.pictures.in_words(),
            "picture_sizes": ", ".join(f"{wide}×{high}" for wide, high in sizes),
            "network_sees": " ".join(dict.fromkeys("{1}×{0}".format(*self.preprocess.input_hw((h, w))) for w, h in sizes)),
            "learned": {name: "×".join(map(str, array.shape)) for name, array in state.items() if array.size > 1},
            "good_crops": self.crops.in_words() if self.crops else "none",
            "reached": {name: float(array[0]) for name, array in state.items() if array.shape == (1,)},
            "threshold": manifest.stored_threshold(self.threshold)["value"],
            "promise": self.threshold.promise,
            "rule": self.threshold.rule,
            "earlier_thresholds": [before["value"] for before in self.history],
            "held_out_scores": _range(training.held_out[np.isfinite(training.held_out)]),
            "held_out_by_name": training.held_out_by_name,
            "params": dataclasses.asdict(self.method.params),
            "preprocess": dataclasses.asdict(self.preprocess),
            "created": self.created,
            "fingerprint": self.fingerprint,
        }

    @property
    def fingerprint(self) -> str:
        """sha256 over the fingerprints of the pictures it was fitted on: the same for the same training set in the same order."""
        return hashlib.sha256("".join(self.training.fingerprints).encode("utf-8", "backslashreplace")).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the model file, whole or not at all. Raises UsageError or DataError if it cannot be written."""
        bundle.write(Path(path), *self._parts())

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process a model goes as the bytes of its file; there it is checked as `load` does."""
        runtime = "onnxruntime" if self.backbone.device != "cpu" else self.backbone.runtime
        return _unpacked, (bundle.pack(*self._parts()), runtime, self.backbone.device)

    def _parts(self) -> tuple[dict[str, Any], Arrays]:
        """The manifest and the arrays of its file."""
        training = self.training
        contents = {
            "flawsight": __version__,
            "created": self.created,
            "method": {"name": self.method.name, "params": dataclasses.asdict(self.method.params)},
            "backbone": {"name": self.backbone_name, "levels": self.backbone.levels, **dataclasses.asdict(self.backbone.origin)},
            "preprocess": dataclasses.asdict(self.preprocess),
            "threshold": {**manifest.stored_threshold(self.threshold), "set": self.threshold_set},
            "threshold_history": self.history,
            "fingerprint": self.fingerprint,
            "pictures": dataclasses.asdict(training.pictures),
            "training": {
                "names": training.names,
                "fingerprints": training.fingerprints,
                "skipped": training.skipped,
                "notes": training.notes,
                "defects": training.defects,
                **({"series": training.series} if training.series else {}),
                **({"left_out": training.left_out} if training.left_out else {}),
            },
        }
        arrays = {f"method.{name}": array for name, array in self.method.state().items()}
        arrays |= {name: np.frombuffer(graph, np.uint8) for name, graph in self.backbone.graphs.items()}
        arrays |= self.crops.arrays() if self.crops else {}
        arrays["training.held_out"], arrays["training.sizes_hw"] = training.held_out, training.sizes_hw
        return contents, arrays

    def try_out(self) -> None:
        """Judge a blank, which raises something unless preprocessing, network, method and what it learned from fit together.

        The network's input is as large as that of the first good picture: not every method takes another.
        """
        self.preprocess.apply(np.zeros(BLANK, np.uint8))
        high, wide = self.preprocess.input_hw((int(self.training.sizes_hw[0, 0]), int(self.training.sizes_hw[0, 1])))
        blank = self._told(self.method.score(np.zeros((1, 3, high, wide), np.float32)), BLANK[:2], "blank")
        if not math.isfinite(blank.score):
            raise ModelFileError(f"a blank picture scores {blank.score}, which is no number to compare. Copy it again or refit.")

    def _judge(self, pixels: Pixels, traits: Traits, name: str, path: Path | None) -> Prediction:
        """The only road from pixels to a Prediction."""
        scores = self.method.score(self.preprocess.apply(pixels)[None])
        return self._told(scores, (pixels.shape[0], pixels.shape[1]), name, path, traits)

    def _told(
        self, scores: Scores, picture_hw: tuple[int, int], name: str, path: Path | None = None, traits: Traits = UNKNOWN
    ) -> Prediction:
        """What the scores of one picture of that size mean."""
        return Prediction(
            name=name,
            score=float(scores.image[0]),
            threshold=self.threshold.value,
            size_hw=picture_hw,
            seen_xyxy=self.preprocess.seen_xyxy(picture_hw),
            input_map=None if scores.map is None else scores.map[0],
            preprocess=self.preprocess,
            evidence=self._evidence(scores, picture_hw),
            typical_good=self.colour_scale[0],
            path=path,
            traits=traits,
            bits=self.bits,
        )

    def _evidence(self, scores: Scores, picture_hw: tuple[int, int]) -> Evidence | None:
        if scores.peak is None or scores.source is None or scores.source_peak is None:
            return None
        picture = int(scores.source[0])
        good_hw = (int(self.training.sizes_hw[picture, 0]), int(self.training.sizes_hw[picture, 1]))
        return Evidence(
            box_xyxy=self.preprocess.box_xyxy(scores.peak[0], picture_hw),
            good_name=self.training.names[picture],
            good_box_xyxy=self.preprocess.box_xyxy(scores.source_peak[0], good_hw),
            crop=self._crop(picture, scores.source_peak[0]),
        )

    def _crop(self, picture: int, place: Float) -> Crop | None:
        """What is kept to show of the good patch at that place."""
        found = self.crops and self.crops.of(picture, place)
        if not found:
            return None
        size_hw = (int(self.training.sizes_hw[found.picture, 0]), int(self.training.sizes_hw[found.picture, 1]))
        return Crop(
            pixels=found.pixels,
            patch_xyxy=crops.patch_in_crop(self.preprocess, found.place, size_hw),
            is_nearest=found.is_nearest,
            name=self.training.names[found.picture],
            box_xyxy=self.preprocess.box_xyxy(found.place, size_hw),
        )


def load(path: str | Path, runtime: str = "onnxruntime", device: str = "cpu") -> Model:
    """The model in a file. runtime: "onnxruntime", or "openvino" where that extra is installed. device: "cpu" or "cuda".

    Raises ModelFileError for a file that cannot be used, UsageError or MissingExtra for such a runtime or device.
    """
    check_runtime(runtime, device)
    return _opened(name_of(path), *bundle.read(Path(path)), runtime, device)


def _unpacked(data: bytes, runtime: str, device: str) -> Model:
    """The model that another process sent. Raises as `load`."""
    check_runtime(runtime, device)
    where = "the model sent to this process"
    return _opened(where, *bundle.unpack(data, where), runtime, device)


def _opened(where: str, contents: Mapping[str, Any], arrays: Arrays, runtime: str, device: str) -> Model:
    """The model of a file's parts, each checked. where: what to call the file."""
    try:
        model = _from_parts(contents, arrays, runtime, device)
        model.try_out()
    except (MissingExtra, ImportError, MemoryError):
        raise
    except FlawsightError as error:
        raise ModelFileError(f"{where}: cannot be used: {error}") from error
    except Exception as error:  # what misfits can raise anything; onnxruntime's own exceptions share no base class
        raise ModelFileError(f"{where}: its contents do not fit together ({error!r}). Copy it again or refit.") from error
    return model


def _from_parts(contents: Mapping[str, Any], arrays: Arrays, runtime: str, device: str) -> Model:
    method_name, params = manifest.method_of(contents)
    if method_name not in METHODS:
        raise ModelFileError(
            f"its method '{method_name}' is unknown to this flawsight. Update flawsight, or install the package that brings it."
        )
    network, training = manifest.network_of(contents), _training(contents, arrays)
    threshold, threshold_set = manifest.threshold_of(contents)
    graphs = {name: array.tobytes() for name, array in arrays.items() if name.startswith("backbone")}
    backbone = restored(graphs, network.levels, runtime, network.origin, device)
    method = make(method_name, params, backbone)
    restore(method, arrays, "method.")
    return Model(
        preprocess=manifest.made(Preprocess, manifest.get(contents, "preprocess", dict), "preprocess"),
        method=method,
        backbone_name=network.name,
        backbone=backbone,
        threshold=threshold,
        training=training,
        created=manifest.get(contents, "created", str),
        threshold_set=threshold_set,
        history=manifest.history_of(contents),
        crops=crops.restored(arrays, method),
    )


def _training(contents: Mapping[str, Any], arrays: Arrays) -> Training:
    """What is said of the good pictures; the same number of each list."""
    own = {**manifest.picture_arrays(arrays), "pictures": manifest.made(Learned, contents.get("pictures", {}), "pictures")}
    training = manifest.made(Training, manifest.get(contents, "training", dict), "training", own)
    lists = {"names": training.names, "fingerprints": training.fingerprints, "series": training.series or training.names}
    manifest.check_lengths(lists, len(training.sizes_hw))
    return training


def _range(scores: Float) -> dict[str, float]:
    """Of scores in words; nothing of none."""
    if not scores.size:
        return {}
    return dict(zip(("lowest", "median", "highest"), np.quantile(scores, (0, 0.5, 1)).astype(float).tolist(), strict=True))


def now() -> str:
    """The time, UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
