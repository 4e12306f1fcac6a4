"""Write docs/methods: a page for each line of METHODS, made of its identity card, and an index.

    python tools/write_method_pages.py [OUT_DIR]

All on a page is said elsewhere and only gathered: the card is the docstring of the method's module, the params and what they do are
its dataclass and that one's docstring, the rest are lines of BACKBONES, PRESETS and the published tables. A param without a word
stops it: a sentence of the docstring begins with the names of the params that it is about and a colon.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flawsight.backbones import BACKBONES, PIXELS
from flawsight.fitting.presets import PRESETS, Preset
from flawsight.methods import METHODS
from flawsight.methods.base import Method
from flawsight.reproduce import published
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.sheets import published_sheets
from flawsight.reproduce.writing import sheet_markdown

INDEX = "README.md"
MADE = "<!-- Made by tools/write_method_pages.py: change the method's docstrings instead, then run `make docs`. -->"
REST = re.compile(r" The others: see \w+\.$")  # of a class; a page tells of them all
CAPTION = "Percent, as printed; bold: the best of its column in the whole table."


def pages() -> dict[str, str]:
    """Name of the file → its text."""
    return {INDEX: index(), **{f"{name}.md": page(method) for name, method in METHODS.items()}}


def index() -> str:
    """The page that links all others."""
    lines = [
        MADE,
        "",
        "# Methods",
        "",
        "A page for each, made from the docstrings of its file: what it does, its params, its presets and its published figures.",
        "Any of them fits with `flawsight fit good/ -o part.flaw --method NAME --set PARAM=VALUE`.",
        "",
    ]
    rows = (
        [f"[{name}]({name}.md)", method.title, listed(presets_of(name)), listed(printed_in(name))]
        for name, method in METHODS.items()
    )
    return text([*lines, *table(["method", "", "presets", "published in"], rows)])


def page(method: type[Method]) -> str:
    """All there is to know of one method."""
    file = f"flawsight/methods/{Path(inspect.getfile(method)).name}"
    command = f"flawsight fit good/ -o part.flaw --method {method.name}"
    return text(
        [
            MADE,
            "",
            f"# {method.title}",
            "",
            f"`{command}`; its code is [{file}](../../{file}).",
            "",
            *card(inspect.getdoc(inspect.getmodule(method)) or ""),
            "",
            *facts(method),
            "",
            "## Params",
            "",
            *params(method),
            "",
            "## Levels",
            "",
            *levels(method),
            *presets(method),
            *figures(method),
        ]
    )


def card(doc: str) -> list[str]:
    """The identity card: what `fit` and `score` do as a list, the word that opens a paragraph in bold."""
    lines = []
    for paragraph in doc.split("\n\n"):
        for part in re.split(r"\n(?=\S+:\s{1,3}\S|- )", paragraph):
            words = " ".join(part.split()).replace("*", r"\*")
            steps = re.fullmatch(r"(fit|score|map): (.*)", words)
            opened = re.sub(r"^(Symbols|Expected|Where this differs[^:]*):", r"**\1:**", words)
            lines.append(f"- **{steps[1]}**: {steps[2]}" if steps else opened)
        lines.append("")
    return [re.sub(r"\bdocs/(\w+\.md)", r"[docs/\1](../\1)", line) for line in lines[:-1]]


def facts(method: type[Method]) -> list[str]:
    """What its class says of itself."""
    sizes = "of any size, also different ones" if method.any_size else "all of one size"
    bounded = "it keeps to `--memory`, however many pictures there are" if hasattr(method, "fit_within") else "as much as it needs"
    return [f"**Pictures:** {sizes}. **Memory of a fit:** {bounded}."]


def params(method: type[Method]) -> list[str]:
    """Name, type, default and meaning of each param."""
    said = words(method.Params)
    rows = (
        [f"`{one.name}`", str(one.type), f"`{json.dumps(one.default, ensure_ascii=False)}`", said[one.name]]
        for one in dataclasses.fields(method.Params)
    )
    return table(["param", "type", "default", ""], rows)


def words(params: type[Any]) -> dict[str, str]:
    """Param → what the docstring says of it, or that of the class it comes from. Raises SystemExit where one says nothing."""
    names = [field.name for field in dataclasses.fields(params)]
    one = rf"(?:{'|'.join(names)})"
    opening = re.compile(rf"(?:^|(?<=[.;] ))({one}(?:, {one})*): ")
    said: dict[str, str] = {}
    for origin in params.__mro__[:-1]:
        _, *parts = opening.split(" ".join((origin.__doc__ or "").split()))
        for message, meaning in zip(parts[::2], parts[1::2], strict=True):
            for name in message.split(", "):
                said.setdefault(name, REST.sub("", meaning.strip()).rstrip(";.") + ".")
    if silent := [name for name in names if name not in said]:
        raise SystemExit(f"{params.__name__}: a sentence that begins with its name and a colon was needed of {listed(silent)}.")
    return said


def levels(method: type[Method]) -> list[str]:
    """The levels of each network, networks with the same ones together; of a method without a network, that it has none."""
    if method.default_backbone == PIXELS:
        return ["It learns from the picture itself, without a network learned elsewhere."]
    together: dict[tuple[str, ...], list[str]] = {}
    for name, network in BACKBONES.items():
        if name == PIXELS:
            continue
        together.setdefault(method.default_levels(network), []).append(name)
    message = "What it takes of each network, finest first, unless a preset or `--levels` names others:"
    return [message, "", *table(["networks", "levels"], ([listed(names), listed(taken)] for taken, names in together.items()))]


def presets(method: type[Method]) -> list[str]:
    """Each preset, and what it sets that is not so by default; nothing where there is none."""
    if not presets_of(method.name):
        return []
    default = {one.name: one.default for one in dataclasses.fields(method.Params)}
    rows = (
        [f"`{name}`", preset.description, network(preset), settings(preset.preprocess), settings(other(preset.options, default))]
        for name, preset in PRESETS.items()
        if preset.method == method.name
    )
    return ["", "## Presets", "", *table(["preset", "", "network", "picture", "params other than by default"], rows)]


def figures(method: type[Method]) -> list[str]:
    """Its rows in the published tables; nothing where it has none."""
    rows = [row.name for row in ROWS.values() if row.method == method.name]
    sheets = published_sheets(list(published.tables()), rows)
    if not sheets:
        return []
    measuring = f"`flawsight tables --data ROOT --methods {method.name} --out DIR` measures beside them"
    how = f"{CAPTION} {measuring}: see [docs/tables.md](../tables.md)."
    shown = (line for sheet in sheets for line in ("", f"### {sheet.title}", "", sheet_markdown(sheet)))
    return ["", "## Published", "", how, *shown]


def presets_of(method: str) -> list[str]:
    return [name for name, preset in PRESETS.items() if preset.method == method]


def printed_in(method: str) -> list[str]:
    """The published tables in which it has a row."""
    return [name for name, table in published.tables().items() if any(ROWS[row].method == method for row in table.rows)]


def network(preset: Preset) -> str:
    primed = ", primed" if preset.primed else ""
    return f"`{preset.backbone}`{primed}" + (f": {listed(preset.levels)}" if preset.levels else "")


def other(options: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value != default[name]}


def settings(options: Mapping[str, Any]) -> str:
    return listed(f"{name}={json.dumps(value) if isinstance(value, bool) else value}" for name, value in options.items())


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def table(heads: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in (heads, *rows)]
    return [lines[0], "|" + "---|" * len(heads), *lines[1:]]


def text(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "methods"
    out.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, content in made.items():
        (out / name).write_text(content, encoding="utf-8")
    for path in out.glob("*.md"):
        if path.name not in made and path.read_text("utf-8").startswith(MADE):
            path.unlink()  # of a method that is no more


if __name__ == "__main__":
    main()
