"""What a score is made of, for each query and the products that may answer it: fetched once, scored as often as wanted.

Parts are asked for with the very queries of the rendered template, one leg at a time, so that analysers, synonyms and
whatever else a leg does are the engine's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodsim.mappings.bundle import SEARCH_TEMPLATE
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError
from prodsim.plugin.indexes import ProductIndex
from prodsim.plugin.measuring.contenders import Ring
from prodsim.plugin.measuring.searching import Ask, Found, rankings
from prodsim.plugin.products import read_products
from prodsim.plugin.query_vector import QueryVector
from prodsim.plugin.ranking.profile import Profile, weighted

from .space import BONUSES, Wording, as_wording

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

Floats = NDArray[np.float64]
PART = re.compile(r"prodsim ([a-z ]+)'")
WORDS = "words"
MOST_WORDS = "most words"
SIGNAL_FIELDS = ("stock", "rating", "rating_count", "popularity", "price", "list_price", "margin")
DATES = ("created_at", "updated_at")
MOST_BY_WORDS = 150
MOST_BY_OTHERS = 150
FOUND_BY_WORDS = ("all words", "title words")  # who has them is among the first by words


@dataclass(frozen=True)
class Features:
    """Queries by candidates, padded: every array is float64 (queries, most candidates), NaN where there is nothing.

    `skus` are each query's candidates in the order that breaks ties. `words` has BM25 for each of the wordings, `most`
    the same of those that have as many of the query's words as the profile asks for, where they count for that.
    `vector_weight` (queries,) is that of each query's vector, 0 without one.
    `parts` is a leg's name to cosines for vectors (of those below 0 only the sign is right), and to 1 for the rest.
    `k_scale` is what the engine's BM25 is measured in (`bm25_scale`).
    """

    queries: Sequence[str]
    skus: Sequence[Sequence[str]]
    words: Sequence[Floats]
    most: Sequence[Floats]
    parts: Mapping[str, Floats]
    signals: Mapping[str, Floats]
    vector_weight: Floats
    k_scale: float
    now_ms: float = 0.0

    def only(self, rows: Sequence[int]) -> Features:
        """Those queries alone."""
        return replace(
            self,
            queries=[self.queries[row] for row in rows],
            skus=[self.skus[row] for row in rows],
            words=[values[rows] for values in self.words],
            most=[values[rows] for values in self.most],
            parts={name: values[rows] for name, values in self.parts.items()},
            signals={name: values[rows] for name, values in self.signals.items()},
            vector_weight=self.vector_weight[rows],
        )


@dataclass
class Legs:
    """The legs of one rendered query, by part; for those of vectors what their scores are of 1 + cosine."""

    queries: dict[str, dict[str, Any]] = field(default_factory=dict)
    scales: dict[str, int] = field(default_factory=dict)
    k: float = 1.0


def fetch(
    ring: Ring, index: ProductIndex, profile: Profile, queries: Sequence[str], wordings: Sequence[Wording]
) -> Features:
    """Asks the engine for every part of every score, for each of the wordings that the words may be matched with.

    Raises:
        EngineError: the template's parts are not the ones known here.
    """
    switched_on = profile.with_values(dict.fromkeys(BONUSES, 1.0))  # a part of weight 0 may be left out of a template
    ring.embed(queries, index)
    vectors = {query: ring.vectors[index.model.stamp, query] for query in queries}
    source = ring.profile_sources(switched_on)[SEARCH_TEMPLATE]
    legs = {query: rendered_legs(ring.client, source, query, vectors[query], index.model.field()) for query in queries}
    parts_there = dict.fromkeys(name for found in legs.values() for name in found.queries)
    names = [name for name in parts_there if name not in (WORDS, MOST_WORDS)]

    def worded(query: str, part: str, wording: Wording) -> dict[str, Any] | None:
        return reworded(legs[query].queries.get(part), profile, wording)

    own = as_wording(profile)
    by_words = ask(ring, index, {query: (worded(query, WORDS, own), []) for query in queries}, MOST_BY_WORDS)
    by_part = {
        name: ask(ring, index, {query: (found.queries.get(name), []) for query, found in legs.items()}, MOST_BY_OTHERS)
        for name in names
        if name not in FOUND_BY_WORDS
    }
    skus = [sorted({hit.sku for hits in (by_words, *by_part.values()) for hit in hits[query]}) for query in queries]
    chosen = dict(zip(queries, skus, strict=True))
    parts: dict[str, Floats] = {}
    for name in names:
        if name.endswith("vectors"):  # nearest neighbours are those of the whole catalog, not those among candidates
            scale = next(found.scales[name] for found in legs.values() if name in found.scales)
            parts[name] = scale * as_array(by_part[name], queries, skus) - 1
        else:
            plain = {query: (found.queries.get(name), chosen[query]) for query, found in legs.items()}
            parts[name] = as_array(ask(ring, index, plain, None), queries, skus)
    words: dict[str, list[Floats]] = {WORDS: [], MOST_WORDS: []}
    for wording in wordings:
        for part, found_words in words.items():
            asked = {query: (worded(query, part, wording), chosen[query]) for query in queries}
            found_words.append(as_array(ask(ring, index, asked, None), queries, skus))
    k = next((found.k for found in legs.values() if found.queries.get(WORDS)), profile.k)
    return Features(
        queries=list(queries),
        skus=skus,
        words=words[WORDS],
        most=words[MOST_WORDS],
        parts=parts,
        signals=read_signals(ring, index, queries, skus),
        vector_weight=np.array([vector.weight if (vector := vectors[query]) else 0.0 for query in queries]),
        k_scale=k / profile.k,
        now_ms=time.time() * 1000,
    )


def rendered_legs(client: OpenSearch, source: str, query: str, vector: QueryVector | None, field: str) -> Legs:
    """The template's legs as the engine runs them for that query; `field` is the one of the index's text vectors."""
    params: dict[str, Any] = {"q": query} | (vector.params if vector else {})
    with engine_errors(f"rendering the template for '{query}'"):
        rendered = client.render_search_template(body={"source": source, "params": params})["template_output"]
    found = Legs()
    for scored in innermost(rendered["query"]):
        part = PART.search(scored["script"]["source"])
        if part is None:
            raise EngineError("a leg of the template does not name its part: 'ranking tune' can't take it apart")
        if part[1].endswith("vectors") and not float(scored["script"]["params"]["on"]):  # no vector to look for
            continue
        if part[1] == WORDS:
            found.k = float(scored["script"]["params"]["k"])
        name = part[1]
        if name not in found.queries or field in scored["query"].get("knn", ()):
            found.queries[name] = scored["query"]
            found.scales |= {name: scored["script"]["params"]["of"]} if name.endswith("vectors") else {}
    return found


def innermost(value: Any) -> Iterator[dict[str, Any]]:
    """The scripted queries that hold no other: what wraps them is the signals'."""
    if isinstance(value, list):
        for inner in value:
            yield from innermost(inner)
    elif isinstance(value, dict):
        found = [leg for inner in value.values() for leg in innermost(inner)]
        scored = value.get("script_score")
        if not found and isinstance(scored, dict) and "query" in scored:
            found = [scored]
        yield from found


