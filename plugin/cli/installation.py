"""`prodsim-admin setup`, `status`, `doctor` and `uninstall`: the bundle in a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from . import output
from .options import Alias, DryRun, EmbedderUrl, EngineUrl, Json, Yes

if TYPE_CHECKING:
    from prodsim.plugin.changes import Change


def setup(
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Install the bundle: templates, pipelines, connectors. Safe to repeat; products are never touched."""
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.setup import setup as install

    from .wiring import open_shop

    with open_shop(load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)) as shop:
        changes = install(shop.client, shop.settings, shop.model, dry_run=dry_run)
    show_changes(changes, json, with_diff=dry_run)


def uninstall(
    alias: Alias = None, engine_url: EngineUrl = None, dry_run: DryRun = False, yes: Yes = False, json: Json = False
) -> None:
    """Remove everything that setup installed, for all catalogs; their indexes stay."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.uninstall import uninstall as remove

    client = connect(load_settings(alias=alias, engine_url=engine_url))
    if not dry_run and not yes:
        show_changes(remove(client, dry_run=True), False)
        typer.confirm("Remove all of this?", abort=True, err=True)
    show_changes(remove(client, dry_run=dry_run), json)


def status(
    alias: Alias = None, engine_url: EngineUrl = None, embedder_url: EmbedderUrl = None, json: Json = False
) -> None:
    """What is installed, what it serves, and what is stale."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.status import status as look

    from .wiring import open_embedder

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    with open_embedder(settings) as embedder:
        state = look(connect(settings), settings, embedder)
    if json:
        output.result_json(state)
    else:
        show_status(state)


def doctor(
    alias: Alias = None, engine_url: EngineUrl = None, embedder_url: EmbedderUrl = None, json: Json = False
) -> None:
    """Check every part of the query path. Exit code 3 when something fails."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.doctor import doctor as examine
    from prodsim.plugin.errors import CheckFailed

    from .wiring import open_embedder

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    with open_embedder(settings) as embedder:
        findings = examine(connect(settings), settings, embedder)
    if json:
        output.result_json(findings)
    else:
        for finding in findings:
            output.result(f"{finding.state:4}  {finding.check:10}  {finding.message}")
    failed = [finding.check for finding in findings if finding.state == "fail"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(findings)} checks failed: {', '.join(dict.fromkeys(failed))}")


def show_changes(changes: Sequence[Change], json: bool, with_diff: bool = False) -> None:
    if json:
        output.result_json(changes)
        return
    for change in changes:
        output.result(f"{change.action:9}  {change.kind:20}  {change.name}")
        if with_diff or change.action == "update":
            for line in change.diff:
                output.result(f"           {line[0]} {line[1:].lstrip()}")
    if not changes:
        output.result("nothing is installed")


def show_status(state: dict[str, Any]) -> None:
    engine, embedder, bundle = state["engine"], state["embedder"], state["bundle"]
    output.result(f"engine    OpenSearch {engine['version']} at {engine['url']}, {engine['mode']} mode")
    if embedder["ready"]:
        output.result(f"embedder  {embedder['model']} ({embedder['dimension']}-d) at {embedder['url']}")
    else:
        output.result(f"embedder  not ready: {embedder['problem']}")
    output.result(f"bundle    {bundle['state']}{': ' + bundle['problem'] if 'problem' in bundle else ''}")
    for change in bundle.get("pending", []):
        output.result(f"          {change['action']} {change['kind']} {change['name']}")
    if state["catalogs"]:
        rows = [{**catalog, "aliases": ", ".join(catalog["aliases"]) or "-"} for catalog in state["catalogs"]]
        output.result("")
        output.table(rows, ["index", "aliases", "products", "without_vector", "model", "vectors"])
