"""What a fit will need, before it starts, against what processes of their own then take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight.errors import DataError, UsageError
from flawsight.fitting import Plan, estimate, fit, forecast
from flawsight.fitting.sharing import Room
from flawsight.images import image
from flawsight.methods import METHODS
from flawsight.model import load
from flawsight.search.streaming import Need
from flawsight.system import memory

ROOT = Path(__file__).parents[2]
MB = 10**6
N, SIDE = 170, 160  # pictures, and pixels of a side: 68,000 patches of 400 a picture
PLAN: dict[str, Any] = {"method": "patchcore", "size": SIDE, "options": {"bank_limit": 1000}}

FIT = """
import json, sys
from pathlib import Path
from flawsight import fitting
from flawsight.system import memory
folder, allowed, out, options, method = sys.argv[1:]
plan = fitting.Plan(method=method, size=160, options=json.loads(options), memory=allowed or None)
estimate = fitting.estimate(folder, plan)
model = fitting.fit(folder, plan)
model.save(out)
facts = {"peak": memory.peak(), "estimated": estimate.peak_mb, "blocks": estimate.blocks, "notes": model.training.notes}
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    rng = np.random.default_rng(0)
    texture = rng.integers(60, 200, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0).repeat(4, 1)
    for i in range(N):
        image.write(folder / f"{i:03}.png", np.clip(texture + rng.normal(0, 12, texture.shape), 0, 255).astype(np.uint8))
    return folder


def run_fit(good: Path, allowed: str, out: Path, options: dict[str, Any], method: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FIT, str(good), allowed, str(out), json.dumps(options), method]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=300, check=False)


def fitted(
    good: Path, allowed: str, out: Path, options: dict[str, Any] = PLAN["options"], method: str = "patchcore"
) -> dict[str, Any]:
    done = run_fit(good, allowed, out, options, method)
    assert done.returncode == 0, done.stderr
    message: dict[str, Any] = json.loads(done.stdout)
    return message


def smallest(good: Path, options: dict[str, Any] = PLAN["options"], method: str = "patchcore") -> int:
    """The bytes that a refusal says would do: what a process takes before it begins differs from machine to machine."""
    refused = run_fit(good, str(10 * MB), Path(os.devnull), options, method)
    assert refused.returncode != 0
    return memory.parse(refused.stderr.split("need at least ")[1].split(" of memory")[0])


needs_procfs = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the most memory a process held")


@needs_procfs
def test_the_memory_told_is_the_memory_taken(good: Path, tmp_path: Path) -> None:
    message = fitted(good, "", tmp_path / "x.flaw")
    assert message["blocks"] == 1
    assert message["notes"] == []
    assert message["estimated"] * MB == pytest.approx(message["peak"], rel=0.3)


@needs_procfs
def test_two_banks_take_what_is_said_and_keep_to_a_small_budget(good: Path, tmp_path: Path) -> None:
    plenty = fitted(good, "", tmp_path / "x.flaw", method="two_banks")
    assert (plenty["blocks"], plenty["notes"]) == (1, [])
    assert plenty["estimated"] * MB == pytest.approx(plenty["peak"], rel=0.3)
    allowed = smallest(good, method="two_banks")  # exactly what a refusal names
    bounded = fitted(good, str(allowed), tmp_path / "y.flaw", method="two_banks")
    assert bounded["peak"] <= 1.1 * allowed
    assert bounded["blocks"] >= 2
    for note, bank in zip(bounded["notes"], ("Shallow", "Deep"), strict=True):
        assert note.startswith(f"{bank} bank: {N * 100:,} patches did not fit into memory at once")


@needs_procfs
def test_a_small_budget_is_kept_in_several_blocks(good: Path, tmp_path: Path) -> None:
    allowed = smallest(good)
    message = fitted(good, str(allowed), tmp_path / "x.flaw")
    assert message["peak"] <= 1.1 * allowed
    assert message["estimated"] * MB == pytest.approx(message["peak"], rel=0.3)
    assert message["blocks"] >= 2
    (note,) = message["notes"]
    assert f"{N * 400:,} patches did not fit into memory at once" in note
    loaded = load(tmp_path / "x.flaw")
    assert loaded.training.notes == [note]
    assert loaded.info()["reached"]["radius"] > 0
    assert 1 < loaded.info()["reached"]["radius_factor"] < 4
    assert np.isfinite(loaded.predict(good / "000.png").score)
    assert loaded.predict(good / "000.png").score < loaded.predict(np.zeros((SIDE, SIDE, 3), np.uint8)).score


@needs_procfs
def test_where_projections_fit_into_a_small_budget_nothing_is_left_out(good: Path, tmp_path: Path) -> None:
    options = {"balance_levels": False, "level_dims": 512, "target_dims": 512, "coreset_ratio": 0.01, "bank_limit": 0}
    allowed = smallest(good, options) + 120 * MB
    message = fitted(good, str(allowed), tmp_path / "x.flaw", options)
    assert message["peak"] <= 1.1 * allowed
    assert message["estimated"] * MB == pytest.approx(message["peak"], rel=0.3)
    assert (message["blocks"], message["notes"]) == (1, [])
    at_once = fitted(good, "", tmp_path / "y.flaw", options)
    assert at_once["peak"] > message["peak"] + 60 * MB
    expected = load(tmp_path / "y.flaw").method.state()
    state = load(tmp_path / "x.flaw").method.state()
    np.testing.assert_array_equal(state["source"], expected["source"])
    np.testing.assert_array_equal(state["bank"], expected["bank"])


