"""Renders the HTML pages from the Jinja templates of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tile:
    """One value at the top of a page; `tone` is a class of the style sheet: good, warn, bad or empty."""

    title: str
    value: str
    note: str
    tone: str = ""


def render_template(name: str, **values: object) -> str:
    """Renders a template with autoescaping; raises jinja2.UndefinedError when it uses a value that is not given."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name).render(values)
