"""The folder that scoring leaves: scores.csv, scores.json, report.html, and a picture with its heat map for each one judged.

On request also the maps and masks of the pictures. Of a method that gives no map there are no such files. Tables are written before
anything is drawn, and a picture that cannot be drawn costs its overlay alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from flawsight.datasets import outputs
from flawsight.errors import FlawsightError, UnknownName, UsageError
from flawsight.images import image
from flawsight.prediction import Prediction
from flawsight.report import html, marks, tables
from flawsight.report.pictures import Scale
from flawsight.system.files import atomic_write, check_writable
from flawsight.types import Progress, Report, Row, Sample

LONGEST = 120  # bytes of a file or folder name taken over from a picture's; longer ones are cut and distinguished by a hash
HASHED = 8  # hexadecimal digits of a hash in a name
MAP_FORMATS = ("tiff", "npy")


class ResultsFolder:
    """Results of these pictures in `folder`, which is made if it is not there.

    maps: "tiff" or "npy" to write the map of each picture, float32 [H,W] at its own pixels. masks: to write its regions, see
    flawsight.regions, as PNG of 0 and 255. Both are written by `keep` while pictures are judged. Whatever an earlier run drew into
    the same folder and this one does not is removed. Raises UsageError where nothing may be written.
    """

    def __init__(self, folder: Path, samples: Sequence[Sample], maps: str | None = None, masks: bool = False) -> None:
        if maps is not None and maps not in MAP_FORMATS:
            raise UnknownName("results: maps", maps, MAP_FORMATS)
        self._folder = folder
        self._endings = {outputs.OVERLAYS: ".jpg", outputs.MAPS: f".{maps}" if maps else "", outputs.MASKS: ".png" if masks else ""}
        self._names = dict(zip((sample.path for sample in samples), file_names([s.path for s in samples]), strict=True))
        self._kept: dict[Path, dict[str, str]] = {}
        make_folder(folder)
        self._earlier = _own_files(folder)
        self._planned = [self._file(sample, part) for sample in samples for part, ending in self._endings.items() if ending]
        self._begun = False

    def keep(self, sample: Sample, prediction: Prediction) -> None:
        """Write the map and the mask of a picture, whichever were asked for. Raises DataError where the disk is full."""
        if prediction.map is None or prediction.mask is None or not any(map(self._endings.get, (outputs.MAPS, outputs.MASKS))):
            return
        self._begin()
        kept = self._kept.setdefault(sample.path, {})
        if self._endings[outputs.MAPS]:
            data = image.encode_map(prediction.map, self._endings[outputs.MAPS].removeprefix("."))
            kept["map"] = self._put(self._file(sample, outputs.MAPS), data)
        if self._endings[outputs.MASKS]:
            kept["mask"] = self._put(self._file(sample, outputs.MASKS), image.encode(prediction.mask.astype("uint8") * 255))

    def write(self, report: Report, progress: Progress | None = None) -> Report:
        """Write everything else. The report that comes back says which files there are, and what could not be drawn.

        Raises UsageError or DataError as atomic_write.
        """
        self._begin()
        planned = replace(report, rows=[self._with_files(row) for row in report.rows])
        self._write_tables(planned)
        self._remove({*self._earlier} - {file for row in planned.rows for file in row.files.values()})
        written = self._draw(planned, progress)
        if written.notes != planned.notes:
            self._write_tables(written)
        html.write(self._folder / outputs.PAGE, written, progress=progress)
        self._note_own(file for row in written.rows for file in row.files.values())
        return written

    def _begin(self) -> None:
        """Note what is going to be drawn, so that the next run knows it even if this one does not come to its end."""
        if not self._begun:
            self._note_own({*self._earlier, *self._planned})
        self._begun = True

    def _with_files(self, row: Row) -> Row:
        overlay = {} if row.heat is None else {"overlay": self._file(row.sample, outputs.OVERLAYS)}
        return replace(row, files={**overlay, **self._kept.get(row.sample.path, {})})

    def _draw(self, report: Report, progress: Progress | None) -> Report:
        """The report once its overlays are drawn, less those that could not be."""
        rows, notes = [], []
        for done, row in enumerate(report.rows, 1):
            problem = self._draw_one(row, Scale(*report.scale))
            rows.append(replace(row, files=_without(row.files, "overlay")) if problem else row)
            notes += [f"No overlay was drawn of {row.sample.name}: {problem}"] if problem else []
            if progress and "overlay" in row.files:
                progress("drawing heat maps", done, len(report.rows))
        return replace(report, rows=rows, notes=[*report.notes, *notes])

    def _draw_one(self, row: Row, scale: Scale) -> str:
        """Write the overlay of a picture, if it has one; the reason if it cannot be drawn."""
        if "overlay" not in row.files:
            return ""
        try:
            data = marks.jpeg(row, scale)
        except (FlawsightError, OSError, ValueError) as error:
            return str(error).removeprefix(f"{row.sample.name}: ")
        self._put(row.files["overlay"], data)
        return ""

    def _write_tables(self, report: Report) -> None:
        # "sig": the mark tells spreadsheets it is UTF-8
        atomic_write(self._folder / outputs.CSV, tables.to_csv(report).encode("utf-8-sig", "backslashreplace"))
        atomic_write(self._folder / outputs.JSON, json_bytes(tables.to_json(report)))

    def _file(self, sample: Sample, part: str) -> str:
        """Where something of a picture goes, below the folder of results."""
        return f"{part}/{self._names[sample.path]}{self._endings[part]}"

    def _put(self, file: str, data: bytes) -> str:
        path = self._folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
        return file

    def _remove(self, files: Iterable[str]) -> None:
        for file in files:
            path = self._folder / file
            path.unlink(missing_ok=True)
            for folder in (path.parent, self._folder / PurePosixPath(file).parts[0]):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def _note_own(self, files: Iterable[str]) -> None:
        atomic_write(self._folder / outputs.MANIFEST, json_bytes({"files": sorted(files)}))


def _without(files: Mapping[str, str], kind: str) -> dict[str, str]:
    return {name: file for name, file in files.items() if name != kind}


def make_folder(folder: Path) -> None:
    """Make the folder for results if it is not there. Raises UsageError where nothing may be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{folder}: a folder that may be written was needed; {why}. Choose another.") from None
    for place in (folder, *(folder / part for part in outputs.DRAWN)):
        if place.exists():
            check_writable(place / outputs.CSV)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """The content as a JSON file. Bytes of a file name that are no text come as JSON's escapes of what Python reads them as."""
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8", "backslashreplace")