@pytest.mark.parametrize(("method", "patches"), [("patchcore", 64), ("two_banks", 16)])
def test_an_estimate_says_what_the_fit_then_is(good: Path, method: str, patches: int) -> None:
    plan = Plan(method=method, size=64, options={"bank_limit": 200})
    message = estimate(good, plan)
    assert message is not None
    state = fit(good, plan).method.state()
    banks = [array for name, array in state.items() if name.endswith("bank")]
    assert (message.pictures, message.patches, message.blocks) == (N, N * patches, 1)
    assert {bank.shape[1] for bank in banks} == {message.bank_dims}
    assert sum(map(len, banks)) == message.bank_rows
    assert message.bank_mb * MB == pytest.approx(sum(bank.nbytes for bank in banks))
    assert message.smallest_mb < 1.1 * message.peak_mb < message.budget_mb
    assert list(message.seconds) == ["checking pictures", "looking at pictures", "choosing patches", "scoring good pictures"]
    assert all(seconds >= 0 for seconds in message.seconds.values())  # a busy machine may time the search at nothing
    assert message.total_s > 0
    assert message.total_s == pytest.approx(sum(message.seconds.values()))
    assert message.latency_ms > 0


def test_seconds_grow_as_the_work_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    tried, need = forecast._Tried(0.02, 0.002, 0.01, 0.015, 500, 0.02, 10**7), Need(100, 100, 0.1, 1000)
    space = Room(10**12, 0, 100_000, need)
    seconds = forecast._seconds(tried, space, 250, 1, 0.5, 1)
    assert seconds["checking pictures"] == pytest.approx(250 * 0.022 / 2)
    assert seconds["looking at pictures"] == pytest.approx(250 * (0.01 + 0.012 / 2))  # half of them need not be read again
    assert seconds["choosing patches"] == pytest.approx(0.02 * 10**forecast.GROWTH)  # ten times the pairs
    assert seconds["scoring good pictures"] == pytest.approx(250 * 2 * 0.005)  # twice the bank that was tried
    twice = forecast._seconds(tried, space, 250, 1, 0.5, 2)
    assert twice["choosing patches"] == pytest.approx(2 * seconds["choosing patches"])
    small = Room(need.at_once(50_000), 0, 100_000, need)
    again = forecast._seconds(tried, small, 250, 3, 0.5, 1)
    assert again["looking at pictures"] == seconds["looking at pictures"]
    assert again["choosing patches"] == pytest.approx(0.02 * 12.5**forecast.GROWTH)  # the last choice is from half of what is held
    assert again["scoring good pictures"] == pytest.approx(seconds["scoring good pictures"] + seconds["looking at pictures"])
    need = Need(1000, 100, 0.01, 1000, projected=True)
    space = Room(need.of_projections(100_000), 0, 100_000, need)
    assert space.in_passes
    assert space.peak == space.budget
    thrice = forecast._seconds(tried, space, 250, 1, 0.5, 1)
    assert thrice["looking at pictures"] == seconds["looking at pictures"]
    assert thrice["choosing patches"] == pytest.approx(seconds["choosing patches"] + seconds["looking at pictures"])
    assert thrice["scoring good pictures"] == pytest.approx(again["scoring good pictures"])


@pytest.mark.parametrize("run", [estimate, fit])
def test_too_little_memory_is_refused_with_what_would_do(good: Path, run: Any) -> None:
    with pytest.raises(UsageError, match=r"68,000 patches, of which 1,000 are kept, need at least .* 30 MB may be used") as caught:
        run(good, Plan(**PLAN, memory="30MB"))
    smallest = str(caught.value).split("need at least ")[1].split(" of memory")[0]
    assert memory.parse(smallest) > memory.resident() / 2


def test_identity_that_does_not_fit_is_refused(good: Path) -> None:
    allowed = memory.resident() + 120 * MB
    with pytest.raises(UsageError, match="of which 68,000 are kept, need at least"):
        fit(good, Plan(method="patchcore", size=SIDE, options={"coreset": "identity"}, memory=allowed))


def test_pictures_that_cannot_be_read_are_left_to_the_fit(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    assert estimate(tmp_path) is None
    with pytest.raises(DataError, match="2 of 2 pictures cannot be read"):
        fit(tmp_path)


def test_a_method_that_keeps_no_bank_cannot_tell(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        name, params = "plain", None

        def __init__(self, params: Any, backbone: Any) -> None: ...

    monkeypatch.setattr("flawsight.fitting.job.make", lambda name, options, backbone: Plain(options, backbone))
    assert "patchcore" in METHODS
    assert estimate(good) is None
    for run in (estimate, fit):
        with pytest.raises(UsageError, match="plain cannot keep to a given memory"):
            run(good, Plan(memory="1GB"))
