"""Options that verbs share, as they come in words."""

from __future__ import annotations

from typing import Any

import pytest

from flawsight.cli.options import parse_options
from flawsight.errors import UsageError


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([], {}),
        (["a=1", "b=0.5", "c=true", "d=word", "e=null"], {"a": 1, "b": 0.5, "c": True, "d": "word", "e": None}),
        (["a=1", "a=2"], {"a": 2}),
        ([" a = x y "], {"a": "x y"}),
        (["a=b=c"], {"a": "b=c"}),
        (["a="], {"a": ""}),
    ],
)
def test_options_in_words(texts: list[str], options: dict[str, Any]) -> None:
    assert parse_options(texts) == options


@pytest.mark.parametrize("text", ["a", "=1", ""])
def test_what_is_no_option_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"name=value was needed; got '{text}'"):
        parse_options([text])
