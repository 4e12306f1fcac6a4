"""What is held out together, what is promised then, and what is said of it: from a folder of pictures to the model file."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from flawsight.cli import app
from flawsight.errors import ModelFileError, UsageError
from flawsight.evaluation import evaluate
from flawsight.fitting import Plan, estimate, fit, good_pictures, series
from flawsight.images import image
from flawsight.methods import METHODS
from flawsight.model import Model, load
from flawsight.modelfile import bundle
from flawsight.threshold import upper_bound
from flawsight.types import Pixels

TINY = Plan(method="patchcore", size=64)
FINER = Plan(method="patchcore", size=128)
BY_LOT = dataclasses.replace(TINY, group_by=r"lot(\d+)")


def written(folder: Path, pictures: list[Pixels], names: list[str] | None = None) -> Path:
    for i, picture in enumerate(pictures):
        path = folder / (names[i] if names else f"{i * 37 % 1009}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        image.write(path, picture)
    return folder


def lots(drawn: SimpleNamespace, folder: Path, n: int = 6, each: int = 3) -> Path:
    """Pictures of parts, those of a lot in a folder of its own."""
    return written(folder, drawn.parts(n * each), [f"lot{i // each}/{i % each}.png" for i in range(n * each)])


def test_near_copies_are_held_out_together_and_count_as_one(tmp_path: Path, drawn: SimpleNamespace) -> None:
    good = drawn.parts(10)
    model = fit(written(tmp_path, [*good, drawn.jpeg(good[0], 90), drawn.jpeg(np.rot90(good[0]).copy(), 90)]), TINY)
    alone = fit([*good[1:], good[0]], TINY)
    at = [model.training.names.index(f"{i * 37 % 1009}.png") for i in (0, 10, 11)]
    assert len({model.training.series[i] for i in at}) == 1
    assert len(set(model.training.series)) == 10
    assert (model.threshold.n_held_out, model.threshold.n_series) == (12, 10)
    np.testing.assert_allclose(model.training.held_out[at[:2]], alone.training.held_out[-1], rtol=0.1)
    assert any("12 pictures in 10 series (found by their likeness; name them with group_by)" in one for one in model.training.notes)


def test_named_series_are_held_out_together(tmp_path: Path, drawn: SimpleNamespace) -> None:
    model = fit(lots(drawn, tmp_path), dataclasses.replace(TINY, group_by="folder"))
    assert model.training.names[:4] == ["lot0/0.png", "lot0/1.png", "lot0/2.png", "lot1/0.png"]
    assert model.training.series == [i // 3 * 3 for i in range(18)]
    assert (model.threshold.n_held_out, model.threshold.n_series) == (18, 6)
    assert model.threshold.max_false_rejects == upper_bound(0, 6)
    note = "18 pictures in 6 series (named by group_by folder): the promise counts series"
    assert f"{note}, and 6 of them cannot support one below 39.3 %." in model.training.notes
    every = good_pictures(tmp_path, below=True)
    by_lot, alone = fit(every, BY_LOT), fit(every, TINY)
    np.testing.assert_array_equal(by_lot.training.held_out, model.training.held_out)
    assert by_lot.threshold == model.threshold
    assert (model.training.held_out >= alone.training.held_out).all()  # more is left out
    assert not alone.training.series
    assert alone.threshold.n_series == 0


def test_each_its_own_series_is_as_without(tmp_path: Path, drawn: SimpleNamespace) -> None:
    every = good_pictures(lots(drawn, tmp_path), below=True)
    own, alone = fit(every, dataclasses.replace(TINY, group_by=".*")), fit(every, TINY)
    np.testing.assert_array_equal(own.training.held_out, alone.training.held_out)
    assert (own.threshold, own.training.notes) == (alone.threshold, alone.training.notes)


def test_two_pictures_a_series(tmp_path: Path, drawn: SimpleNamespace) -> None:
    model = fit(lots(drawn, tmp_path, 2, 2), dataclasses.replace(TINY, group_by="folder"))
    assert (model.threshold.n_series, model.threshold.max_false_rejects) == (2, upper_bound(0, 2))
    assert np.isfinite(model.training.held_out).all()


def test_of_one_series_there_is_a_threshold_but_no_promise(tmp_path: Path, drawn: SimpleNamespace) -> None:
    every = good_pictures(lots(drawn, tmp_path), below=True)
    one, alone = fit(every, dataclasses.replace(TINY, group_by="lot")), fit(every, TINY)
    np.testing.assert_array_equal(one.training.held_out, alone.training.held_out)
    assert (one.threshold.value, one.threshold.max_false_rejects) == (one.training.held_out.max(), 1.0)
    assert "no promise is possible" in one.threshold.promise
    (note,) = (note for note in one.training.notes if "no promise is possible" in note)
    assert note.startswith("All 18 good pictures are of one series (named by group_by lot)")


def test_of_one_series_a_promise_is_refused_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: SimpleNamespace
) -> None:
    monkeypatch.setattr(METHODS["patchcore"], "fit_within", lambda *_, **__: pytest.fail("fitted"))
    plan = dataclasses.replace(TINY, group_by="lot", max_false_rejects=0.5)
    with pytest.raises(UsageError, match=r"all are of one, so no promise is possible\. Add pictures of other series"):
        fit(good_pictures(lots(drawn, tmp_path), below=True), plan)


def test_a_promise_that_series_do_not_support_is_refused_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: SimpleNamespace
) -> None:
    monkeypatch.setattr(METHODS["patchcore"], "fit_within", lambda *_, **__: pytest.fail("fitted"))
    every = good_pictures(lots(drawn, tmp_path), below=True)
    with pytest.raises(UsageError, match="there are 6, which support"):
        fit(every, dataclasses.replace(BY_LOT, max_false_rejects=0.2))


def test_of_copies_of_one_picture_a_note_says_that_they_may_be(tmp_path: Path, drawn: SimpleNamespace) -> None:
    one = drawn.parts(1)[0]
    model = fit(written(tmp_path, [drawn.jpeg(one, quality) for quality in range(72, 96, 2)]), TINY)
    (note,) = (note for note in model.training.notes if "copies" in note)
    assert note.startswith("12 good pictures differ from another by less than 1.5 % of their contrast")
    assert note.endswith("if they are copies, the promise does not hold.")


def test_of_parts_that_differ_there_is_no_note_on_copies(tmp_path: Path, drawn: SimpleNamespace) -> None:
    good = drawn.parts(12)
    model = fit(written(tmp_path, [*good, *map(drawn.jpeg, good[:5])]), TINY)
    assert not [note for note in model.training.notes if "copies" in note]


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "regular expression was needed"), ("x", "no picture's name matches"), ("lot1", "do not match")]
)
def test_patterns_that_do_not_serve_are_refused(tmp_path: Path, pattern: str, message: str, drawn: SimpleNamespace) -> None:
    with pytest.raises(UsageError, match=f"group_by: .*{message}"):
        fit(good_pictures(lots(drawn, tmp_path), below=True), dataclasses.replace(TINY, group_by=pattern))


@pytest.mark.parametrize("method", ["padim", "mahalanobis_ad", "spade", "ocsvm"])
def test_other_methods_hold_series_out_too(tmp_path: Path, method: str, drawn: SimpleNamespace) -> None:
    every = good_pictures(lots(drawn, tmp_path), below=True)
    model = fit(every, dataclasses.replace(BY_LOT, method=method))
    assert model.threshold.n_series == 6
    assert np.isfinite(model.training.held_out).all()
    assert not np.array_equal(model.training.held_out, fit(every, Plan(size=64, method=method)).training.held_out)


def test_where_only_scores_are_wanted_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch, drawn: SimpleNamespace) -> None:
    monkeypatch.setattr("flawsight.fitting.series.found", lambda *_: pytest.fail("looked for"))
    assert fit(drawn.parts(4), dataclasses.replace(TINY, needs_threshold=False)).training.series == []


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory, drawn: SimpleNamespace) -> tuple[Model, Path]:
    folder = tmp_path_factory.mktemp("grouped")
    model = fit(lots(drawn, folder / "good", 8, 3), dataclasses.replace(TINY, group_by="folder"))
    model.save(folder / "part.flaw")
    return model, folder


def test_the_model_file_keeps_series(grouped: tuple[Model, Path]) -> None:
    model, folder = grouped
    loaded = load(folder / "part.flaw")
    assert loaded.training.series == model.training.series
    assert loaded.threshold == model.threshold
    info = loaded.info()
    assert info["series"] == 8
    assert info["in_series"]["lot0/0.png"] == ["lot0/0.png", "lot0/1.png", "lot0/2.png"]


def test_the_command_line_names_counts_and_keeps_series(grouped: tuple[Model, Path], tmp_path: Path) -> None:
    _, folder = grouped
    run = CliRunner()
    out = tmp_path / "x.flaw"
    fitted = run.invoke(app, ["fit", str(folder / "good"), "-o", str(out), "--size", "64", "--group-by", "folder"])
    assert fitted.exit_code == 0, fitted.output
    assert "of 8 series" in " ".join(fitted.output.split())
    changed = run.invoke(app, ["threshold", str(out), "--max-false-rejects", "60%", "--json", str(tmp_path / "t.json")])
    assert changed.exit_code == 0, changed.output
    facts = json.loads((tmp_path / "t.json").read_text("utf8"))
    assert facts["series"] == 8
    assert len(facts["in_series"]) == 8
    assert "of 8 series" in facts["promise"]
    assert upper_bound(1, 8) <= 0.6
    refused = run.invoke(app, ["threshold", str(out), "--max-false-rejects", "20%"])
    assert refused.exit_code == 2
    assert "there are 8" in refused.output
    shown = run.invoke(app, ["info", str(out)])
    assert "lot0/0.png (3), lot1/0.png (3)" in " ".join(shown.output.split())


def test_reports_count_series_in_every_threshold_they_offer(grouped: tuple[Model, Path]) -> None:
    from flawsight.report.figures import trade_off

    model, folder = grouped
    samples = [dataclasses.replace(one, label=i % 2) for i, one in enumerate(good_pictures(folder / "good", below=True))]
    report = evaluate(model, samples, "t")
    assert report.series == model.training.independent_series
    assert all(row["max_false_rejects"] >= upper_bound(0, 8) for row in trade_off(report))


def test_series_in_the_order_of_names_make_the_promise_weaker(tmp_path: Path, drawn: SimpleNamespace) -> None:
    pictures = drawn.frames(8, 6)
    in_turn = fit(written(tmp_path, pictures, [f"{i}.png" for i in range(48)]), TINY)
    assert in_turn.threshold.max_false_rejects > 0.15
    assert in_turn.threshold.n_series < 16


def test_an_odd_good_picture_is_named_counted_and_kept(tmp_path: Path, drawn: SimpleNamespace) -> None:
    good = drawn.parts(30)
    good[4] = (255 - good[4].astype(int)[::2, ::2].repeat(2, 0).repeat(2, 1)).astype(np.uint8)
    model = fit(written(tmp_path, good, [f"{i * 7 % 31}.png" for i in range(30)]), TINY)
    name = f"{4 * 7 % 31}.png"
    assert model.threshold.value < model.training.held_out.max()
    assert model.threshold.n_rejected == 1
    assert name in model.training.names
    (note,) = (note for note in model.training.notes if "did not set the threshold" in note)
    score = model.training.held_out_by_name[name]
    assert note.startswith(f"{name} ({score:.4g}) scores far above all other good pictures when held out")
    assert note.endswith(f"if not, leave it out: --leave-out {name}")
    others = np.delete(model.training.held_out, model.training.names.index(name))
    assert f"({others.min():.4g} to {others.max():.4g}). It did not set the threshold and counts as rejected, and was" in note


def spotted(drawn: SimpleNamespace, n: int, *places: int) -> list[Pixels]:
    """Good parts, of which those at these places have a dark square."""
    pictures = drawn.parts(n, own=2.0)
    for place in places:
        pictures[place][40:80, 40:80] = 20
    return pictures


def test_a_defective_picture_among_few_good_ones_is_named_and_can_be_left_out(tmp_path: Path, drawn: SimpleNamespace) -> None:
    folder = written(tmp_path / "good", spotted(drawn, 8, 5), [f"part {i}.png" for i in range(8)])
    model = fit(folder, FINER)
    (note,) = (note for note in model.training.notes if "scores far above" in note)
    assert note.startswith("part 5.png (")
    assert "sets the threshold" in note  # nothing is left out unasked
    assert model.threshold.value == model.training.held_out.max() == model.training.held_out_by_name["part 5.png"]
    assert note.endswith("--leave-out 'part 5.png'")
    without = fit(folder, dataclasses.replace(FINER, leave_out=("part 5.png",)))
    assert without.threshold.value < model.threshold.value - 1
    assert without.training.names == [f"part {i}.png" for i in range(8) if i != 5]
    assert without.training.left_out == ["part 5.png"]
    assert not any("scores far above" in note for note in without.training.notes)


def test_several_suspect_pictures_are_named_worst_first(drawn: SimpleNamespace) -> None:
    pictures = spotted(drawn, 24, 3, 9)
    pictures[9][20:60, 70:110] = 240
    model = fit(pictures, FINER)
    (note,) = (note for note in model.training.notes if "score far above" in note)
    assert re.match(r"picture 10 \(\S+\), picture 4 \(\S+\) score far above", note)
    assert note.endswith("leave them out: --leave-out 'picture 10' --leave-out 'picture 4'")


def test_what_was_left_out_stays_recorded_and_keeps_the_others_names(tmp_path: Path, drawn: SimpleNamespace) -> None:
    pictures = drawn.parts(6)
    model = fit(pictures, dataclasses.replace(TINY, leave_out=("picture 2", "picture 2")))
    assert model.training.names == [f"picture {i}" for i in (1, 3, 4, 5, 6)]
    same = fit([pictures[0], *pictures[2:]], TINY)
    np.testing.assert_array_equal(model.training.held_out, same.training.held_out)
    model.save(tmp_path / "x.flaw")
    loaded = load(tmp_path / "x.flaw")
    assert loaded.training.left_out == ["picture 2"]
    info = loaded.info()
    assert (info["left_out"], info["left_out_as_asked"]) == (1, ["picture 2"])


def test_held_out_scores_are_listed_by_name_highest_first(model: Model) -> None:
    listed = model.info()["held_out_by_name"]
    assert list(listed.values()) == sorted(model.training.held_out.tolist(), reverse=True)
    assert listed == dict(zip(model.training.names, model.training.held_out.tolist(), strict=True))
    unknown = dataclasses.replace(model.training, held_out=np.array([np.nan, *model.training.held_out[1:]], np.float32))
    assert list(unknown.held_out_by_name.items())[-1] == (model.training.names[0], None)


def test_the_command_line_leaves_out_by_name_or_path_and_lists_scores(tmp_path: Path, drawn: SimpleNamespace) -> None:
    folder = written(tmp_path / "good", spotted(drawn, 8, 5), [f"{i}.png" for i in range(8)])
    run, out = CliRunner(), tmp_path / "x.flaw"
    args = ["fit", str(folder), "-o", str(out), "--size", "64", "--leave-out", "5.png", "--leave-out", str(folder / "1.png")]
    fitted = run.invoke(app, args)
    assert fitted.exit_code == 0, fitted.output
    assert "left out as asked   1.png, 5.png" in fitted.output
    shown = run.invoke(app, ["info", str(out)])
    listed = load(out).training.held_out_by_name
    name, score = next(iter(listed.items()))
    assert re.search(rf"held out by name +{re.escape(name)} {score:.4g}, ", shown.output)
    facts = json.loads(run.invoke(app, ["info", str(out), "--json", "-"]).output)
    assert facts["held_out_by_name"] == listed
    wrong = run.invoke(app, [*args, "--leave-out", "55.png"])
    assert wrong.exit_code == 2
    assert "leave_out: there is no good picture '55.png'. Did you mean 5.png" in wrong.output


def test_a_promise_counts_without_what_is_left_out(drawn: SimpleNamespace) -> None:
    plan = dataclasses.replace(TINY, max_false_rejects=0.4, leave_out=("picture 1",))
    with pytest.raises(UsageError, match="there are 5, which support"):
        fit(drawn.parts(6), plan)
    assert estimate(drawn.parts(7), plan).pictures == 6


def test_files_from_before_there_were_series_open(grouped: tuple[Model, Path], tmp_path: Path) -> None:
    _, folder = grouped
    manifest, arrays = bundle.read(folder / "part.flaw")
    del manifest["training"]["series"], manifest["threshold"]["n_series"], manifest["threshold"]["rejected_series"]
    bundle.write(tmp_path / "old.flaw", {name: value for name, value in manifest.items() if name != "arrays"}, arrays)
    old = load(tmp_path / "old.flaw")
    assert old.training.series == []
    assert old.training.independent_series is None
    assert (old.threshold.n_series, "series" in old.info()) == (0, False)
    assert "of 24 held-out good pictures would be rejected" in old.threshold.promise


def test_a_file_whose_series_lack_a_picture_is_refused(grouped: tuple[Model, Path], tmp_path: Path) -> None:
    _, folder = grouped
    manifest, arrays = bundle.read(folder / "part.flaw")
    manifest["training"]["series"].pop()
    bundle.write(tmp_path / "x.flaw", manifest, arrays)
    with pytest.raises(ModelFileError, match=r"training\.series': expected one for each of 24 good pictures, got 23"):
        load(tmp_path / "x.flaw")


@pytest.mark.parametrize("plan", [dataclasses.replace(TINY, needs_threshold=False), BY_LOT])
def test_likeness_is_looked_at_only_where_it_is_asked_for(
    plan: Plan, tmp_path: Path, drawn: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "small", lambda pixels: pytest.fail("a small copy was made"))
    model = fit(good_pictures(lots(drawn, tmp_path), below=True), plan)
    assert bool(model.training.series) == (plan.group_by is not None)
