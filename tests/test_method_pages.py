"""The pages of docs/methods are what their tool makes of the code as it is."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flawsight.methods import METHODS

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs/methods"


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("write_method_pages", ROOT / "tools/write_method_pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_in_the_repository_are_what_the_tool_makes(tool: Any) -> None:
    made = tool.pages()
    assert {path.name for path in PAGES.iterdir()} == made.keys() == {"README.md", *(f"{name}.md" for name in METHODS)}
    stale = [name for name, text in made.items() if (PAGES / name).read_text("utf-8") != text]
    assert not stale, f"{', '.join(stale)}: of an older state of the code. Run `make docs`."


def test_a_card_keeps_every_word_and_shows_its_parts(tool: Any) -> None:
    doc = (
        "Name: Author, 2020.\n\nfit:   one step\n       goes on.\nscore: see docs/accuracy.md.\n\nSymbols: N things.\n\n"
        "Where this differs from the paper, in two:\n- one, as Name*\n  has it;\n- two.\n\nScores: no part of these."
    )
    assert tool.card(doc) == [
        "Name: Author, 2020.",
        "",
        "- **fit**: one step goes on.",
        "- **score**: see [docs/accuracy.md](../accuracy.md).",
        "",
        "**Symbols:** N things.",
        "",
        "**Where this differs from the paper, in two:**",
        r"- one, as Name\* has it;",
        "- two.",
        "",
        "Scores: no part of these.",
    ]


@dataclass(frozen=True)
class First:
    """one, two: both, of
    two lines. three: as one: that is, alone; four: last.
    """

    one: int = 1
    two: int = 2
    three: int = 3
    four: int = 4


@dataclass(frozen=True)
class Second(First):
    """Those of the first. four: another."""

    five: int = 5


def test_words_of_params_are_those_of_their_docstrings(tool: Any) -> None:
    said = {"one": "both, of two lines.", "two": "both, of two lines.", "three": "as one: that is, alone.", "four": "last."}
    assert tool.words(First) == said
    Second.__doc__ = "Those of the first. four: another. five: new."
    assert tool.words(Second) == {**said, "four": "another.", "five": "new."}


def test_a_param_of_which_nothing_is_said_is_named(tool: Any) -> None:
    Second.__doc__ = "Those of the first. four: another."
    with pytest.raises(SystemExit, match=r"^Second: .* of `five`\.$"):
        tool.words(Second)


def test_pages_of_lost_methods_go_and_nothing_else(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lost.md").write_text(f"{tool.MADE}\nold", "utf-8")
    (tmp_path / "own.md").write_text("written by hand", "utf-8")
    monkeypatch.setattr("sys.argv", ["", str(tmp_path)])
    tool.main()
    assert {path.name for path in tmp_path.iterdir()} == {"own.md", *tool.pages()}
    assert (tmp_path / "spade.md").read_text("utf-8") == tool.pages()["spade.md"]


def test_tables_keep_their_columns_whatever_a_cell_holds(tool: Any) -> None:
    assert tool.table(["a", "b"], [["x|y", "z"]]) == ["| a | b |", "|---|---|", r"| x\|y | z |"]
