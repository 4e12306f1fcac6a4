"""A threshold from known defects: which pictures are taken, and what comes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flawsight.cli import app
from flawsight.datasets import DataSet
from flawsight.errors import DataError
from flawsight.evaluation.known_defects import known_pictures, threshold_from
from flawsight.model import Model, load


def test_of_a_data_set_the_pictures_to_judge_are_taken(plate: Path, plates: DataSet) -> None:
    assert known_pictures(plate) == [sample.__class__(s.path, s.name, s.label, s.kind) for s in plates.test for sample in [s]]


def test_a_folder_without_good_pictures_holds_defects(plate: Path) -> None:
    found = known_pictures(plate / "test" / "scratch")
    assert [(one.label, one.kind) for one in found] == [(1, "scratch")]


def test_the_threshold_lies_between_good_and_defective(model: Model, plates: DataSet) -> None:
    chosen, notes = threshold_from(model, plates.test)
    scores = {label: [model.predict(one.path).score for one in plates.test if one.label == label] for label in (0, 1)}
    missed = sum(score <= chosen.value for score in scores[1])
    rejected = sum(score > chosen.value for score in scores[0])
    assert (chosen.n_defects, chosen.n_missed) == (len(scores[1]), missed)
    assert notes[0] == (
        f"Of the labelled pictures {rejected} of {len(scores[0])} good ones are rejected and {missed} of {len(scores[1])} known "
        "defects missed."
    )


def test_good_pictures_alone_set_no_threshold(model: Model, plates: DataSet) -> None:
    with pytest.raises(DataError, match="needs pictures of known defects; there are none"):
        threshold_from(model, plates.train)


def test_on_the_command_line_it_is_kept_in_the_model_with_the_one_before(model: Model, plates: DataSet, tmp_path: Path) -> None:
    file = tmp_path / "x.flaw"
    model.save(file)
    clearest = max((one.path for one in plates.test if one.label == 1), key=lambda path: model.predict(path).score)
    (tmp_path / "bad" / "kind").mkdir(parents=True)
    shutil.copy(clearest, tmp_path / "bad" / "kind")
    done = CliRunner().invoke(app, ["threshold", str(file), "--from", str(tmp_path / "bad"), "--json", str(tmp_path / "t.json")])
    assert done.exit_code == 0, done.output
    loaded = load(file)
    assert (loaded.threshold.n_defects, loaded.threshold.rule) == (1, "set by 1 known defects")
    assert loaded.history[-1]["value"] == model.threshold.value
    facts = json.loads((tmp_path / "t.json").read_text("utf8"))
    assert "of 1 known defects would be missed" in facts["promise"]
