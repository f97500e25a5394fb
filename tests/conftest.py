"""One engine of each version and one embedder for the whole run; every test brings an alias of its own."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from prodsim.plugin.config import Settings, default_home, load_settings
from prodsim.plugin.errors import LocalEngineError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.shop import Shop

hypothesis.settings.register_profile("busy-machine", deadline=None)  # a slow example is no broken promise
hypothesis.settings.load_profile("busy-machine")

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
# For the first of several runs at once; each further one takes the ports STEP above.
ENGINE_PORT = 19260
ENGINE_3_PORT = 19261
EMBEDDER_PORT = 18960
STEP = 2
HEAP = "1g"


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_shell() -> None:
    """Settings of the person who runs the tests are none of the tests'."""
    for name in [name for name in os.environ if name.startswith("PRODSIM_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def slot() -> Iterator[int]:
    """The number of this run among those that go on at once on this machine, from 0."""
    folder = default_home() / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(10):
        with (folder / f"slot-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield number
            return
    pytest.fail("ten test runs go on at once on this machine")


@pytest.fixture(scope="session")
def home(slot: int) -> Path:
    """Engines and logs of this run, apart from those of the demo; downloads are shared with it."""
    return default_home() / "tests" / str(slot)


@pytest.fixture(scope="session")
def engine_url(home: Path, slot: int) -> Iterator[str]:
    """OpenSearch 2.19.1 with the full neural stack, empty at the start."""
    yield from run_engine(home, "2.19.1", ENGINE_PORT + STEP * slot)


@pytest.fixture(scope="session")
def engine_3_url(home: Path, slot: int) -> Iterator[str]:
    """OpenSearch 3.5.0 with k-NN only; skipped where there is no Java for it."""
    yield from run_engine(home, "3.5.0", ENGINE_3_PORT + STEP * slot)


def run_engine(home: Path, version: str, port: int) -> Iterator[str]:
    from prodsim.plugin.engine import list_engines, start_engine, stop_engine

    for left_over in list_engines(home, port):
        stop_engine(home, left_over.name, purge=True)
    try:
        engine = start_engine(home, version, port, heap=HEAP, ephemeral=True, downloads=default_home() / "downloads")
    except LocalEngineError as error:
        if "Java" in str(error) and version != "2.19.1":
            pytest.skip(f"no Java for OpenSearch {version} here: {error}")
        raise
    yield engine.url
    stop_engine(home, engine.name, purge=True)


@pytest.fixture(scope="session")
def embedder_url(home: Path, slot: int) -> Iterator[str]:
    """The embedder on Ray Serve with the packaged MiniLM."""
    from prodsim.embedder import local
    from prodsim.embedder.settings import ServerSettings

    started = local.start(home, ServerSettings(port=EMBEDDER_PORT + STEP * slot))
    yield started.running.url
    local.stop(home)


@pytest.fixture(scope="session")
def settings_for(home: Path, engine_url: str, embedder_url: str) -> Callable[..., Settings]:
    """Settings for an alias on 2.19.1; keyword arguments are further settings."""

    def make(alias: str, **others: object) -> Settings:
        return load_settings(
            **{"alias": alias, "home": home, "engine_url": engine_url, "embedder_url": embedder_url} | others
        )

    return make


@pytest.fixture
def alias() -> str:
    """A name that no other test uses."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def shop(settings_for: Callable[..., Settings], alias: str) -> Iterator[Shop]:
    """An alias of its own on 2.19.1; its indexes are gone after the test."""
    with open_shop(settings_for(alias)) as opened:
        yield opened


def open_shop(settings: Settings) -> _Shop:
    return _Shop(settings)


class _Shop:
    """A `Shop` whose indexes go away at the end."""

    def __init__(self, settings: Settings) -> None:
        from prodsim.plugin.shop import open_client

        self.settings = settings
        self.embedder = open_client(settings)

    def __enter__(self) -> Shop:
        from prodsim.plugin.client import connect
        from prodsim.plugin.shop import Shop, embedder_model

        self.client = connect(self.settings)
        return Shop(self.client, self.settings, self.embedder, embedder_model(self.embedder, self.settings))

    def __exit__(self, *exception: object) -> None:
        drop(self.client, self.settings.alias)
        self.embedder.close()


def drop(client: OpenSearch, alias: str) -> None:
    client.indices.delete(index=f"{alias}-0*", ignore=[404])


def require_shared(name: str) -> Path:
    """A file of the real catalogs, which are not part of the project; skips the test where they are not there."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{name} of the real catalogs is not at {path.parent}: this check did not run")
    return path


@pytest.fixture(scope="session")
def example(settings_for: Callable[..., Settings]) -> Iterator[Shop]:
    """The example shop, loaded once on 2.19.1. Tests read it and leave it as it is."""
    from .catalog_files import load_file

    with open_shop(settings_for("example")) as opened:
        load_file(opened, ROOT / "examples" / "products.ndjson")
        yield opened


@pytest.fixture(scope="session")
def example_3(settings_for: Callable[..., Settings], engine_3_url: str) -> Iterator[Shop]:
    """The example shop on 3.5.0, which has no ML Commons."""
    from .catalog_files import load_file

    with open_shop(settings_for("example", engine_url=engine_3_url)) as opened:
        load_file(opened, ROOT / "examples" / "products.ndjson")
        yield opened


@pytest.fixture(scope="session")
def esci(settings_for: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """ESCI-150, or a third of it (`tests.judged`), loaded once on 2.19.1; skipped where the data are not there.

    Tests read it and leave it as it is.
    """
    from .catalog_files import load_file
    from .judged import WHOLE, esci_judgments, esci_products

    judgments = esci_judgments(require_shared("esci150/judgments.json"))
    folder = tmp_path_factory.mktemp("esci")
    products = esci_products(require_shared("esci150/products.ndjson.gz"), judgments, folder)
    with open_shop(settings_for("esci150")) as opened:
        account = load_file(opened, products, ROOT / "examples" / "catalogs" / "esci150.yaml").account
        assert account.read == account.indexed == (6764 if WHOLE else 2182)
        yield opened