def ask(
    ring: Ring, index: ProductIndex, asked: Mapping[str, tuple[dict[str, Any] | None, Sequence[str]]], most: int | None
) -> dict[str, list[Found]]:
    """What each query's leg finds, at most so many; or of those SKUs alone, with their scores."""
    asks: dict[str, Ask] = {}
    for query, (leg, skus) in asked.items():
        if leg is None or (most is None and not skus):
            continue
        inner = leg if most is not None else {"bool": {"must": [leg], "filter": [{"terms": {"sku": list(skus)}}]}}
        size = most if most is not None else len(skus)
        asks[query] = Ask({"size": size, "_source": False, "query": inner}, template=False)
    return {query: [] for query in asked} | rankings(ring.client, index.name, asks)


def reworded(leg: dict[str, Any] | None, profile: Profile, wanted: Wording) -> dict[str, Any] | None:
    """The query of a part by words with another wording than the profile's, wherever it says its own."""
    if leg is None:
        return None
    after = profile.model_copy(update={"fields": dict(wanted.fields)})
    fields = {
        tuple(profile.weighted_fields): after.weighted_fields,
        tuple(weighted(profile.strong_fields)): weighted(after.strong_fields),
    }

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            changed = {key: walk(inner) for key, inner in value.items()}
            if "fields" in value and tuple(value["fields"]) in fields:
                changed |= {"fields": fields[tuple(value["fields"])], "type": wanted.type}
            return changed
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    changed: dict[str, Any] = walk(leg)
    return changed


def as_array(found: Mapping[str, Sequence[Found]], queries: Sequence[str], skus: Sequence[Sequence[str]]) -> Floats:
    values = np.full((len(queries), max(map(len, skus), default=0)), np.nan)
    for row, (query, candidates) in enumerate(zip(queries, skus, strict=True)):
        scores = {hit.sku: hit.score for hit in found[query]}
        for column, sku in enumerate(candidates):
            values[row, column] = scores.get(sku, np.nan)
    return values


def read_signals(
    ring: Ring, index: ProductIndex, queries: Sequence[str], skus: Sequence[Sequence[str]]
) -> dict[str, Floats]:
    """The fields that signals read, dates in milliseconds since 1970."""
    everything = sorted({sku for candidates in skus for sku in candidates})
    stored = read_products(ring.client, index.name, everything, [*SIGNAL_FIELDS, *DATES])
    values: dict[str, Floats] = {}
    for name in (*SIGNAL_FIELDS, *DATES):
        known = {sku: as_number(product.get(name), name in DATES) for sku, product in stored.items()}
        if any(value is not None for value in known.values()):
            found = {
                query: [Found(sku, value) for sku in candidates if (value := known.get(sku)) is not None]
                for query, candidates in zip(queries, skus, strict=True)
            }
            values[name] = as_array(found, queries, skus)
    return values


def as_number(value: Any, date: bool) -> float | None:
    if value is None:
        return None
    return float(np.datetime64(str(value).rstrip("Z"), "ms").astype(np.int64)) if date else float(value)
