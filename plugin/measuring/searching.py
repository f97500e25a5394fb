"""Asking the engine many queries: all at once for rankings, one after the other for timings."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from prodsim.plugin.client import deepest_cause, engine_errors
from prodsim.plugin.errors import EngineError, NotFound

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

BATCH = 25
BATCH_TIMEOUT_S = 120  # of all its searches together, each with its own call of the embedder
CONCURRENT = 4  # searches of one batch at the same time: an engine that serves customers keeps its other threads


class Found(NamedTuple):
    """One hit of a ranking."""

    sku: str
    score: float


@dataclass(frozen=True)
class Ask:
    """One search: a body for `_search`, or with `template` for `_search/template`."""

    body: Mapping[str, Any]
    template: bool = True


def rankings(client: OpenSearch, index: str, asks: Mapping[str, Ask]) -> dict[str, list[Found]]:
    """The hits of each query, best first, by the keys of `asks`.

    Raises:
        NotFound: no such index. EngineError: the engine refuses a query; the message names the first one.
    """
    found: dict[str, list[Found]] = {}
    for template in (True, False):
        chosen = [(query, ask.body) for query, ask in asks.items() if ask.template is template]
        for start in range(0, len(chosen), BATCH):
            batch = chosen[start : start + BATCH]
            for (query, _), answer in zip(batch, answers(client, index, batch, template), strict=True):
                if "error" in answer:
                    raise refused(query, index, answer["error"])
                found[query] = [Found(hit["_id"], float(hit["_score"] or 0)) for hit in answer["hits"]["hits"]]
    return {query: found[query] for query in asks}


def answers(
    client: OpenSearch, index: str, batch: Sequence[tuple[str, Mapping[str, Any]]], template: bool
) -> list[dict[str, Any]]:
    body: list[Mapping[str, Any]] = []
    for _, search in batch:
        body += [{"index": index}, search]
    call = client.msearch_template if template else client.msearch
    params = {"max_concurrent_searches": CONCURRENT, "request_timeout": BATCH_TIMEOUT_S}
    with engine_errors(f"searching {index}"):
        found: list[dict[str, Any]] = call(body=body, params=params)["responses"]
    return found


def refused(query: str, index: str, error: Any) -> EngineError | NotFound:
    kind = error.get("type") if isinstance(error, dict) else ""
    if kind == "index_not_found_exception":
        return NotFound(f"there is no catalog {index}: load one with 'prodsim-admin load --alias {index}'")
    if kind == "resource_not_found_exception":
        return NotFound(f"{deepest_cause(error)}: run 'prodsim-admin setup --alias {index}'")
    return EngineError(f"searching {index} for '{query}': {deepest_cause(error) or error}")


def timed(client: OpenSearch, index: str, ask: Ask) -> float:
    """Milliseconds that one search took, as a client sees it."""
    call = client.search_template if ask.template else client.search
    with engine_errors(f"searching {index}"):
        began = time.perf_counter()
        call(index=index, body=dict(ask.body))
        return (time.perf_counter() - began) * 1000
