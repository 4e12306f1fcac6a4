"""The loop in which networks learn: it learns, repeats itself exactly, and goes on after a stop as if there had been none."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.errors import DataError, LearningFailed, UsageError  # noqa: E402
from flawsight.networks.descend import REHEARSED_S, Phase, Rehearsal, Run  # noqa: E402


class Pair(torch.nn.Module):  # type: ignore[misc]
    """Two networks that are trained in turn, with noise, dropout and normalisation: all that keeps a state."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.first = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 6))
        self.second = nn.Linear(6, 1)


def train(run: Run, steps: int = 30, spoil: float = 1.0) -> tuple[dict[str, Any], float]:
    """The weights, and what the loss came to. spoil: what the loss is multiplied by."""
    with run.seeded():
        network = Pair()

        def repeat(x: torch.Tensor) -> torch.Tensor:
            return (network.first(x + 0.1 * torch.randn_like(x)) - x).square().mean() * spoil

        def tell_apart(x: torch.Tensor) -> torch.Tensor:
            made = network.first(x).detach()
            return torch.nn.functional.softplus(network.second(made)).mean() + network.second(x).square().mean()

        adam = torch.optim.Adam(network.first.parameters(), 1e-2, betas=(0.5, 0.99))
        sgd = torch.optim.SGD(network.second.parameters(), 1e-2, momentum=0.9)
        phases = [Phase(adam, repeat, torch.optim.lr_scheduler.StepLR(adam, 10, 0.5)), Phase(sgd, tell_apart)]
        loss = run.descend(network, phases, lambda rng: torch.from_numpy(rng.normal(size=(8, 6)).astype(np.float32)), steps)
    assert not network.training
    return {name: one.clone() for name, one in network.state_dict().items()}, loss


def assert_same(one: tuple[dict[str, Any], float], other: tuple[dict[str, Any], float]) -> None:
    assert one[1] == other[1]
    for name, weights in one[0].items():
        assert torch.equal(weights, other[0][name]), name


@pytest.mark.kernels
def test_it_learns_and_the_same_seed_learns_the_same() -> None:
    before = torch.get_rng_state()
    early, late = train(Run("m", 0), 2), train(Run("m", 0), 300)
    assert late[1] < 0.7 * early[1]
    assert_same(train(Run("m", 3)), train(Run("m", 3)))
    assert train(Run("m", 3))[1] != train(Run("m", 4))[1]
    assert torch.equal(torch.get_rng_state(), before)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stops", [(1,), (17,), (29,), (5, 12, 13)])
def test_after_a_stop_it_goes_on_as_if_there_had_been_none(stops: tuple[int, ...], tmp_path: Path) -> None:
    whole = train(Run("m", 5))
    for stop in stops:

        def tell(_: str, done: int, __: int, stop: int = stop) -> None:
            if done == stop:  # as a kill would, before this step is kept
                raise Stopped

        with pytest.raises(Stopped):
            train(Run("m", 5, folder=tmp_path, key="k", tell=tell, keep_every_s=0))
    seen: list[int] = []
    resumed = train(Run("m", 5, folder=tmp_path, key="k", tell=lambda _, done, __: seen.append(done), keep_every_s=0))
    assert seen[0] == max(stops)  # the step that was lost, and no other, is done again
    assert_same(resumed, whole)


def test_what_is_finished_is_taken_as_it_is(tmp_path: Path) -> None:
    first = train(Run("m", 5, folder=tmp_path, key="k"))
    calls: list[Any] = []
    assert_same(train(Run("m", 5, folder=tmp_path, key="k", tell=lambda *call: calls.append(call))), first)
    assert not calls


def test_checkpoints_are_kept_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("flawsight.networks.descend.time.monotonic", lambda: next(clock))
    sizes: list[int] = []
    monkeypatch.setattr("flawsight.networks.descend.atomic_write", lambda _, data: sizes.append(len(data)))
    train(Run("m", 5, folder=tmp_path, key="k", keep_every_s=10))
    assert 3 <= len(sizes) <= 5  # of 30 steps, and the end


