"""A page from a template: one file that holds its style, script and pictures, and asks nothing of a network."""

from __future__ import annotations

from importlib.resources import files
from typing import Any


def render(template: str, content: dict[str, Any]) -> str:
    """The page. template: the file's name in this folder. content: what it shows, by name."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    here = files(__package__)
    environment = Environment(
        loader=FunctionLoader(lambda name: (here / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content, style=(here / "style.css").read_text("utf-8"))
