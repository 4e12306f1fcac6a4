"""The page of a fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flawsight.cli import app
from flawsight.datasets import DataSet
from flawsight.fitting import Plan, fit
from flawsight.model import Model
from flawsight.report import fit_page


@pytest.fixture(scope="module")
def page(model: Model, plates: DataSet) -> str:
    return fit_page.render(model, plates.train, shown=3)


def test_it_shows_the_highest_held_out_scores_worst_first_with_heat_maps(page: str, model: Model) -> None:
    cards = [card.split("</article>")[0] for card in page.split('<article class="card')[1:]]
    worst = list(model.training.held_out_by_name.items())[:3]
    assert len(cards) == 3
    for card, (name, score) in zip(cards, worst, strict=True):
        assert f"{name.split('/')[-1]}</span>" in card
        assert float(re.search(r"<strong>([\d.]+)<", card)[1]) == pytest.approx(score, abs=0.01)
        assert card.count("data:image/webp") == 4  # heat map, picture, patch and the nearest of another picture
        assert f'Nearest patch from <span class="path">{name}' not in card


def test_it_lists_every_score_and_says_threshold_promise_notes_and_what_is_seen(page: str, model: Model) -> None:
    rows = re.findall(r'<td class="num">([\d.]+)</td>', page)
    assert [float(one) for one in rows] == pytest.approx(sorted(model.training.held_out, reverse=True), abs=0.01)
    assert "Only 8 different good pictures" in page
    assert "held-out good pictures would be rejected" in page
    assert "Of a picture of 192×192 pixels the network sees 128×128: each of its pixels is 1.5×1.5" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_maps_are_those_of_pictures_held_out(model: Model, plates: DataSet) -> None:
    """Two ways to a held-out score: the one of the fit, and judging the picture without what was learned from it."""
    for place in (0, 5):
        blind = fit_page._without(model, place)
        score = blind.predict(plates.train[place]).score
        assert score == pytest.approx(float(model.training.held_out[place]), rel=1e-5)
        assert score > model.predict(plates.train[place]).score


def test_two_banks_judge_without_a_picture_too(plates: DataSet) -> None:
    model = fit(plates.train, Plan(size=64))
    blind = fit_page._without(model, 2)
    assert blind.predict(plates.train[2]).score == pytest.approx(float(model.training.held_out[2]), rel=1e-4)


def test_pictures_that_are_gone_or_not_known_are_left_out(model: Model, plates: DataSet, tmp_path: Path) -> None:
    gone = [replace(plates.train[0], path=tmp_path / "gone.png"), replace(plates.train[1], name="other.png")]
    page = fit_page.render(model, gone)
    assert '<article class="card' not in page
    assert len(re.findall(r'<td class="num">', page)) == 8


def test_a_picture_to_look_at_is_marked(model: Model, plates: DataSet) -> None:
    held_out = np.array([9.0, *np.linspace(0.8, 1, 7)], np.float32)
    page = fit_page.render(replace(model, training=replace(model.training, held_out=held_out)), plates.train, shown=2)
    first, second = (card.split("</article>")[0] for card in page.split('<article class="card')[1:])
    assert ("look at it" in first, "look at it" in second) == (True, False)


def test_a_method_that_cannot_judge_without_them_says_so(plates: DataSet) -> None:
    model = fit(plates.train, Plan(method="padim", size=64))
    assert fit_page.LEARNED in fit_page.render(model, plates.train, shown=1)


def test_held_out_with_gives_copies_and_series(model: Model) -> None:
    prints = [*model.training.fingerprints[:7], model.training.fingerprints[0]]
    assert replace(model.training, fingerprints=prints).held_out_with(0) == [0, 7]
    assert replace(model.training, series=[0, 0, 2, 2, 2, 5, 6, 7]).held_out_with(3) == [2, 3, 4]
    assert replace(model.training, series=[0] * 8).held_out_with(3) == [3]  # all of one: each by itself


def test_the_command_line_writes_it(plate: Path, tmp_path: Path) -> None:
    args = ["fit", str(plate / "train" / "good"), "-o", str(tmp_path / "x.flaw"), "--size", "64", "--method", "patchcore"]
    done = CliRunner().invoke(app, [*args, "--report", str(tmp_path / "fit.html"), "--leave-out", "000.png"])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "fit.html").read_text("utf8")
    assert page.count('<article class="card') == 7
    assert "Left out as asked: 000.png." in page
    assert f"Wrote {tmp_path / 'fit.html'}." in done.output.replace("\n", "")


def test_a_score_with_the_good_pictures_at_hand_draws_the_nearest_good_patch(
    model: Model, plate: Path, plates: DataSet, tmp_path: Path
) -> None:
    replace(model, crops=None).save(tmp_path / "x.flaw")
    bad = next(str(one.path) for one in plates.test if one.label == 1)
    args = ["score", str(tmp_path / "x.flaw"), bad, "--out"]
    CliRunner().invoke(app, [*args, str(tmp_path / "without")])
    CliRunner().invoke(app, [*args, str(tmp_path / "with"), "--good", str(plate / "train")])
    drawn = {name: (tmp_path / name / "report.html").read_text("utf8") for name in ("with", "without")}
    assert ">nearest good</figcaption>" in drawn["with"]
    assert "not at hand" not in drawn["with"]
    assert ">nearest good</figcaption>" not in drawn["without"]
    assert "not at hand" in drawn["without"]