@pytest.mark.parametrize("changed", [{"key": "other"}, {"seed": 6}])
def test_a_checkpoint_of_another_training_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    train(Run("m", 5, folder=tmp_path, key="k"))
    with pytest.raises(UsageError, match=r"m-training.safetensors: .* other pictures, settings or versions. Name another folder"):
        train(Run(**{"where": "m", "seed": 5, "folder": tmp_path, "key": "k", **changed}))
    with pytest.raises(UsageError, match="other pictures, settings or versions"):
        train(Run("m", 5, folder=tmp_path, key="k"), steps=31)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    train(Run("m", 5, folder=tmp_path, key="k"))
    path = tmp_path / "m-training.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"m-training.safetensors: a checkpoint was needed; it cannot be read .* Delete it"):
        train(Run("m", 5, folder=tmp_path, key="k"))


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_it(spoil: float) -> None:
    with pytest.raises(LearningFailed, match=f"m: training needs a loss that is a number; it became {spoil}. Set lr lower"):
        train(Run("m", 0), spoil=spoil)


def test_progress_tells_the_loss() -> None:
    calls: list[tuple[str, int, int]] = []
    _, loss = train(Run("m", 0, tell=lambda *call: calls.append(call)), 7)
    assert [(done, steps) for _, done, steps in calls] == [(i, 7) for i in range(1, 8)]
    assert calls[-1][0] == f"training · loss {loss:.4g}"


@pytest.mark.parametrize(("each_s", "n"), [(0.0, 40), (0.3 * REHEARSED_S, 4), (1.2 * REHEARSED_S, 2)])
def test_a_rehearsal_takes_few_steps_and_tells_what_all_will_take(each_s: float, n: int, tmp_path: Path) -> None:
    drawn: list[float] = []

    def draw(rng: np.random.Generator) -> Any:
        drawn.append(time.perf_counter())
        time.sleep(each_s)
        return torch.from_numpy(rng.normal(size=(8, 6)).astype(np.float32))

    run = Rehearsal("m", 0, folder=tmp_path)
    with run.seeded():
        network = Pair()
        adam = torch.optim.Adam(network.first.parameters(), 1e-2)
        run.descend(network, [Phase(adam, lambda x: network.first(x).square().mean())], draw, 40, "teacher")
    assert len(drawn) <= n
    assert list(run.seconds) == ["teacher"]
    assert 40 * each_s <= run.seconds["teacher"]
    assert len(drawn) == 40 or sum(np.diff(drawn)) < 10 * REHEARSED_S
    assert not network.training
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("took", "n_done", "message"),
    [
        ([0.5, 0.25, 0.25, 0.25], 3, 40 * 0.25),  # a second in all, of which the first also sets things up
        ([5.0, 3.0, 3.0], 2, 40 * 3.0),
        ([12.0, 3.0], 1, 40 * 12.0),
        ([0.1, 0.2], 2, 40 * 0.2),  # there are no more
        ([], 0, 0.0),
    ],
)
def test_what_all_will_take_is_the_usual_pace_times_their_number(
    took: list[float], n_done: int, message: float, clock: SimpleNamespace
) -> None:
    run, done = Rehearsal("m", 0), 0
    for seconds in run.each("looking", took, 40):
        clock.now += seconds
        done += 1
    assert done == n_done
    assert run.seconds == {"looking": pytest.approx(message)}


def test_a_run_goes_through_all_and_tells_of_each() -> None:
    calls: list[tuple[str, int, int]] = []
    run = Run("m", 0, tell=lambda *call: calls.append(call))
    assert list(run.each("looking", "abc", 3)) == ["a", "b", "c"]
    assert calls == [("looking", 1, 3), ("looking", 2, 3), ("looking", 3, 3)]
    assert run.standing_for(3) == 3


def test_few_stand_for_all_and_take_their_room() -> None:
    run, whole = Rehearsal("m", 0, stands_for=40 / 3), Run("m", 0)
    assert run.standing_for(3) == 40
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert whole.whole(rows, 3) is rows
    every = run.whole(rows, 40)
    assert (every.shape, every.dtype) == ((40, 4), np.float32)
    np.testing.assert_array_equal(every[:3], rows)
    assert len(np.unique(every, axis=0)) == 40
    assert np.abs(every[3:39] - np.tile(rows, (12, 1))).max() < 0.5 * rows.std(0).max()
    crops = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(run.whole(crops, 5), crops[[0, 1, 0, 1, 0]])
    np.testing.assert_array_equal(run.whole(crops, 1), crops)
