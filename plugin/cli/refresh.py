"""`prodsim-admin refresh`: vectors for what other services wrote."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from prodsim.plugin.errors import UsageError

from . import output
from .options import Alias, DryRun, EmbedderUrl, EngineUrl, Json
from .progress import progress


def refresh(
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, and embed what is written within seconds; SIGTERM ends it.")
    ] = False,
    poll: Annotated[
        float, typer.Option("--poll", metavar="SECONDS", min=0.1, max=3600, help="How often --follow looks.")
    ] = 1.0,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Embed products whose vector is missing, of another model, or of a text that a partial update changed."""
    from prodsim.plugin import refreshing
    from prodsim.plugin.client import connect
    from prodsim.plugin.cluster import inspect_cluster
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.shop import embedder_legs
    from prodsim.plugin.telemetry import watched

    from .wiring import open_embedder

    if follow and dry_run:
        raise UsageError("--follow has nothing to show with --dry-run")
    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    client = connect(settings)
    inspect_cluster(client)
    with open_embedder(settings) as embedder, stopped_by_signal() as stop, progress() as (show, say):
        embedder.require_ready()
        legs = embedder_legs(embedder, settings)
        freshener = refreshing.Freshener(client, settings, embedder, legs, say, stop)
        if dry_run:
            name, stale = refreshing.count_stale(freshener)
            found = {"index": name, "stale": stale}
            return output.result_json(found) if json else output.result(f"would embed {stale} products of {name}")
        with watched(settings, "refresh", show) as counted:
            if follow:
                name, moved = settings.alias, refreshing.follow(freshener, counted, poll)
            else:
                try:
                    name, moved = refreshing.refresh_once(freshener, counted)
                except refreshing.Stopped:
                    raise KeyboardInterrupt from None
    if json:
        return output.result_json({"index": name, "embedded": moved.embedded, "unembedded": moved.unembedded})
    without = f", {moved.unembedded} can have none" if moved.unembedded else ""
    newer = f", {moved.kept} were written meanwhile" if moved.kept else ""
    output.result(f"{name}: {moved.embedded} products embedded{without}{newer}")


@contextmanager
def stopped_by_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second one ends the process as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def tell(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, tell)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
