"""Draw docs/heatmap.jpg: defective demo pictures above what flawsight makes of them.

python tools/draw_readme_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import flawsight as fs
from flawsight import demo
from flawsight.images import image
from flawsight.report.pictures import Scale, overlay

SHOWN = ("scratch", "dent", "missing_hole", "chip")
SIDE = 300  # pixels of one picture
GAP = 6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plates = fs.open_dataset(demo.write(Path(folder)))
        model = fs.fit(plates.train)
        columns = []
        for kind in SHOWN:
            sample = next(one for one in plates.test if one.kind == kind)
            pixels = image.read(sample.path)
            drawn = overlay(pixels, model.predict(sample).map, Scale(*model.colour_scale))
            columns.append(np.concatenate([_small(pixels), np.full((GAP, SIDE, 3), 255, np.uint8), _small(drawn)]))
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    joined = [part for column in columns for part in (column, gap)][:-1]
    image.write(Path(__file__).parents[1] / "docs" / "heatmap.jpg", np.concatenate(joined, 1))


def _small(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
