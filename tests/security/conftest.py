"""An engine with the security plugin, once for these tests, and a client for each of its users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prodsim.plugin.config import Settings, load_settings
from tests.conftest import ENGINE_PORT, HEAP, STEP

if TYPE_CHECKING:
    from prodsim.plugin.engine import Engine

SECURE_PORT = ENGINE_PORT + 40
As = Callable[..., Settings]


@pytest.fixture(scope="session")
def secure_engine(home: Path, slot: int) -> Iterator[Engine]:
    """OpenSearch 2.19.1 over TLS with prodsim's three users, whose roles are for the alias products."""
    from prodsim.plugin.config import default_home
    from prodsim.plugin.engine import list_engines, start_engine, stop_engine

    port = SECURE_PORT + STEP * slot
    for left_over in list_engines(home, port):
        stop_engine(home, left_over.name, purge=True)
    downloads = default_home() / "downloads"
    engine = start_engine(home, port=port, heap=HEAP, ephemeral=True, timeout_s=400, downloads=downloads, secure=True)
    yield engine
    stop_engine(home, engine.name, purge=True)


@pytest.fixture(scope="session")
def settings_as(secure_engine: Engine, home: Path, embedder_url: str) -> As:
    """Settings of one of the roles: admin, loader, reader."""

    def make(role: str, **others: object) -> Settings:
        own = secure_engine.settings
        mine = {
            "engine_username": f"prodsim_{role}",
            "engine_password_file": Path(own["engine_password_file"]).with_name(f"prodsim_{role}"),
        }
        return load_settings(**{**own, **mine, "home": home, "embedder_url": embedder_url, **others})

    return make
