"""`demo`: engine, embedder and the example catalog, up and searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prodsim.embedder import local as local_embedder
from prodsim.embedder.settings import port_in, server_settings
from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.loaders.request import Request
from prodsim.plugin.ranking.files import default_profile

from .client import connect, engine_errors
from .cluster import inspect_cluster
from .config import Settings
from .engine import start_engine
from .errors import EngineUnreachable, UsageError
from .loads import Outcome, load
from .query import ProductSearch, Result, as_result
from .setup import setup
from .shop import Shop, embedder_legs, embedder_model, open_client

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

Say = Callable[[str], None]

# None of their words is in the titles of the products that answer them best (examples/README.md).
SHOWN_QUERIES = (
    "something to sit on in the garden",
    "stop my bike from being stolen",
    "warm jacket for the mountains",
    "keep my coffee hot",
)


@dataclass(frozen=True)
class Shown:
    """One question of the demo with its answers: on words alone, and blended."""

    question: str
    words_only: Result | None
    blended: Result


def start(settings: Settings, say: Say) -> None:
    """Engine and embedder on this machine, side by side; what runs already is used as it is."""
    for name, url in (("engine_url", settings.engine_url), ("embedder_url", settings.embedder_url)):
        if urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise UsageError(
                f"demo starts what it needs on this machine, {name} is {url}: unset it, or use setup and load"
            )
    with ThreadPoolExecutor(2) as pool:
        engine = pool.submit(start_local_engine, settings, say)
        embedder = pool.submit(start_embedder, settings, say)
        for started in (engine, embedder):
            started.result()


def start_local_engine(settings: Settings, say: Say) -> None:
    try:
        cluster = inspect_cluster(connect(settings))
    except EngineUnreachable:
        started = start_engine(settings.home, port=urlsplit(settings.engine_url).port or 9200, say=say)
        return say(started.describe())
    say(f"OpenSearch {cluster.version} is up at {settings.engine_url}")


def start_embedder(settings: Settings, say: Say) -> None:
    server = server_settings(
        model=settings.embedder_model,
        replicas=settings.embedder_replicas,
        num_gpus=settings.embedder_num_gpus,
        port=port_in(settings.embedder_url),
    )
    with open_client(settings) as embedder:
        if embedder.ready():
            return say(f"an embedder is ready at {settings.embedder_url}")
    started = local_embedder.start(settings.home, server)
    say(f"embedder with model {started.running.model_id} ready at {started.running.url}")


def load_example(settings: Settings) -> Outcome:
    """The bundle into the engine and the example shop into the alias; what is there already stays."""
    with (
        as_file(files("prodsim.examples").joinpath("products.ndjson")) as path,
        open_client(settings) as embedder,
    ):
        shop = Shop(
            connect(settings), settings, embedder, embedder_model(embedder, settings), embedder_legs(embedder, settings)
        )
        setup(shop.client, settings, shop.model)
        request = Request([str(path)], load_catalog(None), settings.home / "demo.rejects.ndjson")
        return load(shop, request, lambda report: None, lambda line: None)


def ask(client: OpenSearch, alias: str) -> Iterator[Shown]:
    """The demo's questions and their answers."""
    shop = ProductSearch(client, alias)
    for question in SHOWN_QUERIES:
        yield Shown(question, words_only(client, alias, question), shop.search(question, size=3))
    best = shop.search(SHOWN_QUERIES[-1], size=1).hits[0]
    yield Shown(f"similar to {best.sku}, {best.product['title']}", None, shop.similar(best.sku, size=3))


def words_only(client: OpenSearch, alias: str, question: str) -> Result:
    """What the engine finds without prodsim: BM25 over the same fields with the same weights."""
    fields = default_profile().weighted_fields
    query = {"multi_match": {"query": question, "type": "cross_fields", "fields": fields}}
    order = ["_score", {"sku": {"order": "asc"}}]  # equal ones as they stand in the engine differ from load to load
    body = {"size": 3, "query": query, "sort": order, "_source": ["title", "price"]}
    with engine_errors(f"searching {alias}"):
        answer = client.search(index=alias, body=body)
    return as_result(answer, semantic=False)
