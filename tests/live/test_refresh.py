"""Services write products and know nothing of embeddings: the vectors follow."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.mappings.text import embedding_text, text_hash
from prodsim.plugin.config import Settings
from tests.embedder_proxy import EmbedderProxy
from tests.live.checks import check, vector_problems
from tests.live.ledger import Ledger
from tests.live.moves import admin, begin

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

pytestmark = pytest.mark.timeout(900)
LoadShop = Callable[[int, int], Ledger]
TITLE = {"title": "Waterproof hiking boots"}


def fresh(client: OpenSearch, alias: str, sku: str) -> bool:
    """Whether the product's vector is one of its text, by its bookkeeping."""
    stored: dict[str, Any] = client.get(index=alias, id=sku)["_source"]
    book = stored.get("prodsim", {})
    return "text_vector_384" in stored and book.get("text_hash") == text_hash(embedding_text(stored))


def change_by_bulk(client: OpenSearch, alias: str, sku: str) -> None:
    answer = client.bulk(index=alias, body=[{"update": {"_id": sku}}, {"doc": TITLE}])
    assert not answer["errors"]


def test_which_partial_updates_run_through_the_ingest_pipeline(
    client: OpenSearch, alias: str, load_shop: LoadShop
) -> None:
    """What the engine does (2.19.1), and docs/models.md says: `_update` alone does, one in a bulk request does not."""
    load_shop(40, 1)
    client.update(index=alias, id="sku-30", body={"doc": TITLE})
    change_by_bulk(client, alias, "sku-31")
    assert fresh(client, alias, "sku-30")
    assert not fresh(client, alias, "sku-31")


def test_refresh_embeds_what_is_missing_stale_or_by_another_model_once(
    client: OpenSearch, alias: str, embedder: EmbedderClient, live_settings: Settings, load_shop: LoadShop
) -> None:
    load_shop(60, 1)
    change_by_bulk(client, alias, "sku-31")
    raw = {"params": {"pipeline": "_none"}}
    client.index(index=alias, id="bare", body={"title": "Tent for two", "price": 90.0}, **raw)
    other = client.get(index=alias, id="sku-32")["_source"]
    other["prodsim"]["model"] = "other@1"
    client.index(index=alias, id="sku-32", body=other, **raw)
    assert "would embed 3 products" in admin(live_settings, "refresh", "--dry-run")
    assert "3 products embedded" in admin(live_settings, "refresh")
    check(vector_problems(client, alias, embedder), "vectors")
    assert client.get(index=alias, id="bare")["_source"]["price"] == 90.0
    assert "0 products embedded" in admin(live_settings, "refresh")


def test_a_write_that_comes_while_its_product_is_embedded_wins(
    client: OpenSearch, alias: str, embedder: EmbedderClient, live_settings: Settings, load_shop: LoadShop
) -> None:
    load_shop(40, 1)
    change_by_bulk(client, alias, "sku-31")
    with EmbedderProxy(live_settings.embedder_url) as proxy:
        proxy.delay_s = 4.0
        slow = live_settings.model_copy(update={"embedder_url": proxy.url})
        process = begin(slow, "refresh")
        deadline = time.monotonic() + 120
        while not proxy.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        client.index(index=alias, id="sku-31", body={"title": "Garden hose", "price": 12.5})
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert "1 were written meanwhile" in printed
    assert client.get(index=alias, id="sku-31")["_source"]["title"] == "Garden hose"
    check(vector_problems(client, alias, embedder), "vectors")


def test_follow_embeds_within_seconds_tells_prometheus_and_ends_cleanly(
    client: OpenSearch, alias: str, live_settings: Settings, load_shop: LoadShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_shop(40, 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("PRODSIM_METRICS_PORT", str(port))
    process = begin(live_settings, "refresh", "--follow", "--poll", "0.5")
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True).start()
    try:
        for sku in ("sku-31", "sku-32"):
            change_by_bulk(client, alias, sku)
            began = time.monotonic()
            while not fresh(client, alias, sku):
                assert process.poll() is None, said
                assert time.monotonic() - began < 120
                time.sleep(0.1)
            print(f"{sku}: {time.monotonic() - began:.1f} s")  # noqa: T201  a figure of the run
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert 'prodsim_command_rows{command="refresh",outcome="embedded"} 2.0' in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
    time.sleep(0.2)
    assert f"{alias}: 2 products embedded\n" in said
