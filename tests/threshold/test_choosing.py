"""What a threshold promises, against the definition, at its edges, and in a simulation."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from flawsight import threshold
from flawsight.errors import DataError, UsageError
from flawsight.threshold import choose, fits_best, fixed, from_defects, ladder, most_rejected, parse_share, upper_bound
from flawsight.threshold.outlying import odd, suspects
from flawsight.types import Float


def scores(n: int, seed: int = 0) -> Float:
    return np.random.default_rng(seed).normal(size=n).astype(np.float32)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 2), (1, 2), (0, 59), (1, 60), (17, 60), (59, 60), (40, 5000)])
def test_the_bound_is_clopper_and_pearsons(k: int, n: int, confidence: float) -> None:
    assert upper_bound(k, n, confidence) == pytest.approx(stats.beta.ppf(confidence, k + 1, n - k), rel=1e-9)
    assert stats.binom.cdf(k, n, upper_bound(k, n, confidence)) == pytest.approx(1 - confidence, rel=1e-6)


def test_where_all_were_rejected_nothing_is_bounded() -> None:
    assert upper_bound(7, 7) == 1.0


@pytest.mark.parametrize("share", [None, 0.05, 0.1, 0.4, 0.99])
@pytest.mark.parametrize("n", [60, 299, 1000])
def test_what_is_promised_is_what_the_scores_say(n: int, share: float | None) -> None:
    chosen = choose(scores(n), share, 0.9)
    assert (chosen.n_held_out, chosen.confidence) == (n, 0.9)
    assert chosen.n_rejected == np.count_nonzero(scores(n) > chosen.value)
    assert chosen.max_false_rejects == pytest.approx(stats.beta.ppf(0.9, chosen.n_rejected + 1, n - chosen.n_rejected))
    if share is not None:  # kept, and one more would break it
        assert chosen.max_false_rejects <= share < upper_bound(chosen.n_rejected + 1, n, 0.9)
        assert chosen.rule == f"max_false_rejects {100 * share:g} %"


@pytest.mark.parametrize(("n", "k"), [(2, 0), (49, 0), (50, 1), (60, 1), (99, 1), (100, 2), (500, 10)])
def test_by_default_one_in_fifty_may_be_rejected(n: int, k: int) -> None:
    chosen = choose(scores(n))
    assert (chosen.n_rejected, chosen.rule) == (k, "default")
    assert chosen.value == np.sort(scores(n))[-1 - k]


def test_one_of_sixty_in_words() -> None:
    assert choose(scores(60)).promise == (
        "at this threshold 1 of 60 held-out good pictures would be rejected; "
        "with 95 % confidence at most 7.66 % of such pictures will be"
    )
    assert choose(scores(60)).max_false_rejects == pytest.approx(0.0766, abs=5e-5)


def test_asking_for_more_lowers_the_threshold() -> None:
    chosen = [choose(scores(400), share) for share in np.linspace(0.008, 0.99, 50)]
    assert [one.value for one in chosen] == sorted((one.value for one in chosen), reverse=True)
    assert [one.n_rejected for one in chosen] == sorted(one.n_rejected for one in chosen)
    assert chosen[0].n_rejected == 0
    assert chosen[-1].n_rejected > 350


@given(st.integers(2, 300), st.floats(0.001, 0.9), st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=60)
def test_a_promise_too_fine_is_refused_with_the_number_it_needs(n: int, share: float, confidence: float) -> None:
    if upper_bound(0, n, confidence) <= share:
        assert most_rejected(n, share, confidence) >= 0
        return
    with pytest.raises(UsageError, match=f"there are {n}, which support") as caught:
        most_rejected(n, share, confidence)
    needed = int(re.search(r"needs (\d+) different good pictures", str(caught.value))[1])
    assert needed > n
    assert most_rejected(needed, share, confidence) == 0
    with pytest.raises(UsageError, match=f"needs {needed} "):
        most_rejected(needed - 1, share, confidence)


@pytest.mark.parametrize(
    ("share", "confidence", "needed"), [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.5, 0.75, 2), (0.5, 0.96875, 5)]
)
def test_numbers_known_from_the_books(share: float, confidence: float, needed: int) -> None:
    with pytest.raises(UsageError, match=f"needs {needed} different"):
        most_rejected(needed - 1, share, confidence)
    assert most_rejected(needed, share, confidence) == 0


def test_a_refusal_never_says_that_fewer_support_the_same() -> None:
    with pytest.raises(UsageError, match=r"at most 1 % .* there are 298, which support 1\.01 %"):
        choose(scores(298), 0.01)


@given(st.integers(2, 5000), st.floats(0, 1), st.sampled_from([0.5, 0.95, 0.99]))
@settings(deadline=None)
def test_the_words_are_the_number(n: int, rejected: float, confidence: float) -> None:
    k = round(rejected * (n - 1))
    made = threshold.Threshold(1.0, n, k, upper_bound(k, n, confidence), confidence, "")
    said = float(re.search(r"at most ([\d.]+) %", made.promise)[1])
    assert said == pytest.approx(100 * made.max_false_rejects, rel=0.005)


def test_ties_at_the_threshold_pass() -> None:
    held_out = np.array([5, 5, 5, 5, *range(56)], np.float32)
    held_out[4:] /= 56
    chosen = choose(held_out)
    assert (chosen.value, chosen.n_rejected, chosen.max_false_rejects) == (5.0, 0, upper_bound(0, 60))
    same = choose(np.full(60, 0.25, np.float32), 0.9)
    assert (same.value, same.n_rejected) == (0.25, 0)


def test_order_and_the_array_itself_do_not_matter() -> None:
    held_out = scores(100)
    before = held_out.copy()
    assert choose(held_out) == choose(np.sort(held_out)) == choose(held_out[::-1])
    np.testing.assert_array_equal(held_out, before)


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_pictures_without_a_held_out_score_are_left_out(lost: float) -> None:
    held_out = np.append(scores(60), np.float32(lost))
    assert choose(held_out) == choose(scores(60))
    assert fixed(held_out, 0.0) == fixed(scores(60), 0.0)


@pytest.mark.parametrize("held_out", [[], [1.0], [1.0, np.nan], [np.nan, np.inf]])
def test_fewer_than_two_are_refused(held_out: list[float]) -> None:
    usable = sum(np.isfinite(held_out))
    with pytest.raises(DataError, match=rf"at least 2 good pictures; got {usable}\. Add"):
        choose(np.array(held_out, np.float32))
    with pytest.raises(DataError, match="at least 2"):
        fixed(np.array(held_out, np.float32), 1.0)


def test_two_are_enough() -> None:
    assert choose(np.array([2, 1], np.float32)).value == 2.0


def test_a_threshold_set_by_hand_says_what_it_promises() -> None:
    held_out = np.arange(60, dtype=np.float32)
    made = fixed(held_out, 57.0, 0.9)
    assert (made.value, made.n_rejected, made.rule) == (57.0, 2, "set by hand")
    assert made.max_false_rejects == pytest.approx(stats.beta.ppf(0.9, 3, 58))
    assert fixed(held_out, -1.0).max_false_rejects == 1.0
    assert fixed(held_out, 100.0).n_rejected == 0


def test_it_counts_as_predictions_compare() -> None:
    third = np.float32(0.1)  # a little above 0.1
    assert float(third) > 0.1
    assert fixed(np.array([third, 0.0], np.float32), 0.1).n_rejected == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_threshold_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="finite number"):
        fixed(scores(60), value)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, 1e-9, np.nan, np.inf])
def test_shares_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(UsageError, match=r"max_false_rejects must be a share between 0\.000001 and 1"):
        choose(scores(60), share)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 2.0, np.nan])
def test_confidences_out_of_range_are_refused(confidence: float) -> None:
    calls = (
        lambda: choose(scores(60), None, confidence),
        lambda: choose(scores(60), 0.1, confidence),
        lambda: fixed(scores(60), 1.0, confidence),
        lambda: most_rejected(60, None, confidence),
    )
    for call in calls:
        with pytest.raises(UsageError, match="confidence must be between 0 and 1"):
            call()


@pytest.mark.parametrize(
    ("text", "share"),
    [("1%", 0.01), ("1 %", 0.01), (" 0.5 % ", 0.005), ("0.01", 0.01), ("1e-2", 0.01), ("100%", 1.0), ("0", 0.0), ("0%", 0.0)],
)
def test_shares_in_words(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["abc", "", "%", "1%%", "0,5%", "one", "1 percent"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=rf"such as 1% or 0\.01 was needed; got '{re.escape(text)}'"):
        parse_share(text)


@pytest.mark.parametrize(("n", "share"), [(60, None), (60, 0.1), (300, 0.05)])
def test_the_promise_holds_as_often_as_it_says(n: int, share: float | None) -> None:
    """Scores uniform on [0,1]: the true share of later good pictures above the threshold is 1 − threshold."""
    rng, draws = np.random.default_rng(1), 1000
    chosen = [choose(rng.random(n, dtype=np.float32), share) for _ in range(draws)]
    kept = np.mean([1 - one.value <= one.max_false_rejects for one in chosen])
    assert kept == pytest.approx(0.95, abs=0.02)  # Wilks: exactly 95 %, give or take 0.7 %
    if share is not None:
        assert np.mean([1 - one.value <= share for one in chosen]) >= 0.93


def test_the_ladder_runs_from_none_rejected_to_one_in_ten() -> None:
    scores = np.arange(100, dtype=np.float32)
    steps = ladder(scores)
    assert [one.n_rejected for one in steps] == [0, 1, 2, 5, 10]
    assert [one.value for one in steps] == [99, 98, 97, 94, 89]
    assert [one.n_rejected for one in ladder(scores[:12])] == [0, 1]
    assert all(one.max_false_rejects == upper_bound(one.n_rejected, 100) for one in steps)


def test_series_of_one_picture_change_nothing() -> None:
    for n in (2, 12, 60, 300):
        held_out = scores(n, n)
        for share in (None, 0.9):
            assert choose(held_out, share, series=list(range(n))) == choose(held_out, share)
        assert fixed(held_out, 0.3, series=np.arange(n)) == fixed(held_out, 0.3)
        assert ladder(held_out, series=np.arange(n)) == ladder(held_out)
        without_far = np.sort(held_out)[-1 - n // 50]
        assert choose(held_out).value == without_far or "far from the rest" in choose(held_out).rule


def test_a_picture_weighs_one_over_its_series() -> None:
    held_out = np.array([9, 1, 8, 7, 2, 1, 0, 0, 0, 0], np.float32)
    series = [0, 0, 1, 1, 1, 1, 2, 2, 3, 3]
    made = fixed(held_out, 6.0, series=series)
    assert (made.n_held_out, made.n_rejected, made.n_series, made.rejected_series) == (10, 3, 4, 1.0)
    made = fixed(held_out, 7.5, series=series)
    assert (made.n_rejected, made.rejected_series) == (2, 0.75)
    assert made.max_false_rejects == pytest.approx(stats.beta.ppf(0.95, 1.75, 3.25))
    assert made.promise == (
        "at this threshold 0.75 of 4 series (2 of 10 held-out good pictures) would be rejected; "
        f"with 95 % confidence at most {100 * made.max_false_rejects:.3g} % of pictures of new series will be"
    )


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_with_series_too_the_lowest_threshold_that_keeps_the_promise_is_taken(share: float) -> None:
    series = np.arange(60) // 4
    chosen = choose(scores(60), share, series=series)
    assert chosen.n_series == 15
    assert chosen.max_false_rejects <= share
    lower = max(value for value in scores(60) if value < chosen.value)
    allowed = most_rejected(15, share)
    assert chosen.rejected_series <= allowed < fixed(scores(60), float(lower), series=series).rejected_series


def test_ninety_pictures_of_eleven_series_promise_what_eleven_support() -> None:
    series = np.arange(90) % 11
    assert choose(scores(90), series=series).max_false_rejects >= upper_bound(0, 11) > 0.2
    with pytest.raises(UsageError, match="there are 11, which support"):
        choose(scores(90), 0.05, series=series)


def test_one_series_supports_no_promise_but_has_a_threshold() -> None:
    chosen = choose(scores(30), series=[7] * 30)
    assert (chosen.value, chosen.n_rejected, chosen.n_series, chosen.max_false_rejects) == (scores(30).max(), 0, 1, 1.0)
    assert chosen.promise.startswith("all 30 held-out good pictures are of one series, so no promise is possible")
    with pytest.raises(UsageError, match="all are of one, so no promise is possible"):
        choose(scores(30), 0.5, series=[7] * 30)


def test_unknown_scores_leave_their_series_as_it_is() -> None:
    held_out = np.array([3, np.nan, 2, 1, np.nan], np.float32)
    assert fixed(held_out, 2.5, series=[0, 0, 1, 1, 2]).rejected_series == 1.0
    assert fixed(held_out, 2.5, series=[0, 0, 1, 1, 2]).n_series == 2


def test_one_odd_picture_does_not_set_the_threshold() -> None:
    held_out = np.append(np.linspace(1, 2.4, 30), 4.6).astype(np.float32)
    chosen = choose(held_out)
    assert (chosen.value, chosen.n_rejected) == (np.float32(2.4), 1)
    assert "1 far from the rest" in chosen.rule
    assert chosen.max_false_rejects > upper_bound(1, 31)  # what was chosen by the scores is bound more carefully
    assert odd(held_out).tolist() == [False] * 30 + [True]
    held_out[-1] = 4.2
    assert choose(held_out).value == np.float32(4.2)
    assert not odd(held_out).any()


def test_scores_that_are_not_positive_have_odd_ones_by_their_differences() -> None:
    held_out = np.append(np.linspace(-3, -1, 20), -1 + 1.5 * 1.5 * (0.75 + 10 / 21)).astype(np.float32)
    assert odd(held_out).tolist() == [False] * 20 + [True]
    held_out[-1] = -1 + 1.5 * 1.3 * (0.75 + 10 / 21)  # the rest reaches 1.5 above its lowest quarter
    assert not odd(held_out).any()


@pytest.mark.parametrize("n", [10, 20, 40, 150])
@pytest.mark.parametrize("kind", ["normal", "log-normal", "exponential", "t"])
def test_clean_scores_are_seldom_odd(n: int, kind: str) -> None:
    rng, draws = np.random.default_rng(n), 500
    law = {"normal": stats.norm(1, 0.1), "log-normal": stats.lognorm(1), "exponential": stats.expon(), "t": stats.t(4)}[kind]
    found = [odd(law.rvs(n, random_state=rng).astype(np.float32)).any() for _ in range(draws)]
    assert np.mean(found) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("n", [10, 25, 80])
def test_a_score_of_twice_the_highest_of_the_rest_is_odd_where_these_spread_little(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(200):
        rest = rng.normal(1, 0.1, n - 1)
        assert odd(np.append(rest, 2 * rest.max()).astype(np.float32))[-1]


def test_no_more_than_one_in_twenty_is_odd_and_of_few_none() -> None:
    half = np.array([1, 1.1] * 10 + [9] * 20, np.float32)
    assert not odd(half).any()
    assert odd(np.array([*np.linspace(1, 2, 58), 9, 9.1], np.float32)).sum() == 2
    assert not odd(np.array([1, 1, 1, 1, 50], np.float32)).any()


def test_suspects_are_found_among_few_series_and_several_at_a_time() -> None:
    held_out = np.array([*np.linspace(0.8, 0.95, 24), 2.2], np.float32)
    two_series = [0] * 24 + [1]
    assert not odd(held_out, two_series).any()
    assert np.flatnonzero(suspects(held_out, range(25), two_series)).tolist() == [24]
    three = np.array([2.2, 2.3, 2.4, *np.linspace(0.8, 0.95, 22)], np.float32)
    assert not odd(three).any()
    assert np.flatnonzero(suspects(three, range(25))).tolist() == [0, 1, 2]
    assert not suspects(np.linspace(0.8, 0.95, 25).astype(np.float32), range(25)).any()


def test_copies_of_a_suspect_are_suspect_together() -> None:
    held_out = np.array([2.2, 2.2, *np.linspace(0.8, 0.95, 12)], np.float32)
    assert np.flatnonzero(suspects(held_out, [0, 0, *range(1, 13)])).tolist() == [0, 1]


@pytest.mark.parametrize(("n", "far", "found"), [(4, 9.0, 0), (5, 3.1, 1), (5, 2.9, 0), (9, 3.1, 1)])
def test_of_few_pictures_one_is_suspect_if_it_stands_very_far(n: int, far: float, found: int) -> None:
    """The others spread over 1; the suspect one must be more than 2 above the highest of them, which is 1."""
    held_out = np.array([*np.linspace(0, 1, n - 1), far], np.float32)
    assert suspects(held_out, range(n)).sum() == found


def test_scores_that_are_not_known_are_never_suspect() -> None:
    held_out = np.array([np.nan, 9.0, *np.linspace(0, 1, 12), np.inf], np.float32)
    assert np.flatnonzero(suspects(held_out, range(15))).tolist() == [1]
    assert not suspects(np.full(12, np.nan, np.float32), range(12)).any()


def test_an_odd_series_is_odd_as_a_whole() -> None:
    held_out = np.append(np.tile(np.linspace(1, 2, 12), 2), [8, 9]).astype(np.float32)
    series = [*range(12), *range(12), 12, 12]
    assert odd(held_out, series).tolist() == [False] * 24 + [True] * 2
    assert choose(held_out, series=series).rejected_series == 1.0


@pytest.mark.parametrize("n", [10, 31, 60, 100])
@pytest.mark.parametrize("kind", ["normal", "log-normal", "t"])
def test_the_default_promise_holds_though_odd_scores_are_set_aside(n: int, kind: str) -> None:
    rng, draws = np.random.default_rng(n), 1500
    true = {"normal": stats.norm(), "log-normal": stats.lognorm(1), "t": stats.t(3)}[kind]
    made = [choose(true.rvs(n, random_state=rng).astype(np.float32)) for _ in range(draws)]
    assert np.mean([true.sf(one.value) <= one.max_false_rejects for one in made]) >= 0.95 - 2.6 * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [None, 0.3])
def test_the_promise_holds_for_pictures_of_new_series(alike: float, share: float | None) -> None:
    """Scores are the sum of a series' own part and the picture's; series are of one to nine pictures."""
    rng, draws = np.random.default_rng(3), 1000
    kept = []
    for _ in range(draws):
        series = np.repeat(np.arange(20), rng.integers(1, 10, 20))
        held_out = np.sqrt(alike) * rng.normal(size=20)[series] + np.sqrt(1 - alike) * rng.normal(size=len(series))
        chosen = choose(held_out.astype(np.float32), share, series=series)
        kept.append(stats.norm.sf(chosen.value) <= chosen.max_false_rejects)
    assert np.mean(kept) >= 0.95 - 2.6 * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize(("n_series", "size", "rejected"), [(40, 3, 2), (39, 2, 1), (19, 5, 0.0), (40, 1, 0)])
def test_where_pictures_come_in_series_one_series_in_twenty_may_be_rejected(n_series: int, size: int, rejected: float) -> None:
    scores = np.repeat(np.arange(n_series, dtype=np.float32), size)
    chosen = choose(scores, series=np.repeat(np.arange(n_series), size))
    assert chosen.rule == "default"
    assert (chosen.rejected_series if size > 1 else chosen.n_rejected) == pytest.approx(rejected)
    assert chosen.max_false_rejects == pytest.approx(upper_bound(rejected, n_series))


def brute_best(good: list[float], bad: list[float]) -> float:
    """The smallest sum of both shares over every threshold there can be."""
    cuts = [min([*good, *bad]) - 1, *good, *bad]
    return min(np.mean([g > cut for g in good]) + np.mean([b <= cut for b in bad]) for cut in cuts)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=15), st.lists(st.integers(0, 12), min_size=1, max_size=15))
@settings(deadline=None, max_examples=80)
def test_what_fits_best_makes_the_fewest_mistakes(good: list[int], bad: list[int]) -> None:
    value, least = fits_best(good, bad), brute_best(good, bad)
    if value is None:
        assert least == pytest.approx(1)
    else:
        assert np.mean([g > value for g in good]) + np.mean([b <= value for b in bad]) == pytest.approx(least)


def test_what_fits_best_lies_half_way() -> None:
    assert fits_best([1.0, 2.0], [6.0, 4.0]) == 3.0
    assert fits_best([1.0, 5.0, 2.0, 1.5], [4.0, 6.0]) == 3.0  # misses none; 5.5 would miss one of two
    assert fits_best([], [1.0]) is fits_best([1.0], []) is fits_best([2.0], [1.0]) is None


def test_a_threshold_from_known_defects_says_what_it_promises_of_both_kinds() -> None:
    held_out = np.arange(60, dtype=np.float32)
    made = from_defects(held_out, [80.0, 57.5, 90.0, 100.0, 70.0], [1.0, 20.0, 39.0, 40.0])
    assert made.value == (40.0 + 57.5) / 2
    assert (made.n_rejected, made.n_defects, made.n_missed) == (11, 5, 0)
    assert made.max_false_rejects == pytest.approx(upper_bound(11, 60))  # the held-out scores had no part in the choice
    assert made.max_misses == pytest.approx(1 - 0.025 ** (1 / 5))
    assert made.rule == "set by 5 known defects and 4 good pictures"
    assert "0 of 5 known defects would be missed; with 95 % confidence at most 52.2 % of such defects will be" in made.promise
    assert "known defects" not in fixed(held_out, 10.0).promise


def test_without_good_pictures_the_held_out_scores_help_to_choose_and_the_bound_allows_for_that() -> None:
    made = from_defects(np.arange(60, dtype=np.float32), [57.5, 80.0, 10.0])
    assert (made.value, made.n_rejected, made.n_missed) == (57.25, 2, 1)
    assert made.max_false_rejects == pytest.approx(stats.beta.ppf(1 - 0.05 / 12, 3, 58))
    assert made.max_misses == pytest.approx(stats.beta.ppf(1 - 0.05 / 6, 2, 2))


def test_defects_that_score_no_higher_than_good_pictures_set_no_threshold() -> None:
    for defective in ([], [1.0, 0.5]):
        with pytest.raises(DataError, match=rf"those that came \({len(defective)}\) from good ones better than chance"):
            from_defects(scores(60), defective, [2.0, 3.0])


def test_the_promise_of_known_defects_holds_as_often_as_it_says() -> None:
    """Scores of defects uniform on [0,1], of good pictures on [-0.7,0.3]: the true share missed is the threshold."""
    rng, draws, broken = np.random.default_rng(2), 600, [0, 0]
    for _ in range(draws):
        held_out, good = (rng.uniform(-0.7, 0.3, n).astype(np.float32) for n in (40, 15))
        with_good = from_defects(held_out, rng.uniform(size=12).tolist(), good.tolist())
        alone = from_defects(held_out, rng.uniform(size=12).tolist())
        broken[0] += with_good.value > with_good.max_misses or 0.3 - with_good.value > with_good.max_false_rejects
        broken[1] += alone.value > alone.max_misses or 0.3 - alone.value > alone.max_false_rejects
    assert max(broken) <= 0.1 * draws  # each of two promises may fail in one of twenty
