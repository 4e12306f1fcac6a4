"""A page from a template: one file that holds its style, script and pictures, and asks nothing of a network."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

STYLE = "style.css"


def render(template: str, content: dict[str, Any], home: str = __package__, more_style: str = "") -> str:
    """The page. template, more_style: files in the package `home`, the latter of CSS. content: what the page shows, by name."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    here = files(home)
    style = files(__package__).joinpath(STYLE).read_text("utf-8")
    if more_style:
        style += here.joinpath(more_style).read_text("utf-8")
    environment = Environment(
        loader=FunctionLoader(lambda name: (here / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content, style=style)
