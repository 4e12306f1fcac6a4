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
    assert [one["threshold"] for one in steps] == [pytest.approx(v) for v in (1.55, 1.05, 1.0, 0.65, 0.03)]
    assert [(one["false_rejects"], one["misses"]) for one in steps] == [(0, 3), (1, 2), (1, 2), (1, 0), (4, 0)]
    assert [one["threshold"] for one in steps if one["fits_best"]] == [pytest.approx(0.65)]
    for one in steps:
        assert one["false_rejects"] == sum(score > one["threshold"] for score in good)
        assert one["misses"] == sum(not score > one["threshold"] for score in bad)
        assert one["max_false_rejects"] == pytest.approx(stats.beta.ppf(0.95, 1, 3))


def test_trade_off_calls_the_threshold_that_is_set_the_best_where_none_does_better(make_report, make_row) -> None:
    rows = [make_row("a", 0, 0.4), make_row("b", 0, 0.9), make_row("c", 1, 1.6), make_row("d", 1, 2.5)]
    steps = figures.trade_off(make_report(rows=rows, held_out=np.array([0.5, 1.0], np.float32)))
    assert [(one["threshold"], one["fits_best"], one["misses"]) for one in steps][:2] == [(1.3, False, 0), (1.0, True, 0)]


def test_trade_off_needs_defects_and_held_out_scores(make_report) -> None:
    report = make_report()
    assert figures.trade_off(make_report(rows=[row for row in report.rows if row.sample.label == 0])) == []
    assert figures.trade_off(make_report(held_out=np.array([np.nan, 0.3], np.float32))) == []
