"""What a catalog holds of the things that a profile names."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.mappings.vector_fields import FUSED_VECTORS, IMAGE_VECTORS
from prodsim.plugin.client import engine_errors

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from .profile import Profile
    from .rules import Chosen, Pin

SIGNAL_FIELDS = ("stock", "rating", "popularity", "price", "list_price", "margin", "created_at", "updated_at")


@dataclass(frozen=True)
class CatalogFacts:
    """`counts` are products that have a field; `skus`, `categories` and `values` those of the profile's that exist."""

    text_fields: frozenset[str]
    exact_fields: frozenset[str]
    counts: dict[str, int]
    skus: frozenset[str]
    categories: frozenset[str]
    values: frozenset[tuple[str, str]]

    def nearest(self, name: str) -> str:
        found = difflib.get_close_matches(name, sorted(self.text_fields | self.exact_fields), 1)
        return f", did you mean {found[0]}?" if found else ""


def catalog_facts(client: OpenSearch, index: str, profile: Profile) -> CatalogFacts:
    """One look at the mapping and two searches."""
    with engine_errors(f"reading the fields of {index}"):
        fields = client.field_caps(index=index, fields="*")["fields"]
    text = frozenset(name for name, kinds in fields.items() if "text" in kinds)
    exact = frozenset(name for name, kinds in fields.items() if any(kind["aggregatable"] for kind in kinds.values()))
    counted = [*SIGNAL_FIELDS, *(name for name in fields if name.startswith((IMAGE_VECTORS, FUSED_VECTORS)))]
    filters: dict[str, Any] = {f"has {name}": {"exists": {"field": name}} for name in counted}
    rules: list[Pin | Chosen] = [*profile.boosts, *profile.pins, *profile.buries, *profile.hides]
    for rule in rules:
        filters |= {f"category {one}": {"term": {"category": one}} for one in rule.categories}
    valued = [
        (rule.field, value)
        for rule in (*profile.boosts, *profile.buries, *profile.hides)
        if rule.field in exact
        for value in rule.values
        if rule.field
    ]
    filters |= {f"value {field} {value}": {"term": {field: value}} for field, value in valued}
    aggs = {"found": {"filters": {"filters": filters}}}
    with engine_errors(f"counting products of {index}"):
        body = {"size": 0, "aggs": aggs}
        found = client.search(index=index, body=body, params={"search_pipeline": "_none"})
        buckets = {name: bucket["doc_count"] for name, bucket in found["aggregations"]["found"]["buckets"].items()}
        wanted = sorted({sku for rule in rules for sku in rule.skus})
        answer = client.mget(index=index, body={"ids": wanted}, params={"_source": "false"}) if wanted else {"docs": []}
    return CatalogFacts(
        text_fields=text,
        exact_fields=exact,
        counts={name: buckets[f"has {name}"] for name in counted},
        skus=frozenset(found["_id"] for found in answer["docs"] if found.get("found")),
        categories=frozenset(one for rule in rules for one in rule.categories if buckets[f"category {one}"]),
        values=frozenset((field, value) for field, value in valued if buckets[f"value {field} {value}"]),
    )
