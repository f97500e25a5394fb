"""HTML pages that need nothing from outside: style, script and pictures are in the file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from prodsim.plugin.errors import UsageError


def page_file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def render_page(name: str, **values: Any) -> str:
    """A page of this folder, every value escaped for HTML. `| tojson` puts data into its script."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(page_file),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # a column of figures, and a difference
    environment.filters["figure"] = lambda value: "" if value is None else f"{value:.4f}"
    environment.filters["signed"] = lambda value: f"{value:+.4f}"
    return environment.get_template(name).render(values)


def write_page(path: Path, text: str) -> None:
    """Raises UsageError where the file can't be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror or error}") from None
