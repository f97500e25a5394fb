"""From one index to another: products with the vectors that still fit, the rest embedded anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError

from .load import Account, Target, complete
from .writer import write_products

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

BATCH_PRODUCTS = 256


def copy_products(
    source_index: str, target: Target, progress: Callable[[Account], None] = lambda account: None
) -> Account:
    """Copies every product; a vector is taken over where model and text are the target's, and made where not.

    Raises:
        EngineError: the target refuses a product; nothing is skipped.
    """
    account = Account()
    products = stored_documents(target.client, source_index)
    while batch := list(islice(products, BATCH_PRODUCTS)):
        account.read += len(batch)
        documents, embedded = complete(batch, target, {document["sku"]: document for document in batch})
        for refusal in write_products(target.client, target.index, documents):
            raise EngineError(f"{target.index} refuses product {refusal.sku} of {source_index}: {refusal.message}")
        account.indexed += len(documents)
        account.embedded += embedded
        progress(account)
    return account


def stored_documents(client: OpenSearch, index: str) -> Iterator[dict[str, Any]]:
    """All documents as one moment's snapshot of the index, vectors included."""
    from opensearchpy import helpers

    with engine_errors(f"reading products of {index}"):
        client.indices.refresh(index=index)
        for hit in helpers.scan(client, index=index, size=BATCH_PRODUCTS, scroll="10m", preserve_order=False):
            yield {**hit["_source"], "sku": hit["_id"]}
