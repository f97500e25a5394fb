"""What can be measured: the ranking that customers get, other profiles, models and indexes, and plain baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodsim.mappings.bundle import SEARCH_TEMPLATE, SIMILAR_TEMPLATE
from prodsim.plugin.errors import EngineError, NotFound, UsageError
from prodsim.plugin.indexes import ProductIndex, product_indexes, serving_index
from prodsim.plugin.products import read_products
from prodsim.plugin.query_vector import QueryVector, query_vectors
from prodsim.plugin.ranking.stored import pooled

from .searching import Ask, Found, rankings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient
    from prodsim.plugin.ranking.profile import Profile

BM25_KINDS = ("cross_fields", "best_fields", "most_fields")
CANDIDATES = 100
INSTALLED = "installed"
HELP = (
    "installed (what customers get), profile:NAME or a profile's file, index:NAME, model:NAME, bm25 "
    "(or bm25:best_fields, bm25:most_fields), hybrid, vectors"
)
# Half and half after min-max: what the engine's documentation shows first for a hybrid query. Sent with each query, so
# that nothing has to be installed for it.
HYBRID_PIPELINE = {
    "phase_results_processors": [
        {
            "normalization-processor": {
                "normalization": {"technique": "min_max"},
                "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
            }
        }
    ]
}


@dataclass(frozen=True)
class Contender:
    """A way to rank, under the name it was asked for; `ask` makes its search for a query and a number of hits.

    `lexical` says that it knows no vectors. `through_engine` says that the engine itself calls the embedder for it.
    """

    name: str
    index: ProductIndex
    ask: Callable[[str, int], Ask]
    lexical: bool = False
    through_engine: bool = False


@dataclass
class Ring:
    """Makes contenders for one catalog, and runs them. Vectors of queries are asked for once a model."""

    client: OpenSearch
    alias: str
    embedder: EmbedderClient | None
    mode: str
    fields: Sequence[str]
    profile_sources: Callable[[str | Profile], Mapping[str, str]]
    vectors: dict[tuple[str, str], QueryVector | None] = field(default_factory=dict)
    stored: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def contender(self, spec: str, similar: bool = False) -> Contender:
        """The contender that a word of the command line stands for; `similar`: its queries are SKUs.

        Raises:
            UsageError: no such word. NotFound: no such profile, index, model, catalog.
        """
        kind, _, name = spec.partition(":")
        if kind == "index":
            return self.templates(spec, self.index_named(name), similar)
        if kind == "model":
            return self.templates(spec, self.index_of_model(name), similar)
        index = serving_index(self.client, self.alias)
        if spec == INSTALLED:
            return self.templates(spec, index, similar)
        if kind in ("bm25", "hybrid", "vectors"):
            return self.baseline(spec, index, similar)
        if kind == "profile" or spec.endswith((".yaml", ".yml")):
            return self.templates(spec, index, similar, self.profile_sources(name if kind == "profile" else spec))
        raise UsageError(f"{spec!r} is nothing to measure: name {HELP}")

    def templates(
        self, name: str, index: ProductIndex, similar: bool, sources: Mapping[str, str] | None = None
    ) -> Contender:
        """The stored templates, or those sources in their place, on an index."""
        template = SIMILAR_TEMPLATE if similar else SEARCH_TEMPLATE
        through_engine = self.mode == "engine"

        def ask(query: str, size: int) -> Ask:
            params: dict[str, Any] = {"size": size, "fields": ["sku"], "sku" if similar else "q": query}
            if not through_engine and similar:
                params |= self.stored_of(query, index)
            elif not through_engine:
                vector = self.vector_of(query, index)
                params |= vector.params if vector else {}
            return Ask({**({"source": sources[template]} if sources else {"id": template}), "params": params})

        return Contender(name, index, ask, through_engine=through_engine)

    def baseline(self, spec: str, index: ProductIndex, similar: bool) -> Contender:
        kind, _, variant = spec.partition(":")
        if variant and (kind != "bm25" or variant not in BM25_KINDS):
            raise UsageError(f"{spec!r} is nothing to measure: name {HELP}")
        if similar:
            raise UsageError(f"{spec!r} ranks for words: measure similar products with installed, profile:, index:")
        field_name = index.model.field()

        def words(query: str, of_kind: str) -> dict[str, Any]:
            return {"multi_match": {"query": query, "type": of_kind, "fields": list(self.fields)}}

        def meaning(query: str) -> dict[str, Any]:
            vector = self.vector_of(query, index)
            return {"knn": {field_name: {"vector": vector.vector, "k": CANDIDATES}}} if vector else {"match_none": {}}

        def ask(query: str, size: int) -> Ask:
            body: dict[str, Any] = {"size": size, "_source": False}
            if kind == "bm25":
                body["query"] = words(query, variant or BM25_KINDS[0])
            elif kind == "vectors":
                body["query"] = meaning(query)
            else:
                body["query"] = {"hybrid": {"queries": [words(query, "best_fields"), meaning(query)]}}
                body["search_pipeline"] = HYBRID_PIPELINE
            if kind != "hybrid":
                body["sort"] = ["_score", {"sku": {"order": "asc"}}]
            return Ask(body, template=False)

        return Contender(spec, index, ask, lexical=kind == "bm25")

    def index_named(self, name: str) -> ProductIndex:
        found = {index.name: index for index in product_indexes(self.client)}
        if name not in found:
            there = ", ".join(found) or "none"
            raise NotFound(f"there is no product index {name}: there are {there}")
        return found[name]

    def index_of_model(self, model: str) -> ProductIndex:
        """The newest finished index of the catalog whose vectors are of that model (by name, or name@revision)."""
        indexes = product_indexes(self.client, self.alias)
        found = [index for index in indexes if model in (index.model.name, index.model.stamp) and not index.unfinished]
        if not found:
            there = ", ".join(sorted({index.model.name for index in indexes})) or "none"
            raise NotFound(f"no index of {self.alias} has vectors of model {model}: there are {there}")
        return found[-1]

    def vector_of(self, query: str, index: ProductIndex) -> QueryVector | None:
        """The vector of a query's text; None where it means nothing."""
        if (index.model.stamp, query) not in self.vectors:
            self.embed([query], index)
        return self.vectors[index.model.stamp, query]

    def embed(self, queries: Sequence[str], index: ProductIndex) -> None:
        missing = [query for query in queries if (index.model.stamp, query) not in self.vectors]
        if missing:
            if self.embedder is None:
                raise EngineError(f"no embedder to ask for the vectors of {len(missing)} queries: set embedder_url")
            found = query_vectors(self.embedder, missing, index.model.name)
            self.vectors |= {(index.model.stamp, query): one for query, one in zip(missing, found, strict=True)}

    def stored_of(self, sku: str, index: ProductIndex) -> dict[str, Any]:
        """What the engine would look up of a product by itself: its vectors, group and price, as parameters."""
        if (index.name, sku) not in self.stored:
            self.read_stored([sku], index)
        return self.stored[index.name, sku]

    def read_stored(self, skus: Sequence[str], index: ProductIndex) -> None:
        missing = [sku for sku in skus if (index.name, sku) not in self.stored]
        found = read_products(self.client, index.name, missing, ["*"])
        for sku in missing:
            self.stored[index.name, sku] = pooled([found[sku]]) if sku in found else {}

    def rank(self, contender: Contender, queries: Sequence[str], size: int, similar: bool = False) -> Rankings:
        """The contender's hits for each query.

        Raises:
            EngineError: the engine's own calls of the embedder failed for some queries: what was measured is not what
                it seems.
        """
        if not contender.lexical and not contender.through_engine:
            self.read_stored(queries, contender.index) if similar else self.embed(queries, contender.index)
        asks = {query: contender.ask(query, size) for query in queries}
        found = rankings(self.client, contender.index.name, asks)
        if contender.through_engine and not similar:
            self.check_meaning(contender, asks, found)
        return found

    def check_meaning(self, contender: Contender, asks: Mapping[str, Ask], found: Rankings) -> None:
        """Asks once more with the vectors at hand: an engine that could not reach the embedder answers on words alone,
        and does not say so."""
        if self.embedder is None:
            return
        self.embed(list(asks), contender.index)
        vectors = {query: self.vectors[contender.index.model.stamp, query] for query in asks}
        again = {
            query: Ask({**ask.body, "params": {**ask.body["params"], **vector.params, "size": 3}})
            for query, ask in asks.items()
            if (vector := vectors[query])
        }
        expected = rankings(self.client, contender.index.name, again)
        fell_back = [query for query, hits in expected.items() if not same_scores(hits, found[query])]
        if fell_back:
            raise EngineError(
                f"the engine answered {len(fell_back)} of {len(asks)} queries without the embedder, such as "
                f"'{fell_back[0]}': see 'prodsim-admin doctor', or measure with --mode client"
            )


Rankings = dict[str, list[Found]]


def same_scores(expected: Sequence[Found], found: Sequence[Found]) -> bool:
    """Whether the first hits have the same scores; the engine's vectors are rounded on their way as text."""
    if len(found) < len(expected):
        return False
    return all(abs(one.score - other.score) < 1e-3 for one, other in zip(expected, found, strict=False))
