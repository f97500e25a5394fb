"""`prodsim-admin demo`: everything up, the example shop loaded, a few searches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import output
from .options import Alias

if TYPE_CHECKING:
    from prodsim.plugin.query import Result

NEXT = """\
Left running: OpenSearch at {engine} and the embedder at {embedder}. Try next:
  prodsim-admin search "gift for a runner"                 any words of yours
  prodsim-admin similar {sku:34} by SKU
  prodsim-admin search "jacket" --facets --sort price      filters, facets, sorting, paging: see --help
  prodsim-admin load FILE --catalog catalog.yaml --alias mine   your own products (examples/catalogs)
  prodsim-admin doctor                                     is everything well?
  make stop                                                stops both
From code: docs/clients.md has the same two calls in curl, Python, JavaScript and Java."""


def demo(alias: Alias = None) -> None:
    """Start an engine and an embedder here, load the example shop, search it."""
    from prodsim.plugin import demo as steps
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings

    began = time.monotonic()
    settings = load_settings(alias=alias)
    output.note("starting OpenSearch and the embedder (the first time OpenSearch is downloaded)")
    steps.start(settings, output.note)
    account = steps.load_example(settings).account
    output.note(
        f"{settings.alias}: {account.read} example products, {account.indexed} indexed, {account.unchanged} unchanged, "
        f"{account.embedded} embedded"
    )
    sku = ""
    for shown in steps.ask(connect(settings), settings.alias):
        output.result(f"\n{shown.question}")
        if shown.words_only is not None:
            show("words alone", shown.words_only)
            sku = shown.blended.hits[0].sku
        show("prodsim", shown.blended)
    output.result("")
    output.result(NEXT.format(engine=settings.engine_url, embedder=settings.embedder_url, sku=sku))
    output.note(f"ready after {time.monotonic() - began:.0f} s")


def show(who: str, answer: Result) -> None:
    titles = [f"{hit.product['title']} ({hit.product.get('price')})" for hit in answer] or ["nothing"]
    for label, title in zip([who, *[""] * len(titles)], titles, strict=False):
        output.result(f"  {label:12} {title}")
