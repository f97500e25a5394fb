"""One embedder with two models, of 384 and 512 numbers, beside the session's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from prodsim.embedder import local
from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.models_file import read_models
from prodsim.embedder.settings import ServerSettings
from prodsim.plugin.client import connect
from prodsim.plugin.config import Settings, load_settings
from prodsim.plugin.errors import EmbedderError
from prodsim.plugin.shop import Shop, as_text_model
from tests.catalog_files import load_file
from tests.conftest import EMBEDDER_PORT, STEP
from tests.live.checks import stored
from tests.live.ledger import Ledger
from tests.live.shop import catalog

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

OLD_MODEL, NEW_MODEL = "all-minilm-l6-v2", "universal"
MODELS: dict[str, dict[str, str]] = {OLD_MODEL: {}, NEW_MODEL: {"model": "universal-sentence-encoder"}}
READY_S = 300.0


@dataclass(frozen=True)
class LiveEmbedder:
    """The embedder of these tests; `serve` adds models by name, as a models file declares them."""

    url: str
    home: Path
    file: Path

    def serve(self, others: Mapping[str, Mapping[str, str]]) -> None:
        self.file.write_text(yaml.safe_dump({"models": {**MODELS, **others}}), encoding="utf-8")
        local.reload(self.home, READY_S)


@pytest.fixture(scope="session")
def live_embedder(home: Path, slot: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEmbedder]:
    """An embedder that serves MiniLM and the universal sentence encoder."""
    file = tmp_path_factory.mktemp("embedder") / "models.yaml"
    file.write_text(yaml.safe_dump({"models": MODELS}), encoding="utf-8")
    port = EMBEDDER_PORT + STEP * slot + 1
    settings = ServerSettings(port=port, models=read_models(file), models_file=file)
    at = home / "two-models"
    try:
        started = local.start(at, settings, READY_S)
    except EmbedderError as error:
        if "Ray does not start" not in str(error):  # on a busy machine it gives up after 30 s
            raise
        started = local.start(at, settings, READY_S)
    yield LiveEmbedder(started.running.url, at, file)
    local.stop(at)


@pytest.fixture(scope="session")
def two_models_url(live_embedder: LiveEmbedder) -> str:
    return live_embedder.url


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
    return lambda size, seed: opened_ledger(client, live_settings, embedder, tmp_path, size, seed)


def opened_ledger(
    client: OpenSearch, settings: Settings, embedder: EmbedderClient, folder: Path, size: int, seed: int
) -> Ledger:
    """The ledger of a catalog that was loaded just now."""
    file = folder / "shop.ndjson"
    rows = ({"sku": sku, **document} for sku, document in catalog(size, seed).items())
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = as_text_model(embedder.model(settings.model))
    account = load_file(Shop(client, settings, embedder, model), file).account
    assert account.indexed == size
    ledger = Ledger()
    for sku, document in stored(client, settings.alias).items():
        ledger.holds(sku, {name: value for name, value in document.items() if name in FIELDS})
    return ledger


FIELDS = {"sku", "title", "brand", "category", "price", "stock", "variant_group"}
