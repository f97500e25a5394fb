"""A model that would spoil the shop's search is found out before any customer is served by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.plugin.client import connect
from prodsim.plugin.config import load_settings
from prodsim.plugin.errors import ExitCode
from prodsim.plugin.indexes import indexes_behind
from prodsim.plugin.moving import machine
from prodsim.plugin.moving.record import Options
from prodsim.plugin.shop import Shop, as_text_model
from tests.catalog_files import load_file, no_line
from tests.conftest import ROOT
from tests.filled_catalog import unwatched
from tests.live.conftest import NEW_MODEL, OLD_MODEL, LiveEmbedder
from tests.live.damaged import write_damaged
from tests.live.moves import admin

pytestmark = pytest.mark.timeout(2400)
JUDGMENTS = str(ROOT / "examples" / "judgments.json")
FORCED = Options(force="this model is broken on purpose")
DAMAGES = {
    "shuffled": "found by own title",
    "constant": "found by own title",
    "nearly-constant": "nDCG@10",
    "other-language": "found by own title",
}


@pytest.fixture(scope="module")
def damaged(live_embedder: LiveEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The damaged models, served by the embedder beside the good ones."""
    folders = write_damaged(tmp_path_factory.mktemp("damaged"))
    live_embedder.serve({name: {"model": str(folder)} for name, folder in folders.items()})
    yield
    live_embedder.serve({})


@pytest.fixture(scope="module")
def shop(home: Path, engine_url: str, live_embedder: LiveEmbedder) -> Iterator[Shop]:
    """The example shop, whose queries are judged, by MiniLM."""
    settings = load_settings(
        alias="canary-shop", home=home, engine_url=engine_url, embedder_url=live_embedder.url, model=OLD_MODEL
    )
    client = connect(settings)
    with EmbedderClient(live_embedder.url) as embedder:
        opened = Shop(client, settings, embedder, as_text_model(embedder.model(OLD_MODEL)))
        load_file(opened, ROOT / "examples" / "products.ndjson")
        yield opened
    client.indices.delete(index="canary-shop-0*", ignore=[404])


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_fails_its_canary_and_is_never_swapped_to(shop: Shop, damaged: None, name: str) -> None:
    settings, alias = shop.settings, shop.settings.alias
    before = indexes_behind(shop.client, alias)
    broken = replace(shop, model=as_text_model(shop.embedder.model(name)))
    machine.start(broken, "rollout", FORCED, unwatched, no_line)  # past the probe, and past validation
    try:
        printed = admin(settings, "model", "canary", "--judgments", JUDGMENTS, code=ExitCode.CHECK_FAILED)
        assert DAMAGES[name] in printed.splitlines()[-1], printed
        refused = admin(settings, "model", "promote", code=ExitCode.CHECK_FAILED)
        assert "canary" in refused
        assert indexes_behind(shop.client, alias) == before
    finally:
        admin(settings, "model", "rollout", "abort", "--yes")
    assert indexes_behind(shop.client, alias) == before


def test_one_vector_for_everything_is_refused_before_an_index_is_made(shop: Shop, damaged: None) -> None:
    for command in (("model", "add", "constant"), ("model", "rollout", "start", "constant")):
        printed = admin(shop.settings, *command, code=ExitCode.CHECK_FAILED)
        assert "the same vector for every text" in printed


def test_a_good_model_of_another_length_is_added_passes_its_canary_and_takes_a_share_of_live_searches(
    shop: Shop, live_embedder: LiveEmbedder, tmp_path: Path
) -> None:
    settings, client, alias = shop.settings, shop.client, shop.settings.alias
    added = admin(settings, "model", "add", NEW_MODEL)
    assert f"{NEW_MODEL}@" in added
    assert "512 numbers" in added
    earlier = machine.status(client, alias)  # of a test before this one
    wanted = f"in phase {earlier.phase}, not ready" if earlier else "no rollout"
    assert wanted in admin(settings, "model", "canary", "--queries", JUDGMENTS, code=ExitCode.NOT_FOUND)
    admin(settings, "model", "rollout", "start", NEW_MODEL)
    assert "had no canary" in admin(settings, "model", "promote", code=ExitCode.CHECK_FAILED)
    log = tmp_path / "queries.txt"
    log.write_text("warm jacket\nlight for my bike\nfrying pan\n", encoding="utf-8")
    limits = "--max-ndcg-loss 0.5 --max-slowdown 20 --min-overlap 0.1 --max-itself-loss 0.5 --max-zero-increase 0.5"
    asked = ("--judgments", JUDGMENTS, "--queries", str(log), "--open")
    printed = admin(settings, "model", "canary", *asked, *limits.split())
    assert "74 judged and 3 logged queries: passed" in printed
    target = machine.status(client, alias)
    assert target is not None
    assert indexes_behind(client, f"{alias}-canary") == [target.target]
    body = {"id": "prodsim-search", "params": {"q": "warm jacket"}}
    assert client.search_template(index=f"{alias}-canary", body=body)["hits"]["hits"]
    from opensearchpy.exceptions import RequestError

    with pytest.raises(RequestError, match="no write index"):
        client.index(index=f"{alias}-canary", body={"title": "written by mistake"})
    admin(settings, "model", "promote")
    assert indexes_behind(client, alias) == [target.target]
    assert indexes_behind(client, f"{alias}-canary") == []
    assert NEW_MODEL in admin(settings, "model", "list")
    admin(settings, "model", "rollback")
    assert indexes_behind(client, alias) == [target.source]
    admin(settings, "model", "retire", "--yes")
