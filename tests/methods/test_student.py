"""Student: what its teacher learns, what it scores against sums by hand, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.backbones.onnx import RANDOM_NOTE, Graph  # noqa: E402
from flawsight.errors import DataError, UnknownName, UsageError  # noqa: E402
from flawsight.fitting import Plan, fit  # noqa: E402
from flawsight.images import image  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.student import Student  # noqa: E402
from flawsight.networks.descend import Run  # noqa: E402
from flawsight.types import (  # noqa: E402
    Arrays,
    Float,
    Progress,
)

SMALL = {
    **{"patch": 17, "width": 8, "students": 2, "steps": 3, "crops": 12, "trunk_size": 32, "teacher_steps": 3, "teacher_batch": 8},
    **{"least_share": 0.3, "most_share": 0.5, "held_out": 0.0},
}


def method(**options: Any) -> Student:
    made = make("student", {**SMALL, **options}, open_backbone(PIXELS))
    assert isinstance(made, Student)
    return made


def waves(n: int, seed: int = 0, high: int = 48, wide: int = 48) -> list[Float]:
    """Stripes down the picture, elsewhere in each."""
    rng = np.random.default_rng(seed)
    stripes = np.sin(0.5 * np.arange(wide) + rng.uniform(0, 6, (n, 1)))
    pictures = 0.5 + 0.3 * stripes[:, None, None] + rng.normal(0, 0.02, (n, 3, high, wide))
    return list(pictures.clip(0, 1).astype(np.float32))


@pytest.mark.kernels
def test_stripes_that_lie_across_are_found_where_they_are(share_within: Callable[[Float, slice, slice], float]) -> None:
    fitted = method(steps=120, teacher_steps=100, crops=60)
    fitted.fit(waves(10), list(range(10)))
    good, bad = waves(5, 1), waves(5, 2)
    for picture in bad:
        picture[:, 12:36, 12:36] = picture[:, 12:36, 12:36].swapaxes(1, 2)
    fine, odd = fitted.score(np.stack(good)), fitted.score(np.stack(bad))
    assert odd.image.min() > fine.image.max()
    for heat in [] if odd.map is None else odd.map:
        assert share_within(heat, slice(12, 36), slice(12, 36)) > 0.5  # 0.25 by chance


@pytest.mark.parametrize("students", [1, 3])
def test_scores_are_error_and_variance_as_good_pictures_have_them(students: int) -> None:
    fitted = method(students=students)
    fitted.fit(waves(6), list(range(6)))
    state, picture = fitted.state(), waves(1, 5, 40, 56)[0]
    found = Graph(state["network"].tobytes())({"pictures": (255 * picture[None] - 127.5) / np.float32(127.5)})[0][0]
    (mean_e, mean_v), (spread_e, spread_v) = state["scale"]
    expected = (found[0] - mean_e) / spread_e
    if students > 1:
        expected += (found[1] - mean_v) / spread_v
    else:
        assert spread_v == 0
    scores = fitted.score(picture[None])
    assert scores.map is not None
    np.testing.assert_allclose(scores.map[0], expected, rtol=1e-4, atol=1e-5)
    assert scores.image[0] == scores.map[0].max()


def test_some_pictures_are_kept_from_the_students_for_the_scale() -> None:
    """Of six, two: the others' pixels would have another mean. Of two none can be spared."""
    fitted, pictures = method(), waves(6)
    fitted.fit(pictures, list(range(6)))
    network = Graph(fitted.state()["network"].tobytes())
    each = [network({"pictures": (255 * one[None] - 127.5) / np.float32(127.5)})[0][0].reshape(2, -1) for one in pictures]
    means = {(i, j): np.concatenate([each[i], each[j]], 1).mean(1) for i in range(6) for j in range(i)}
    kept = [pair for pair, mean in means.items() if np.allclose(mean, fitted.state()["scale"][0], rtol=1e-5)]
    assert len(kept) == 1
    few = method(validation=0.5)
    few.fit(pictures[:2], [0, 1])
    network = Graph(few.state()["network"].tobytes())
    each = [network({"pictures": (255 * one[None] - 127.5) / np.float32(127.5)})[0][0].reshape(2, -1) for one in pictures[:2]]
    np.testing.assert_allclose(few.state()["scale"][0], np.concatenate(each, 1).mean(1), rtol=1e-4)


@pytest.mark.kernels
@pytest.mark.parametrize("triplet", [0.0, 1.0])
def test_the_teacher_learns_what_the_other_network_says(triplet: float) -> None:
    short, long = (method(teacher_steps=steps, triplet=triplet, compact=0.0) for steps in (2, 150))
    for one in (short, long):
        one.fit(waves(4), list(range(4)))
    assert long.state()["loss"][0] < 0.5 * short.state()["loss"][0]


@pytest.mark.kernels
def test_the_students_learn_what_the_teacher_says() -> None:
    short, long = (method(steps=steps) for steps in (2, 200))
    for one in (short, long):
        one.fit(waves(4), list(range(4)))
    assert long.state()["loss"][1] < 0.5 * short.state()["loss"][1]


