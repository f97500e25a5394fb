"""An embedder that asks for a key: the engine has it, and nothing shows it. And one that speaks TLS."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from prodsim.embedder import local
from prodsim.embedder.settings import ServerSettings
from prodsim.plugin.query import ProductSearch
from prodsim.plugin.setup import setup
from tests.catalog_files import load_file
from tests.conftest import EMBEDDER_PORT, STEP, open_shop

if TYPE_CHECKING:
    from prodsim.plugin.config import Settings

pytestmark = [pytest.mark.engine, pytest.mark.embedder]
KEY = "a-very-secret-key-of-the-embedder"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "embedder")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "embedder.crt", tmp_path / "embedder.key"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.fixture
def port(slot: int) -> int:
    return EMBEDDER_PORT + STEP * slot + 1


@pytest.fixture
def guarded(tmp_path: Path, port: int) -> Iterator[str]:
    (tmp_path / "keys").write_text(f"{KEY}\n")
    settings = ServerSettings(model="fake-64", port=port, api_keys_file=tmp_path / "keys")
    yield local.start(tmp_path / "home", settings).running.url
    local.stop(tmp_path / "home")


def test_the_engine_calls_an_embedder_with_the_key_that_setup_was_given_and_nothing_shows_it(
    settings_for: Callable[..., Settings],
    guarded: str,
    alias: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = settings_for(alias, embedder_url=guarded, embedder_api_key=KEY)
    products = tmp_path / "products.ndjson"
    products.write_text('{"sku": "a", "title": "warm jacket"}\n{"sku": "b", "title": "garden hose"}\n')
    with open_shop(settings) as shop:
        changes = setup(shop.client, settings, shop.model)
        load_file(shop, products)
        search = ProductSearch(shop.client, alias)
        assert search.search("warm jacket").hits[0].sku == "a"
        assert 'texts_total{input_type="query",model="fake-64"} 1.0' in httpx.get(f"{guarded}/metrics").text
        shop.client.index(index=alias, id="c", body={"title": "wool scarf"}, params={"refresh": "true"})
        assert "text_vector_64" in search.product("c")
        found = shop.client.transport.perform_request("POST", "/_plugins/_ml/connectors/_search", body={"size": 100})
        connectors = json.dumps(found)
    shown = [str(changes), connectors, str(settings), repr(settings), *capfd.readouterr()]
    assert not [text for text in shown if KEY in text]


def test_tls_answers_those_who_trust_the_certificate(certificate: tuple[Path, Path], port: int, tmp_path: Path) -> None:
    settings = ServerSettings(model="fake-8", port=port, tls_certificate=certificate[0], tls_key=certificate[1])
    try:
        url = local.start(tmp_path, settings).running.url
        assert url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        with httpx.Client(base_url=url, verify=trusting, trust_env=False) as client:
            answer = client.post("/v1/embeddings", json={"input": "warm jacket"})
            assert len(answer.json()["data"][0]["embedding"]) == 8
        with pytest.raises(httpx.ConnectError), httpx.Client(base_url=url, trust_env=False) as client:
            client.get("/readyz")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url.replace("https", "http") + "/readyz", trust_env=False)
    finally:
        local.stop(tmp_path)
