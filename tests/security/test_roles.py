"""Each role does its job on a real engine with the security plugin, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opensearchpy import OpenSearch
from opensearchpy.exceptions import AuthorizationException, TransportError

from prodsim.plugin.client import connect
from prodsim.plugin.engine import Engine
from prodsim.plugin.engine.instance import Instance
from prodsim.plugin.engine.security import http_client
from prodsim.plugin.indexes import serving_index
from tests.catalog_files import load_file
from tests.conftest import ROOT, _Shop

from .conftest import As

CALLS: list[list[Any]] = yaml.safe_load((Path(__file__).parent / "calls.yaml").read_text())
ROLES = ("admin", "loader", "reader")
SKU = "LAMP-01-1"


@pytest.fixture(scope="module")
def index(settings_as: As, secure_engine: Engine) -> Iterator[str]:
    """The index of the example shop, loaded by the administrator; and an index of somebody else."""
    with _Shop(settings_as("admin")) as shop:
        load_file(shop, ROOT / "examples" / "products.ndjson")
        with http_client(Instance(secure_engine.data.parent), secure_engine.port, secure=True) as everything:
            everything.put("/other/_doc/1?refresh=true", json={"a": 1}).raise_for_status()
        yield serving_index(shop.client, "products").name


@pytest.fixture(scope="module")
def clients(settings_as: As) -> dict[str, OpenSearch]:
    return {role: connect(settings_as(role)) for role in ROLES}


def allowed(client: OpenSearch, method: str, path: str, body: Any) -> bool:
    """Whether the security plugin lets the call through; what the engine then says of it is not looked at."""
    try:
        client.transport.perform_request(method, path, body=body or None)
    except AuthorizationException:
        return False
    except TransportError as error:
        return error.status_code != 401
    return True


def test_the_table_has_forty_calls_and_more() -> None:
    assert len(CALLS) >= 40


@pytest.mark.parametrize(("number", "role"), list(enumerate(ROLES)))
def test_a_role_does_its_job_and_is_refused_everything_else(
    clients: dict[str, OpenSearch], index: str, number: int, role: str
) -> None:
    wrong = []
    for method, path, body, *wanted in CALLS:
        found = allowed(clients[role], method, path.replace("INDEX", index), body)
        if found != bool(wanted[number]):
            wrong.append(f"{method} {path} is {'allowed' if found else 'refused'}")
    assert wrong == []