def file_names(paths: Sequence[Path]) -> list[str]:
    """What files about each picture are called, without ending: the name of its folder, a slash, and its own name without ending.

    That says nothing of what else is judged, so a picture has the same name in every run. Only where two different pictures
    would meet, also on a file system that ignores case, each has a hash of its full path too.
    """
    full = [os.path.abspath(path) for path in paths]  # noqa: PTH100  resolve() would follow links
    plain = [_plain(PurePosixPath(Path(path).as_posix())) for path in full]
    met = Counter(folded for _, folded in {(path, _folded(name)) for path, name in zip(full, plain, strict=True)})
    return [f"{name}-{_hash(path)}" if met[_folded(name)] > 1 else name for path, name in zip(full, plain, strict=True)]


def _plain(path: PurePosixPath) -> str:
    parts = [_sanitised(part) for part in (path.parent.name, path.stem) if part]
    return "/".join(parts)


def _sanitised(part: str) -> str:
    """A name without what file systems forbid, and short enough for all of them."""
    plain = re.sub(r'[<>:"|?*\\\x00-\x1f\x7f/\ud800-\udfff]', "_", part)
    if len(plain.encode()) > LONGEST:
        plain = f"{plain.encode()[: LONGEST - HASHED - 1].decode(errors='ignore')}-{_hash(part)}"
    return plain


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:HASHED]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _own_files(folder: Path) -> list[str]:
    """The files that earlier runs drew in a folder of results; none where that is not known."""
    try:
        files = json.loads((folder / outputs.MANIFEST).read_bytes())["files"]
        paths = [PurePosixPath(file) for file in files]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(path) for path in paths if path.parts and path.parts[0] in outputs.DRAWN and ".." not in path.parts]
