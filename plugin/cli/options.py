"""Options that several commands share, spelled once."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Alias = Annotated[str | None, typer.Option("--alias", metavar="NAME", help="The catalog's alias (setting: alias).")]
EngineUrl = Annotated[str | None, typer.Option("--engine-url", metavar="URL", help="OpenSearch (setting: engine_url).")]
EmbedderUrl = Annotated[
    str | None, typer.Option("--embedder-url", metavar="URL", help="The embedder (setting: embedder_url).")
]
