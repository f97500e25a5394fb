"""The embedder goes away or hangs, and searches go on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opensearchpy import OpenSearch

from prodsim.plugin.config import Settings
from prodsim.plugin.doctor import doctor
from tests.catalog_files import load_file
from tests.conftest import ROOT, open_shop
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

READ_TIMEOUT_S = 2
QUERY = {"q": "warm jacket", "category": "Outdoor clothing", "facets": True, "size": 5}


@pytest.fixture(scope="module")
def proxy(embedder_url: str) -> Iterator[TcpProxy]:
    with TcpProxy(embedder_url) as running:
        yield running


@pytest.fixture(scope="module")
def proxied(settings_for: Callable[..., Settings], proxy: TcpProxy) -> Iterator[Shop]:
    """The example shop on an engine that reaches the embedder only through the proxy."""
    settings = settings_for("proxied", embedder_url_from_engine=proxy.url, query_timeout_s=READ_TIMEOUT_S)
    with open_shop(settings) as opened:
        load_file(opened, ROOT / "examples" / "products.ndjson")
        yield opened


@pytest.fixture(autouse=True)
def well_again(proxy: TcpProxy) -> Iterator[None]:
    proxy.mode = "pass"
    yield
    proxy.mode = "pass"


def ask(engine_url: str, params: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """What a client without any import of prodsim gets, and the seconds it waited."""
    client = OpenSearch(engine_url, timeout=30)
    began = time.perf_counter()
    answer = client.search_template(index="proxied", body={"id": "prodsim-search", "params": params})
    return answer, time.perf_counter() - began


def skus(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def test_with_the_embedder_gone_the_same_query_is_answered_on_words_with_filters_and_facets(
    proxied: Shop, proxy: TcpProxy, engine_url: str
) -> None:
    blended, _ = ask(engine_url, QUERY)
    proxy.mode = "refuse"
    answers = [ask(engine_url, QUERY) for _ in range(10)]
    words, _ = answers[-1]
    assert words["timed_out"] is False
    assert words["_shards"]["failed"] == 0
    assert skus(words)
    assert words["hits"]["hits"][0]["_score"] < blended["hits"]["hits"][0]["_score"]
    assert all("Outdoor clothing" in hit["_source"]["category"] for hit in words["hits"]["hits"])
    assert words["aggregations"]["products"]["doc_count"] == words["hits"]["total"]["value"]
    assert statistics.median(waited for _, waited in answers) < 0.5
    proxy.mode = "pass"
    again, _ = ask(engine_url, QUERY)
    assert skus(again) == skus(blended)


def test_with_the_embedder_hung_a_query_waits_for_the_read_timeout_and_no_longer(
    proxied: Shop, proxy: TcpProxy, engine_url: str
) -> None:
    ask(engine_url, QUERY)
    proxy.mode = "hang"
    for _ in range(3):
        answer, waited = ask(engine_url, QUERY)
        assert skus(answer)
        assert waited <= READ_TIMEOUT_S + 0.5


def test_with_the_embedder_hung_many_queries_at_once_are_all_answered(
    proxied: Shop, proxy: TcpProxy, engine_url: str
) -> None:
    proxy.mode = "hang"
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda number: ask(engine_url, {**QUERY, "q": f"jacket {number}"}), range(32)))
    assert all(skus(answer) for answer, _ in answers)
    assert max(waited for _, waited in answers) <= READ_TIMEOUT_S + 2


def test_similar_products_need_no_embedder(proxied: Shop, proxy: TcpProxy) -> None:
    body = {"id": "prodsim-similar", "params": {"sku": "FLAS-01-1", "size": 5}}
    before = proxied.client.search_template(index="proxied", body=body)
    proxy.mode = "refuse"
    assert skus(proxied.client.search_template(index="proxied", body=body)) == skus(before)
    assert len(skus(before)) == 5


def test_doctor_sees_that_the_engine_does_not_reach_the_embedder(proxied: Shop, proxy: TcpProxy) -> None:
    proxy.mode = "refuse"
    for number in range(3):
        ask(proxied.settings.engine_url, {"q": f"shoe {number}"})
    findings = doctor(proxied.client, proxied.settings, proxied.embedder)
    assert any(finding.check == "query path" and finding.state == "fail" for finding in findings)
    assert [finding.state for finding in findings if finding.check == "embedder"] == ["ok"]


def test_failing_calls_do_not_fill_the_log_of_the_engine(proxied: Shop, proxy: TcpProxy, home: Any) -> None:
    """Each failed call wrote some 18 KB of stack traces before setup quieted the loggers."""
    from prodsim.plugin.engine import list_engines

    [engine] = [found for found in list_engines(home) if found.url == proxied.settings.engine_url]
    log = open(engine.log_file, "rb")  # noqa: SIM115  read twice, below
    with log:
        log.seek(0, 2)
        proxy.mode = "refuse"
        for number in range(20):
            ask(proxied.settings.engine_url, {"q": f"boots {number}"})
        time.sleep(0.5)
        written = log.read()
    assert len(written) < 20 * 1000, written[-3000:].decode()
