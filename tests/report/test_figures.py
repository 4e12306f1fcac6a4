"""The numbers of the headline."""

import pytest
from scipy import stats

from flawsight.report import figures


@pytest.mark.parametrize(("wrong", "n"), [(0, 41), (2, 41), (5, 5), (1, 1), (60, 119)])
def test_wilson_agrees_with_scipy(wrong: int, n: int) -> None:
    interval = stats.binomtest(wrong, n).proportion_ci(method="wilson")
    assert figures.wilson(wrong, n) == pytest.approx((interval.low, interval.high), abs=1e-4)


@pytest.mark.parametrize(("fraction", "text"), [(1.0, "100.00 %"), (0.999999, "99.99 %"), (0.5, "50.00 %"), (0.98765, "98.77 %")])
def test_percent_never_rounds_up_to_all(fraction: float, text: str) -> None:
    assert figures.percent(fraction).replace("\u00a0", " ") == text


@pytest.mark.parametrize(("text", "sentence"), [("", ""), ("at most 5 %", "At most 5\u00a0%."), ("Done.", "Done.")])
def test_sentence(text: str, sentence: str) -> None:
    assert figures.sentence(text) == sentence
