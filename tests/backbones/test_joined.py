"""Several networks as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flawsight.backbones import cards, get_card, open_backbone
from flawsight.backbones.joined import JoinedBackbone, restored
from flawsight.errors import UnknownName, UsageError
from flawsight.types import Float

LITE0, LITE2 = "efficientnet_lite0", "efficientnet_lite2"
BOTH = f"{LITE0}+{LITE2}"
LEVELS = (f"{LITE2}:stage2", f"{LITE0}:stage3", f"{LITE2}:stage5")


def pictures() -> Float:
    return np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 96)).astype(np.float32)


def test_levels_are_those_of_the_networks_by_their_names_finest_first() -> None:
    card = get_card(BOTH)
    for name in (LITE0, LITE2):
        own = {level.partition(":")[2]: about for level, about in card.levels.items() if level.startswith(f"{name}:")}
        assert own == get_card(name).levels
    strides = [stride for _, stride in card.levels.values()]
    assert strides == sorted(strides)
    assert card.default_levels == tuple(f"{name}:{level}" for level in ("stage3", "stage5") for name in (LITE0, LITE2))
    card.check_levels(card.default_levels)
    assert (card.mean, card.std, card.embedded) == (get_card(LITE0).mean, get_card(LITE0).std, True)
    assert (card.licence, card.source) == ("Apache-2.0", f"{get_card(LITE0).source} + {get_card(LITE2).source}")
    assert not get_card("wide_resnet101_2+densenet201").embedded


def test_maps_are_those_of_the_networks_in_the_order_of_the_levels() -> None:
    joined = open_backbone(BOTH, LEVELS)
    assert joined.levels == LEVELS
    zero = open_backbone(LITE0, ("stage3",)).features(pictures())
    two = open_backbone(LITE2, ("stage2", "stage5")).features(pictures())
    for found, expected in zip(joined.features(pictures()), (two[0], zero[0], two[1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [member.levels for member in joined.members] == [("stage2", "stage5"), ("stage3",)]  # the first level is LITE2's


def test_a_network_alone_is_its_only_member() -> None:
    alone = open_backbone(LITE0)
    assert alone.members == (alone,)
    assert alone.graphs.keys() == {"backbone"}


def test_it_is_restored_from_its_graphs_in_any_order() -> None:
    joined = open_backbone(BOTH, LEVELS)
    assert joined.graphs.keys() == {f"backbone.{LITE0}", f"backbone.{LITE2}"}
    for names in (sorted(joined.graphs), sorted(joined.graphs, reverse=True)):
        again = restored({name: joined.graphs[name] for name in names}, LEVELS, "onnxruntime", joined.origin)
        assert isinstance(again, JoinedBackbone)
        assert (again.levels, again.origin) == (joined.levels, joined.origin)
        assert [member.levels for member in again.members] == [member.levels for member in joined.members]
        for one, other in zip(again.features(pictures()), joined.features(pictures()), strict=True):
            np.testing.assert_array_equal(one, other)


def test_its_origin_says_all_of_theirs() -> None:
    origin = open_backbone(BOTH).origin
    assert origin.sha256 == f"{get_card(LITE0).sha256} + {get_card(LITE2).sha256}"
    assert (origin.licence, origin.weights) == ("Apache-2.0", "published")


@pytest.mark.parametrize(
    ("name", "levels", "error", "message"),
    [
        (
            f"{LITE0}+efficientnet_lite3",
            (),
            UnknownName,
            "backbones: there is no 'efficientnet_lite3'. Did you mean efficientnet_lite",
        ),
        (f"{LITE0}+{LITE0}", (), UsageError, f"networks that are joined must differ; got {LITE0}\\+{LITE0}"),
        (f"{LITE0}+", (), UnknownName, "there is no ''"),
        (f"{LITE0}+resnet18", (), UsageError, "must want their input alike, mean and std; those of"),
        (BOTH, ("stage3",), UnknownName, "levels: there is no 'stage3'. Known: efficientnet_lite0:stage2"),
        (BOTH, (f"{LITE0}:stage3",), UsageError, f"a level of each network was needed; got none of {LITE2}"),
        (BOTH, LEVELS[::-1], UsageError, "finest first"),
    ],
)
def test_what_cannot_be_joined_is_refused(name: str, levels: tuple[str, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_backbone(name, levels)


def test_one_file_of_weights_is_not_given_to_several() -> None:
    with pytest.raises(UsageError, match=r"one file of weights cannot serve 2 networks; got x\.pth"):
        open_backbone(BOTH, weights="x.pth")


def test_joined_networks_may_be_joined_from_any_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = dataclasses.replace(get_card(LITE0), name="twin", licence="MIT")
    monkeypatch.setitem(cards.BACKBONES, "twin", twin)
    assert get_card(f"{BOTH}+twin").licence == "Apache-2.0 + MIT"
