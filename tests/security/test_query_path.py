"""The whole query path over TLS: set up by the administrator, loaded by the loader, searched by the reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from prodsim.plugin.client import connect
from prodsim.plugin.doctor import doctor
from prodsim.plugin.engine import Engine
from prodsim.plugin.errors import EngineError, EngineUnreachable
from prodsim.plugin.query import ProductSearch
from prodsim.plugin.shop import Shop
from tests.catalog_files import load_file
from tests.conftest import ROOT, _Shop

from .conftest import As


@pytest.fixture(scope="module")
def shop(settings_as: As) -> Iterator[Shop]:
    """The example shop, loaded by the administrator into the alias products."""
    with _Shop(settings_as("admin")) as opened:
        load_file(opened, ROOT / "examples" / "products.ndjson")
        yield opened


def test_a_reader_searches_by_meaning_and_finds_similar_products(shop: Shop, settings_as: As) -> None:
    reader = ProductSearch(connect(settings_as("reader")))
    assert "lock" in reader.search("stop my bike from being stolen", size=1).hits[0].product["title"].lower()
    similar = reader.similar("LOUN-04-1", size=3)
    assert [hit for hit in similar if "chair" in hit.product["title"].lower()]
    assert "LOUN-04-1" not in [hit.sku for hit in similar]


def test_a_loader_changes_products_and_doctor_finds_all_well(shop: Shop, settings_as: As, tmp_path: Path) -> None:
    row = next(line for line in (ROOT / "examples" / "products.ndjson").read_bytes().splitlines())
    product = {**orjson.loads(row), "title": "Brass ship's lantern"}
    changed = tmp_path / "one.ndjson"
    changed.write_bytes(orjson.dumps(product) + b"\n")
    loader = settings_as("loader")
    opened = Shop(connect(loader), loader, shop.embedder, shop.model)
    assert load_file(opened, changed).account.indexed == 1
    findings = doctor(shop.client, shop.settings, shop.embedder)
    assert [finding for finding in findings if finding.state == "fail"] == []
    similar = [(finding.state, finding.message) for finding in findings if finding.check == "similar"]
    assert similar == [("ok", "the engine reaches its own stored vectors")]


def test_without_the_authority_nothing_is_sent(settings_as: As) -> None:
    with pytest.raises(EngineUnreachable, match="TLS failed") as failed:
        ProductSearch(connect(settings_as("reader", engine_ca_file=Path("/etc/ssl/certs/ca-certificates.crt")))).search(
            "x"
        )
    assert "check engine_ca_file" in str(failed.value)


def test_a_client_certificate_logs_in_without_a_password(secure_engine: Engine, settings_as: As, shop: Shop) -> None:
    folder = Path(secure_engine.settings["engine_ca_file"]).parent
    settings = settings_as(
        "reader",
        engine_username=None,
        engine_password_file=None,
        engine_client_certificate=folder / "prodsim_reader.pem",
        engine_client_key=folder / "prodsim_reader.key",
    )
    settings = settings.model_copy(update={"engine_username": None, "engine_password_file": None})
    assert ProductSearch(connect(settings)).search("lamp", size=1).hits
    with pytest.raises(EngineError, match="may not do that"):
        connect_and_delete(settings)


def connect_and_delete(settings: object) -> None:
    from prodsim.plugin.client import engine_errors
    from prodsim.plugin.config import Settings

    assert isinstance(settings, Settings)
    with engine_errors("deleting"):
        connect(settings).indices.delete(index="products-0*")
