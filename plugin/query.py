"""The query client: one call for a search or for similar products, over the stored templates.

    from opensearchpy import OpenSearch
    from prodsim.plugin.query import ProductSearch

    shop = ProductSearch(OpenSearch("http://127.0.0.1:9200"))
    for hit in shop.search("warm jacket", category="Clothing", size=5):
        print(hit.sku, hit.score, hit.product["title"])

Nothing here is needed to use prodsim: any OpenSearch client can send the same templates (docs/clients.md).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from prodsim.mappings.bundle import (
    LIKE_TEMPLATE,
    RECOMMEND_TEMPLATE,
    SEARCH_TEMPLATE,
    SIMILAR_IMAGE_TEMPLATE,
    SIMILAR_TEMPLATE,
    SUGGEST_TEMPLATE,
)
from prodsim.mappings.vector_fields import TEXT_VECTORS

from .client import engine_errors
from .cluster import inspect_cluster
from .errors import EmbedderError, EngineError, NotFound
from .query_vector import QueryVector, query_vectors
from .ranking.diversity import spread
from .ranking.explain import Explained, explained
from .ranking.profile import Diversify
from .ranking.store import active_profile
from .ranking.stored import pooled

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient

Vector = Sequence[float]


class Filters(TypedDict, total=False):
    """What all calls take beside their question.

    `category` and `brand` are one value or several (any of them). `sort` is a field (ascending), `{"price": "desc"}` or
    a list of either; without it the best match is first. `facets` is True for the usual ones, or a list of fields.
    `fields` names the product fields to return. `filters` are further ones, `{"field": …, "values": [...]}` each.
    `search_after` is the `sort` of the last hit of the page before; `collapse` leaves one product of each variant
    group. `weights` (not in a search) are those of text, image, fused, words, attributes,
    identifiers and price.
    """

    size: int
    offset: int
    category: str | Sequence[str]
    brand: str | Sequence[str]
    price_min: float
    price_max: float
    in_stock: bool
    sort: str | Mapping[str, str] | Sequence[str | Mapping[str, str]]
    facets: bool | Sequence[str]
    fields: Sequence[str]
    filters: Sequence[Mapping[str, Any]]
    search_after: Sequence[Any]
    collapse: bool
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Hit:
    sku: str
    score: float
    product: dict[str, Any]
    explanation: dict[str, Any] | None = None
    sort: list[Any] = field(default_factory=list)
    highlight: dict[str, list[str]] = field(default_factory=dict)

    @property
    def explained(self) -> Explained | None:
        """The parts of the score; None where no explanation was asked for."""
        return explained(self.explanation) if self.explanation else None


@dataclass(frozen=True)
class Result:
    """`total` counts all hits, not only this page; `semantic` is False where the query ran on words alone.

    In engine mode the engine decides by itself, and `semantic` is None: see the embedder's health in
    `prodsim-admin doctor`.
    """

    total: int
    hits: list[Hit]
    facets: dict[str, Any] = field(default_factory=dict)
    took_ms: int = 0
    semantic: bool | None = None
    spelling: str | None = None

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


class ProductSearch:
    """Blended search and similar products on one alias.

    Where the cluster has ML Commons it calls the embedder itself (`engine` mode). Elsewhere (`client` mode) this client
    gets the vector: from `embedder` for a search, from the index for similar products.
    """

    def __init__(self, client: OpenSearch, alias: str = "products", embedder: EmbedderClient | None = None) -> None:
        self.client = client
        self.alias = alias
        self.embedder = embedder

    @cached_property
    def mode(self) -> str:
        """`engine` or `client`, looked up once."""
        return inspect_cluster(self.client).mode

    def search(
        self,
        q: str | None = None,
        *,
        vector: Vector | None = None,
        explain: bool = False,
        highlight: bool = False,
        spelling: bool = False,
        **filters: Unpack[Filters],
    ) -> Result:
        """Products that match the words and the meaning of `q`, best first; without `q`, all that pass the filters.

        An embedder that is down costs the meaning, not the answer.

        Raises:
            NotFound: no such catalog. EngineError: the engine refuses or is not set up.
        """
        params: dict[str, Any] = {"q": q} if q else {}
        semantic: bool | None = None
        if vector is not None:
            params["vector"] = [float(number) for number in vector]
            semantic = True
        elif q and self.mode == "client":
            found = self.query_vector(q)
            params |= found.params if found else {}
            semantic = found is not None
        params |= {name: True for name, wanted in (("highlight", highlight), ("spelling", spelling)) if wanted}
        rule = self.diversity
        in_order = filters.get("sort") or filters.get("search_after")
        if rule is None or in_order or not q or filters.get("offset", 0) >= rule.window:
            return self.render(SEARCH_TEMPLATE, params, filters, semantic, explain)
        return self.diverse(params, filters, semantic, explain, rule)

    def diverse(
        self, params: dict[str, Any], filters: Filters, semantic: bool | None, explain: bool, rule: Diversify
    ) -> Result:
        """A page of the hits whose first places are spread; every page is cut from the same order."""
        start, size = filters.get("offset", 0), filters.get("size", 10)
        whole: Filters = {**filters, "offset": 0, "size": max(rule.window, start + size)}
        if fields := filters.get("fields"):
            whole["fields"] = [*fields, rule.field]
        result = self.render(SEARCH_TEMPLATE, params, whole, semantic, explain)
        best = spread(result.hits[: rule.window], lambda hit: first(hit.product.get(rule.field)), rule)
        ordered = [*best, *result.hits[rule.window :]]
        return replace(result, hits=ordered[start : start + size])

    @cached_property
    def diversity(self) -> Diversify | None:
        """What the applied profile asks for, looked up once."""
        return active_profile(self.client).diversify

    def similar(
        self, sku: str, *, vector: Vector | None = None, explain: bool = False, **filters: Unpack[Filters]
    ) -> Result:
        """Products most like `sku`, without itself and its variants; with a `vector`, most like that.

        Raises:
            NotFound: no such catalog or SKU. EngineError: the engine refuses or is not set up.
        """
        stored = self.product(sku)
        params: dict[str, Any] = {"sku": sku}
        if vector is not None:
            params["vector"] = [float(number) for number in vector]
            params["variant_group"] = [stored.get("variant_group", sku)]
        elif not any(name.startswith(TEXT_VECTORS) for name in stored):
            raise NotFound(f"{sku} in {self.alias} has no vector yet: load it again with 'prodsim-admin load'")
        elif self.mode == "client":
            params |= pooled([stored])
        return self.render(SIMILAR_TEMPLATE, params, filters, True, explain)

    def like(
        self,
        liked: Sequence[str],
        disliked: Sequence[str] = (),
        *,
        explain: bool = False,
        **filters: Unpack[Filters],
    ) -> Result:
        """Products like several and unlike others, without those and their variants. SKUs that are gone are left out.

        Raises:
            NotFound: no such catalog. EngineError: the engine refuses or is not set up.
        """
        params: dict[str, Any] = {"liked": list(liked), "disliked": list(disliked)}
        if self.mode == "client":
            params |= pooled(self.products(liked), self.products(disliked))
        return self.render(LIKE_TEMPLATE, params, filters, True, explain)

    def recommend(
        self, recent: Sequence[str], *, seen: Sequence[str] = (), explain: bool = False, **filters: Unpack[Filters]
    ) -> Result:
        """Products for a customer who looked at `recent`, the newest first; neither those nor `seen` are among them.

        Raises:
            NotFound: no such catalog. EngineError: the engine refuses or is not set up.
        """
        params: dict[str, Any] = {"skus": list(recent), "seen": list(seen)}
        if self.mode == "client":
            params |= pooled(self.products(recent), decay=active_profile(self.client).recommend.decay)
        return self.render(RECOMMEND_TEMPLATE, params, filters, True, explain)

    def similar_image(self, image_vector: Vector, *, explain: bool = False, **filters: Unpack[Filters]) -> Result:
        """Products whose picture is most like the one with that vector, which the image model of the catalog made.

        Raises:
            NotFound: no such catalog. EngineError: the engine refuses or is not set up.
        """
        params = {"image_vector": [float(number) for number in image_vector]}
        return self.render(SIMILAR_IMAGE_TEMPLATE, params, filters, True, explain)

    def similar_photo(
        self, photo: bytes | str, *, model: str | None = None, explain: bool = False, **filters: Unpack[Filters]
    ) -> Result:
        """Products whose picture is most like a photo: the content of an image file, or a URL that the embedder fetches
        if it may. `model` is the one that the catalog's pictures were embedded with (setting image_model).

        Without an embedder of its own the client leaves it to the cluster to ask one.

        Raises:
            EmbedderError: there is no such model, or it refuses the photo. NotFound: no such catalog.
            EngineError: the engine refuses or is not set up, or its embedder refuses the photo.
        """
        if self.embedder is None:
            shown = photo if isinstance(photo, str) else base64.b64encode(photo).decode()
            return self.render(SIMILAR_IMAGE_TEMPLATE, {"photo": shown}, filters, True, explain)
        vectors, _ = self.embedder.embed_images([photo], "query", model)
        return self.similar_image(vectors[0].tolist(), explain=explain, **filters)

    def suggest(self, q: str, **filters: Unpack[Filters]) -> Result:
        """Products whose title goes on as `q` does, with categories and brands as facets, and a better spelling.

        Raises:
            NotFound: no such catalog. EngineError: the engine refuses or is not set up.
        """
        return self.render(SUGGEST_TEMPLATE, {"q": q}, filters, None, False)

    def products(self, skus: Sequence[str]) -> list[dict[str, Any]]:
        """The products as they are stored, in the order asked for; those that do not exist are left out."""
        if not skus:
            return []
        with engine_errors("reading products"):
            answer = self.client.mget(index=self.alias, body={"ids": list(skus)})
        return [found["_source"] for found in answer["docs"] if found.get("found")]

    def product(self, sku: str) -> dict[str, Any]:
        """A product as it is stored, vectors and bookkeeping included.

        Raises:
            NotFound: no such catalog or SKU.
        """
        with engine_errors(f"reading product {sku}"):
            answer = self.client.get(index=self.alias, id=sku, params={"ignore": (404,)})
        if not answer.get("found"):
            missing = f"product {sku} in {self.alias}" if "error" not in answer else f"catalog {self.alias}"
            raise NotFound(f"there is no {missing}")
        stored: dict[str, Any] = answer["_source"]
        return stored

    def query_vector(self, q: str) -> QueryVector | None:
        if self.embedder is None:
            return None
        try:
            return query_vectors(self.embedder, [q])[0]
        except EmbedderError:
            return None

    def render(
        self, template: str, params: dict[str, Any], filters: Filters, semantic: bool | None, explain: bool
    ) -> Result:
        given = {name: value for name, value in filters.items() if value is not None}
        if "offset" in given:
            given["from"] = given.pop("offset")
        params |= {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        body = {"id": template, "params": params, "explain": explain}
        from opensearchpy.exceptions import NotFoundError

        with engine_errors(f"searching {self.alias}"):
            try:
                answer = self.client.search_template(index=self.alias, body=body)
            except NotFoundError as error:
                if "index_not_found" in str(error.error):
                    raise NotFound(f"there is no catalog {self.alias}: load one with 'prodsim-admin load'") from None
                raise EngineError(
                    f"template {template} is not installed: run 'prodsim-admin setup --alias {self.alias}'"
                ) from None
        return as_result(answer, semantic)


def first(value: Any) -> str | None:
    """The value, or the first of several: of a category path its root."""
    found = value[0] if isinstance(value, list) and value else value
    return found if isinstance(found, str) else None


def as_result(answer: Mapping[str, Any], semantic: bool | None) -> Result:
    hits = [
        Hit(
            hit["_id"],
            float(hit["_score"] or 0),
            hit.get("_source", {}),
            hit.get("_explanation"),
            hit.get("sort", []),
            hit.get("highlight", {}),
        )
        for hit in answer["hits"]["hits"]
    ]
    return Result(
        total=answer["hits"]["total"]["value"],
        hits=hits,
        facets=answer.get("aggregations", {}),
        took_ms=answer["took"],
        semantic=semantic,
        spelling=better_spelling(answer),
    )


def better_spelling(answer: Mapping[str, Any]) -> str | None:
    """What the engine takes the query for, where it was asked and knows better."""
    options = [option for entry in answer.get("suggest", {}).get("spelling", []) for option in entry["options"]]
    return str(options[0]["text"]) if options else None
