"""The numbers of the headline."""

import numpy as np
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


def test_trade_off_counts_what_other_thresholds_would_have_done(make_report) -> None:
    report = make_report(held_out=np.array([0.01, 0.02, 0.03], np.float32))
    good = [row.score for row in report.rows if row.sample.label == 0]
    bad = [row.score for row in report.rows if row.sample.label == 1]
    steps = figures.trade_off(report)
    assert [one["threshold"] for one in steps] == [1.0, pytest.approx(0.03)]
    for one in steps:
        assert one["false_rejects"] == sum(score > one["threshold"] for score in good)
        assert one["misses"] == sum(not score > one["threshold"] for score in bad)
        assert one["max_false_rejects"] == pytest.approx(stats.beta.ppf(0.95, 1, 3))
    assert steps[0]["false_rejects"] < steps[1]["false_rejects"]


def test_trade_off_needs_defects_and_held_out_scores(make_report) -> None:
    report = make_report()
    assert figures.trade_off(make_report(rows=[row for row in report.rows if row.sample.label == 0])) == []
    assert figures.trade_off(make_report(held_out=np.array([np.nan, 0.3], np.float32))) == []
