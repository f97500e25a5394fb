"""Fills the bundle's files.

Two kinds of placeholder never meet: `<< … >>` and `<% … %>` are filled here, when the bundle is installed;
`{{ … }}` is mustache, filled by the engine for every query.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2


@cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(bundle_file),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.do"],
        autoescape=False,  # every value goes through the json filter, which is the escaping that fits here
    )
    made.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    made.filters["inside_string"] = lambda text: json.dumps(text, ensure_ascii=False)[1:-1]
    return made


def bundle_file(name: str) -> str:
    """The text of a file of the bundle; templates name each other without their folder."""
    folder = files(__package__)
    found = folder.joinpath("templates", name) if name.endswith(".mustache") else folder.joinpath(name)
    return found.read_text(encoding="utf-8")


def render_text(name: str, **values: Any) -> str:
    return environment().get_template(name).render(values)


def render_json(name: str, **values: Any) -> dict[str, Any]:
    """A file of the bundle as the engine will get it."""
    rendered: dict[str, Any] = json.loads(render_text(name, **values))
    return rendered
