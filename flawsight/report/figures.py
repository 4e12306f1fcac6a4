"""The figures at the top of the page: how many mistakes, the metrics in plain words, the count by kind."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from flawsight.metrics import auroc
from flawsight.report.cards import mistake
from flawsight.threshold import CONFIDENCE, fits_best, fixed, half_way, ladder
from flawsight.types import Report, Row

# The three figures of the headline, in words for those who have not met them. The other metrics follow in a table.
_HEADLINE = {
    "image_auroc": (
        "Image AUROC",
        (
            "Are defective pictures separated from good ones? The chance that a defective picture scores above a good one. "
            "50 % is guessing, 100 % perfect."
        ),
    ),
    "pixel_auroc": (
        "Pixel AUROC",
        (
            "Is the defect found in the picture? The chance that a defective pixel scores above a sound one. "
            "Large defects count more, and small ones can hide."
        ),
    ),
    "pro": (
        "PRO",
        (
            "How much of each defect is marked? The share of each defect found, small or large alike, averaged while at most "
            "30 % of the sound pixels are marked."
        ),
    ),
}

FITS_BEST = (
    "What fits best has the smallest sum of two shares: of good pictures rejected and of defects missed. It was chosen with these "
    "very pictures, which flatters it; `flawsight threshold --from` sets such a threshold and says what so few defects can promise."
)


def headline(report: Report) -> str:
    """The result in one line, in counts."""
    counts = report.counts
    good, bad = counts.get("good", 0), counts.get("defective", 0)
    message = [f"{counts.get('false_rejects', 0)} of {pictures(good, 'good ')} rejected"] if good else []
    message += [f"{counts.get('misses', 0)} of {pictures(bad, 'defective ')} missed"] if bad else []
    if not message:
        message = [f"{sum(bool(row.is_defective) for row in report.rows)} of {pictures(len(report.rows))} rejected"]
    message += [f"{len(report.unreadable)} more could not be read"] if report.unreadable else []
    return "; ".join(message)


def pictures(n: int, kind: str = "") -> str:
    """So many pictures, in words."""
    return f"{n} {kind}picture{'s' * (n != 1)}"


def rates(report: Report) -> list[dict[str, str]]:
    """False rejects and missed defects, each with what so few pictures can say about the next thousands."""
    counts = report.counts
    pairs = (
        ("False rejects", counts.get("false_rejects", 0), counts.get("good", 0), "good"),
        ("Missed defects", counts.get("misses", 0), counts.get("defective", 0), "defective"),
    )
    return [_rate(*pair) for pair in pairs]


def _rate(label: str, wrong: int, n: int, kind: str) -> dict[str, str]:
    if not n:
        return {"label": label, "value": "", "share": "", "message": f"Not measurable: there are no {kind} pictures."}
    low, high = wilson(wrong, n)
    message = f"In the long run likely {100 * low:.1f} to {100 * high:.1f} % of {kind} parts, if these pictures are typical (95 %)."
    return {"label": label, "value": f"{wrong} of {n}", "share": percent(wrong / n, 1), "message": unbroken(message)}


def wilson(wrong: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share of which `wrong` in `n` were seen; z = 1.96 for 95 %."""
    share, slack = wrong / n, z * z / n
    middle = (share + slack / 2) / (1 + slack)
    half = z / (1 + slack) * math.sqrt(share * (1 - share) / n + slack / (4 * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def percent(fraction: float, decimals: int = 2) -> str:
    """A fraction as percent; what is not quite all is never rounded up to 100."""
    most = 100.0 if fraction >= 1 else 100 - 10.0**-decimals
    return unbroken(f"{min(100 * fraction, most):.{decimals}f} %")


def sentence(text: str) -> str:
    """The text with a capital and a full stop; nothing of nothing."""
    return unbroken(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}") if text else ""


def unbroken(text: str) -> str:
    """The text with its percent signs tied to their numbers."""
    return text.replace(" %", "\u00a0%")


def metrics(report: Report) -> list[dict[str, str]]:
    """The three of the headline: label, value, what it means, and where there is no value why not."""
    return [_metric(label, message, report, name) for name, (label, message) in _HEADLINE.items()]


def _metric(label: str, message: str, report: Report, name: str) -> dict[str, str]:
    value = report.metrics.get(name, math.nan)
    why = f"Not measurable: {_why_not(report, name)}." if math.isnan(value) else ""
    return {"label": label, "value": "" if why else percent(value), "message": unbroken(message), "why": why}


def _why_not(report: Report, name: str) -> str:
    """What is missing to measure it; the first that applies, from what every metric needs to what few do."""
    if not report.counts.get("defective", 0):
        return "there are no defective pictures"
    if not name.startswith("image") and not any(row.sample.mask for row in report.rows):
        return "there are no masks of the true defects"
    if not name.startswith("image") and all(row.heat is None for row in report.rows):
        return "this method gives no map"
    if not report.counts.get("good", 0):
        return "there are no good pictures"
    if name not in report.metrics:
        return "the masks were not used" if not name.startswith("image") else "it was not asked for"
    return "the pictures or masks do not allow it"


def more_metrics(measured: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Label, value and meaning of the metrics that are not in the headline."""
    from flawsight.metrics import METRICS

    found = []
    for name, value in measured.items():
        if name not in _HEADLINE:
            known = METRICS.get(name)
            label, message = (known.label, known.description) if known else (name.replace("_", " "), "")
            found.append((label, "not measurable" if math.isnan(value) else percent(value), message))
    return found


def trade_off(report: Report) -> list[dict[str, float | int | bool]]:
    """What stricter and more lenient thresholds would have done: the one set, some that the held-out scores offer, and some above.

    threshold; held_out_rejected and max_false_rejects, what it promises; false_rejects and misses among the judged pictures;
    fits_best: whether it fits their labels best, see threshold.fits_best.
    Empty where there are no defective pictures or too few held-out scores. Highest threshold first.
    """
    good = [row.score for row in report.rows if row.sample.label == 0]
    bad = [row.score for row in report.rows if row.sample.label == 1]
    if not bad or np.count_nonzero(np.isfinite(report.held_out)) < 2:
        return []
    held_out, series, chosen = report.held_out, report.series, float(report.threshold["value"])
    best = _best(good, bad, chosen)
    by_hand = {chosen, *_above(good, bad, chosen), *([] if best is None else [best])}
    offered = {one.value: one for one in ladder(held_out, series=series)}
    offered |= {value: fixed(held_out, value, series=series) for value in by_hand}
    as_said = report.threshold.get("confidence") == CONFIDENCE
    promised = {chosen: float(report.threshold["max_false_rejects"])} if as_said else {}
    return [
        {
            "threshold": value,
            "held_out_rejected": one.n_rejected,
            "max_false_rejects": promised.get(value, one.max_false_rejects),
            "false_rejects": sum(score > value for score in good),
            "misses": sum(score <= value for score in bad),
            "fits_best": value == best,
        }
        for value, one in sorted(offered.items(), reverse=True)
    ]


def _best(good: list[float], bad: list[float], chosen: float) -> float | None:
    """The threshold that fits the labels best: the one that is set, if it makes the same mistakes as that."""
    best = fits_best(good, bad)
    if best is None:
        return None

    def mistakes(value: float) -> tuple[int, int]:
        return sum(score > value for score in good), sum(score <= value for score in bad)

    return chosen if mistakes(best) == mistakes(chosen) else best


def _above(good: list[float], bad: list[float], chosen: float) -> list[float]:
    """Thresholds above the one that is set: the highest that misses no more defects, and those at which half as many good pictures
    are rejected and none.
    """
    rejected = sorted(score for score in good if score > chosen)
    found = [score for score in bad if score > chosen]
    below = [score for score in (*good, *bad) if found and chosen <= score < min(found)]
    steps = {max([chosen, *below])} if found else set()
    steps |= {rejected[-1], rejected[(len(rejected) - 1) // 2]} if rejected else set()
    return [half_way([*good, *bad], step) for step in steps]


def kinds(rows: list[Row]) -> list[dict[str, str | float]]:
    """Kind, pictures, rejected, mistakes and image_auroc against all good ones; good first, then the kinds of defect by name.

    The AUROC is NaN of good ones, and where a score is.
    """
    found: dict[tuple[bool, str], list[Row]] = {}
    for row in rows:
        if row.sample.label is not None:
            kind = row.sample.kind or ("defective" if row.sample.label else "good")
            found.setdefault((row.sample.label == 1, kind), []).append(row)
    good = [row.score for row in rows if row.sample.label == 0]
    return [
        {
            "kind": kind,
            "pictures": len(group),
            "rejected": sum(bool(row.is_defective) for row in group),
            "mistakes": sum(bool(mistake(row)) for row in group),
            "image_auroc": _auroc(good, [row.score for row in group]) if bad else math.nan,
        }
        for (bad, kind), group in sorted(found.items(), key=lambda item: item[0])
    ]


def _auroc(good: list[float], bad: list[float]) -> float:
    scores = [*good, *bad]
    return auroc(scores, [0] * len(good) + [1] * len(bad)) if not any(map(math.isnan, scores)) else math.nan
