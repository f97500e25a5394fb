"""One embedder with two models, of 384 and 512 numbers, beside the session's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prodsim.embedder import local
from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.settings import ModelSettings, ServerSettings
from prodsim.plugin.client import connect
from prodsim.plugin.config import Settings, load_settings
from tests.conftest import EMBEDDER_PORT, STEP
from tests.live.checks import stored
from tests.live.ledger import Ledger
from tests.live.shop import catalog

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

OLD_MODEL, NEW_MODEL = "all-minilm-l6-v2", "universal"
MODELS = {OLD_MODEL: ModelSettings(), NEW_MODEL: ModelSettings(model="universal-sentence-encoder")}


@pytest.fixture(scope="session")
def two_models_url(home: Path, slot: int) -> Iterator[str]:
    """An embedder that serves MiniLM and the universal sentence encoder."""
    settings = ServerSettings(port=EMBEDDER_PORT + STEP * slot + 1, models=MODELS)
    started = local.start(home / "two-models", settings)
    yield started.running.url
    local.stop(home / "two-models")


@pytest.fixture
def live_settings(home: Path, engine_url: str, two_models_url: str, alias: str) -> Settings:
    return load_settings(alias=alias, home=home, engine_url=engine_url, embedder_url=two_models_url, model=OLD_MODEL)


@pytest.fixture
def client(live_settings: Settings) -> Iterator[OpenSearch]:
    found = connect(live_settings)
    yield found
    found.indices.delete(index=f"{live_settings.alias}-0*", ignore=[404])


@pytest.fixture
def embedder(two_models_url: str) -> Iterator[EmbedderClient]:
    with EmbedderClient(two_models_url) as found:
        yield found


@pytest.fixture
def load_shop(
    client: OpenSearch, embedder: EmbedderClient, live_settings: Settings, tmp_path: Path
) -> Callable[[int, int], Ledger]:
    """Loads a catalog of so many products by a seed, and opens the ledger of it."""
    from prodsim.plugin.shop import Shop, as_text_model
    from tests.catalog_files import load_file

    def load(size: int, seed: int) -> Ledger:
        file = tmp_path / "shop.ndjson"
        rows = ({"sku": sku, **document} for sku, document in catalog(size, seed).items())
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        model = as_text_model(embedder.model(live_settings.model))
        account = load_file(Shop(client, live_settings, embedder, model), file).account
        assert account.indexed == size
        ledger = Ledger()
        for sku, document in stored(client, live_settings.alias).items():
            ledger.holds(sku, {name: value for name, value in document.items() if name in FIELDS})
        return ledger

    return load


FIELDS = {"sku", "title", "brand", "category", "price", "stock", "variant_group"}
