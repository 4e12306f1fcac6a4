"""Charts: well-formed SVG that says in words what it shows."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from flawsight.report import charts
from flawsight.report.pictures import Scale

LINE = np.linspace(0, 1, 11, dtype=np.float32)
NONE = np.zeros(0, np.float32)


def parsed(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert "nan" not in svg
    assert "inf" not in svg.replace("info", "")
    return root


def test_roc_marks_where_the_threshold_works() -> None:
    root = parsed(charts.roc(LINE, np.sqrt(LINE), (0.05, 0.9)))
    assert "90.0 % of the defective and 5.0 % of the good" in (root.get("aria-label") or "")
    dot = root.find("circle")
    assert dot is not None
    assert 56 < float(dot.get("cx", 0)) < 80
    assert 16 < float(dot.get("cy", 0)) < 60


@pytest.mark.parametrize("point", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_the_words_at_the_working_point_stay_inside_the_axes(point: tuple[float, float]) -> None:
    root = parsed(charts.roc(LINE, LINE, point))
    words = next(text for text in root.iter("text") if text.get("class") == "note")
    assert 16 < float(words.get("y", 0)) < 320 - 50
    assert (words.get("text-anchor") == "end") == (point[0] == 1)


def test_roc_without_a_working_point() -> None:
    assert parsed(charts.roc(LINE, LINE, None)).find("circle") is None


def test_pro_is_drawn_as_far_as_the_metric_counts_it() -> None:
    root = parsed(charts.pro(LINE, LINE, limit=0.25))
    assert "25.0 % at 25 %" in (root.get("aria-label") or "")
    curve = next(path for path in root.iter("path") if path.get("class") == "curve")
    right = 440 - 18
    assert max(float(x) for x in re.findall(r"[ML]([\d.]+)", curve.get("d", ""))) == right


def test_histogram_tells_groups_threshold_and_held_out() -> None:
    good, bad = np.array([0.1, 0.2, 0.3], np.float32), np.array([0.8, 2.0], np.float32)
    root = parsed(charts.histogram([("good", good), ("defective", bad), ("unlabelled", NONE)], good, Scale(0.2, 0.5)))
    message = root.get("aria-label") or ""
    assert "3 good, median 0.200; 2 defective, median 1.400; 3 held-out" in message
    assert "Threshold 0.500" in message
    kinds = {path.get("class", "").split()[0]: path.get("d", "") for path in root.iter("path")}
    assert kinds["rug"].count("M") == 3
    assert {"bars", "threshold"} <= set(kinds)


def test_histogram_gathers_what_is_far_beyond() -> None:
    scores = np.array([0.1, 0.2, 1e6, math.inf], np.float32)
    svg = charts.histogram([("unlabelled", scores)], NONE, Scale(0.1, 0.2))
    assert "the last bar holds all beyond" in svg
    assert "rug" not in svg


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("middle", np.linspace(0.2, 0.95, 16))
def test_histogram_counts_what_is_far_beyond_whatever_its_end_rounds_to(middle: float, wide: bool) -> None:
    """Pictures of nothing like the part: all of them lie beyond the last edge, which float32 may round up."""
    root = parsed(charts.histogram([("unlabelled", np.float32([9, 10, 11]))], NONE, Scale(0.1, float(middle)), wide))
    bars = next(one for one in root.iter() if one.get("class") == "bars unlabelled")
    assert bars.get("d")


@pytest.mark.parametrize("scores", [[1.0], [1.0, 1.0], [-5.0, 5.0], [1e-9, 2e-9], [3e8, 4e8]])
@pytest.mark.parametrize("wide", [True, False])
def test_histogram_of_odd_scores(scores: list[float], wide: bool) -> None:
    values = np.array(scores, np.float32)
    parsed(charts.histogram([("good", values)], values, Scale(float(values.min()), float(values.max())), wide))


@pytest.mark.parametrize("n", [1, 3, 17, 4000])
def test_counts_have_whole_ticks(n: int) -> None:
    ticks = charts._ticks(0, n, whole=True)
    assert all(value == int(value) for value, _ in ticks)
    assert ticks[-1][0] >= n
    assert 2 <= len(ticks) <= 9


def test_few_pictures_show_every_curve_with_its_spread() -> None:
    curves = [
        charts.Curve("PatchCore-25", "measured", 0, [(1, 60.0, 2.0), (5, 80.0, 1.0), (50, 95.0, math.nan)]),
        charts.Curve("PatchCore-25", "published", 0, [(1, 84.1, math.nan), (50, 97.7, math.nan)]),
        charts.Curve("SPADE & <co>", "published", 7, [(50, 97.6, math.nan)]),
    ]
    root = parsed(charts.few_pictures(curves, "Image AUROC"))
    message = root.get("aria-label") or ""
    assert "PatchCore-25 measured: 60.0 of 1, 80.0 of 5, 95.0 of 50" in message
    classes = [path.get("class", "").split()[:2] for path in root.iter("path")]
    assert classes.count(["series", "measured"]) == 1
    assert classes.count(["series", "published"]) == 2
    assert sum(kind[:1] == ["whisker"] for kind in classes) == 2
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in root.iter("circle")]
    assert len(dots) == 6
    texts = {text.text: text for text in root.iter("text")}
    assert {"1", "5", "50", "SPADE & <co>, published"} <= set(texts)
    names = [float(text.get("y", "")) for name, text in texts.items() if name and name.startswith(("PatchCore", "SPADE"))]
    assert min(abs(a - b) for i, a in enumerate(names) for b in names[:i]) >= 14  # none upon another
    # five is as far from one as log 5 is from log 1: equal steps are equal factors
    x = {
        n: next(cx for (cx, _), (m, _, _) in zip(sorted(dots), sorted(p for c in curves for p in c.points), strict=True) if m == n)
        for n in (1, 5, 50)
    }
    assert (x[5] - x[1]) / (x[50] - x[1]) == pytest.approx(math.log(5) / math.log(50), abs=0.01)


def test_few_pictures_of_one_number_alone() -> None:
    parsed(charts.few_pictures([charts.Curve("a", "measured", 0, [(5, 99.9, 0.05)])], "PRO"))