def test_the_teacher_s_pictures_and_network_are_told(tmp_path: Path) -> None:
    image.write(tmp_path / "stones.png", np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8))
    own, other = method(), method(teacher_data=str(tmp_path), weights="random")
    own.fit(waves(3), [0, 1, 2])
    other.fit(waves(3), [0, 1, 2])
    assert own.notes() == [
        "student: teacher_data=the good pictures, distilled from efficientnet_lite0; the paper's teacher saw ImageNet."
    ]
    assert other.notes()[0].startswith(f"student: teacher_data={tmp_path}, distilled from efficientnet_lite0;")
    assert other.notes()[1] == RANDOM_NOTE
    assert own.state()["loss"][0] != other.state()["loss"][0]
    pictures = [np.rint(255 * one).astype(np.uint8).transpose(1, 2, 0) for one in waves(8)]
    model = fit(pictures, Plan(method="student", size=64, options={**SMALL, "held_out": 0.3}))
    assert own.notes()[0] in model.training.notes


def test_a_training_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("students") and done == 4:
            raise InterruptedError

    pictures, straight, again = waves(4), method(steps=8), method(steps=8)
    straight.fit(pictures, list(range(4)))

    def learn(tell: Progress) -> Arrays:
        run = Run("student", 0, folder=tmp_path, key="k", tell=tell, keep_every_s=0)
        with run.seeded():
            return again._learn(pictures, [], run)

    with pytest.raises(InterruptedError):
        learn(stop)
    message: list[str] = []
    state = learn(lambda what, done, _: message.append(f"{what.split()[0]} {done}"))
    assert [one for one in message if one.startswith(("teacher", "students"))] == [f"students {done}" for done in range(4, 9)]
    for name, array in straight.state().items():
        np.testing.assert_array_equal(state[name], array, err_msg=name)


def test_checkpoints_are_of_the_same_pictures_wherever_those_lie(tmp_path: Path) -> None:
    for name, seed in (("here", 0), ("there", 0), ("others", 1)):
        (tmp_path / name).mkdir()
        image.write(tmp_path / name / "stones.png", np.random.default_rng(seed).integers(256, size=(64, 64, 3), dtype=np.uint8))

    def learned(name: str) -> list[str]:
        message: list[str] = []
        fitted = method(teacher_data=str(tmp_path / name))
        fitted.fit_kept(waves(3), [0, 1, 2], tmp_path / "kept", lambda what, *_: message.append(what.split()[0]))
        return message

    assert {"teacher", "students"} <= set(learned("here"))
    assert set(learned("there")) == {"looking"}  # at crops, of which nothing is kept
    with pytest.raises(UsageError, match="it is of other pictures, settings or versions"):
        learned("others")


def test_a_rehearsal_looks_at_few_crops_and_tells_of_all(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many crops however many pictures there are, and all of them take room."""
    made = []

    def look(*_: Any) -> list[Float]:
        clock.now += 0.25
        return [np.random.default_rng(round(4 * clock.now)).normal(size=8).astype(np.float32)]

    def teacher(self: Student, cut: Any, features: Float, run: Run) -> Any:
        made.append((cut.shape, features.shape))
        return taught(self, cut, features, run)

    taught = Student._teacher
    monkeypatch.setattr("flawsight.methods.student.averages", look)
    monkeypatch.setattr(Student, "_teacher", teacher)
    for n in (3, 300):
        clock.now = 0.0
        seconds, _ = method(crops=1000).rehearse(waves(3), n)
        assert clock.now == 1.0
        assert seconds["looking at crops"] == pytest.approx(250.0)
    assert made == [((1000, 3, 17, 17), (1000, 8))] * 2


def test_a_folder_that_is_not_there_and_pictures_too_small_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder of pictures was needed to cut crops from; there is none"):
        method(teacher_data=str(tmp_path / "none")).fit(waves(3), [0, 1, 2])
    with pytest.raises(DataError, match=r"student: pictures larger than half a patch, 32 pixels, were needed; it gets 48×30"):
        method(patch=65).fit(waves(3, 0, 30, 48), [0, 1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 32}, "patch must be one of 17, 33, 65; got 32"),
        ({"students": 0}, "students must be ≥ 1"),
        ({"validation": 1.0}, "validation must be a share, 0 or more and below 1"),
        ({"least_share": 0.6}, "least_share must be above 0 and at most most_share; got 0.6"),
        ({"most_share": 1.5}, "most_share must be above 0 and at most 1"),
        ({"teacher_batch": 1}, "teacher_batch must be ≥ 2"),
        ({"compact": -1.0}, "compact must be ≥ 0 and finite"),
        ({"distilled_from": "pixels"}, "distilled_from must be a network; got 'pixels'"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"student: {message}"):
        method(**options)


def test_a_network_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="there is no 'resnet81'"):
        method(distilled_from="resnet81")
