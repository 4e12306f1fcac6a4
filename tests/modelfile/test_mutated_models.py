"""A seeded portion of benchmarks/mutated_models.py: sealed files with changed contents end in errors of ours, or in a verdict."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

from flawsight.datasets import DataSet
from flawsight.model import Model
from flawsight.modelfile import bundle

_spec = importlib.util.spec_from_file_location("mutated_models", Path(__file__).parents[2] / "benchmarks" / "mutated_models.py")
assert _spec is not None
assert _spec.loader is not None
mutated_models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mutated_models)

EACH = 25


@pytest.mark.parametrize("seed", range(2))
def test_changed_files_are_refused_or_judge(seed: int, model: Model, plates: DataSet, tmp_path: Path) -> None:
    model.save(tmp_path / "part.flaw")
    parts, rng, outcomes = bundle.read(tmp_path / "part.flaw"), random.Random(seed), []
    for _ in range(EACH):
        manifest, arrays, change = mutated_models.mutate(*parts, rng)
        mutated_models.write(tmp_path / "mutated.flaw", manifest, arrays)
        try:
            outcomes.append(mutated_models.tried(tmp_path / "mutated.flaw", [plates.test[0].path]))
        except Exception as error:
            pytest.fail(f"{change}: {error!r}")
    assert outcomes.count("load") > EACH // 4  # the changes do matter, and not all of them
    assert "kept" in outcomes
    assert not {"info", "save"} & set(outcomes)
