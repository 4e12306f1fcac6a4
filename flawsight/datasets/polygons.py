"""Polygons drawn with Labelme, a file for each picture, or kept in COCO's format, a file for many; read as Outlines.

Labelme: {"shapes": [{"shape_type", "points", "label"}, …], "imageHeight", "imageWidth", "imagePath"}; what is labelled
`_background_` or begins with two underscores is none.
COCO: {"images": [{"id", "file_name", "height", "width"}, …], "annotations": [{"image_id", "segmentation", "bbox"}, …]}; of an
annotation without polygons its box counts.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flawsight.datasets import names
from flawsight.errors import DataError
from flawsight.types import Outlines, name_of

LARGEST = 1 << 30  # bytes of a JSON file that is looked into
Shape = tuple[str, tuple[tuple[float, float], ...]]
LABELME = {"polygon": ("polygon", 3), "rectangle": ("rectangle", 2), "circle": ("circle", 2), "line": ("line", 2)}
LABELME["linestrip"] = LABELME["line"]


@dataclass
class Drawn:
    """Outlines by picture. by_file: those of Labelme, by their own file. by_name: those of COCO, by what it calls the picture."""

    by_file: dict[Path, Outlines] = field(default_factory=dict)
    by_name: dict[str, list[Outlines]] = field(default_factory=lambda: defaultdict(list))

    def read(self, files: Iterable[Path]) -> None:
        """Take in those of these JSON files that are of Labelme or COCO; the others are passed over. Raises DataError."""
        for file in files:
            content = _content(file)
            try:
                if isinstance(content.get("shapes"), list):
                    self.by_file[file] = _labelme(file, content)
                elif isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
                    for name, outlines in _coco(file, content):
                        self.by_name[name].append(outlines)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError(
                    f"{file}: shapes as Labelme or COCO keeps them were needed; came something else ({type(error).__name__}: "
                    f"{error}). Save it again, or judge whole pictures only, with use_masks=False."
                ) from None

    def of(self, picture: Path) -> Outlines | None:
        """COCO's outlines of a picture: those whose name for it agrees with most of its path. Raises DataError where two do."""
        parts = picture.parts
        for n in range(len(parts), 0, -1):
            found = self.by_name.get("/".join(parts[-n:]), [])
            if len(found) > 1:
                raise DataError(
                    f"{picture}: its outlines in one file were needed; {found[0].file} and {found[1].file} both have some. "
                    "Remove one of them, or judge whole pictures only, with use_masks=False."
                )
            if found:
                return found[0]
        return None


def _content(file: Path) -> dict[str, Any]:
    """What a JSON file holds, if that is an object that can be read; nothing else."""
    try:
        if file.stat().st_size > LARGEST:
            return {}
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _labelme(file: Path, content: dict[str, Any]) -> Outlines:
    shapes = []
    for shape in content["shapes"]:
        kind, label = shape.get("shape_type") or "polygon", str(shape.get("label"))
        if label.startswith("__") or label == "_background_" or names.is_good(label):
            continue
        if kind not in LABELME:
            raise DataError(
                f"{file}: polygons, rectangles, circles or lines were needed; came a shape of the kind '{kind}'. Draw it as a "
                "polygon, or judge whole pictures only, with use_masks=False."
            )
        turned = kind == "rectangle" and len(shape["points"]) == 4  # of some of its kin a rectangle is its four corners
        shapes.append(_shape(*LABELME["polygon" if turned else kind], shape["points"]))
    return Outlines(file, (int(content["imageHeight"]), int(content["imageWidth"])), tuple(shapes))


def _coco(file: Path, content: dict[str, Any]) -> Iterable[tuple[str, Outlines]]:
    shapes: dict[Any, list[Shape]] = defaultdict(list)
    for one in content["annotations"]:
        if isinstance(one.get("segmentation"), dict):
            raise DataError(
                f"{file}: polygons were needed; came run lengths (RLE), of image {one['image_id']}. Export polygons or masks, or "
                "judge whole pictures only, with use_masks=False."
            )
        rings = one.get("segmentation") or []
        if not rings:
            x, y, width, height = one["bbox"]
            shapes[one["image_id"]].append(_shape("rectangle", 2, [(x, y), (x + width, y + height)]))
        for ring in rings:
            shapes[one["image_id"]].append(_shape("polygon", 3, list(zip(ring[::2], ring[1::2], strict=True))))
    for picture in content["images"]:
        name = name_of(str(picture["file_name"]).replace("\\", "/")).removeprefix("./")
        yield name, Outlines(file, (int(picture["height"]), int(picture["width"])), tuple(shapes[picture["id"]]))


def _shape(kind: str, least: int, points: Iterable[Any]) -> Shape:
    found = tuple((float(x), float(y)) for x, y in points)
    if not all(math.isfinite(value) for point in found for value in point):
        raise ValueError(f"a {kind} with a point that is nowhere")
    if len(found) < least or (kind in ("rectangle", "circle") and len(found) != least):
        raise ValueError(f"a {kind} of {len(found)} points")
    return kind, found
