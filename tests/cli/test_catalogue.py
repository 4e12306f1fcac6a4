"""Everything there is to choose from is listed, by the names that work."""

from __future__ import annotations

import dataclasses

import pytest

from flawsight.backbones import BACKBONES
from flawsight.cli.catalogue import listing
from flawsight.cli.options import parse_options
from flawsight.datasets import DATASETS
from flawsight.errors import UnknownName
from flawsight.fitting.presets import PRESETS
from flawsight.methods import METHODS
from flawsight.methods.base import make_params
from flawsight.metrics import METRICS

TABLES = {"methods": METHODS, "backbones": BACKBONES, "datasets": DATASETS, "metrics": METRICS, "presets": PRESETS}


@pytest.mark.parametrize("what", TABLES)
def test_each_table_is_listed_whole_with_words(what: str) -> None:
    assert listing(what).keys() == TABLES[what].keys()
    assert all(len(words) > 10 for words in listing(what).values())


@pytest.mark.parametrize("name", METHODS)
def test_params_are_listed_as_they_are_set(name: str) -> None:
    params = METHODS[name].Params
    _, _, listed = listing("methods")[name].partition("for --set: ")
    options = parse_options(listed.split(", "))
    assert options.keys() == {field.name for field in dataclasses.fields(params)}
    assert make_params(params, options, name) == params()


def test_backbones_say_their_levels_and_licence() -> None:
    for name, words in listing("backbones").items():
        assert BACKBONES[name].licence in words
        assert all(level in words for level in BACKBONES[name].levels)


def test_data_sets_say_their_licence_and_where_to_get_them() -> None:
    for name, words in listing("datasets").items():
        assert DATASETS[name].licence in words
        assert DATASETS[name].source in words
        assert bool(DATASETS[name].source) == (name not in ("folder", "labels"))


@pytest.mark.parametrize(
    ("what", "message"),
    [("method", r"Did you mean methods\?"), ("Backbones", "Did you mean backbones"), ("x", "Known: backbones, ")],
)
def test_an_unknown_list_is_refused_with_the_nearest(what: str, message: str) -> None:
    with pytest.raises(UnknownName, match=f"list: there is no '{what}'. {message}"):
        listing(what)
