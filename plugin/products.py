"""Reading products by SKU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .client import engine_errors

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

BATCH = 500


def read_products(
    client: OpenSearch, index: str, skus: Sequence[str], fields: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """SKU to those fields, for the SKUs that there are."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(skus), BATCH):
        with engine_errors(f"reading products of {index}"):
            answer = client.mget(
                index=index,
                body={"ids": list(skus[start : start + BATCH])},
                params={"_source_includes": ",".join(fields)},
            )
        found |= {document["_id"]: document["_source"] for document in answer["docs"] if document.get("found")}
    return found
