"""What a report records of the run that made it."""

from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from flawsight.system.record import versions


def test_versions_are_those_of_what_is_installed() -> None:
    found = versions("onnxruntime")
    assert found["numpy"] == version("numpy")
    assert found["onnxruntime"] == version("onnxruntime")


@pytest.mark.parametrize("at_work", [False, True])
def test_torch_is_told_of_where_it_is_at_work(monkeypatch: pytest.MonkeyPatch, at_work: bool) -> None:
    others = {name: module for name, module in sys.modules.items() if name != "torch"}
    monkeypatch.setattr(sys, "modules", {**others, "torch": object()} if at_work else others)
    monkeypatch.setattr("flawsight.system.record.importlib.metadata.version", lambda name: f"{name}'s")
    assert versions(with_torch=True).get("torch") == ("torch's" if at_work else None)
    assert "torch" not in versions()
