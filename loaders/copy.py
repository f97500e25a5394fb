"""From one index to another: products with the vectors that still fit, the rest embedded anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EmbedderError, EngineError

from .account import Account
from .bulk.writer import GIVE_UP_AFTER_S, BulkWriter, index_write
from .checkpoint import new_version
from .embedding import complete
from .load import Progress, Report
from .target import Target
from .waiting import Waiting

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

BATCH_PRODUCTS = 256

Say = Callable[[str], None]


def copy_products(
    source_index: str, target: Target, progress: Progress = lambda report: None, say: Say = lambda line: None
) -> Account:
    """Copies every product; a vector is taken over where model and text are the target's, and made where not.

    Raises:
        EngineError: the target refuses a product. EmbedderError: the embedder does; nothing is skipped.
    """
    report = Report()
    account = report.account
    progress(report)
    version = new_version()
    waiting = Waiting(GIVE_UP_AFTER_S, say)
    products = stored_documents(target.client, source_index)
    with BulkWriter(target.client, target.index, say=say, give_up_after_s=GIVE_UP_AFTER_S) as writer:
        while batch := list(islice(products, BATCH_PRODUCTS)):
            account.read += len(batch)
            known = {document["sku"]: document for document in batch}
            documents, embedded = complete(batch, target, known, waiting, version)
            writes = []
            for document in documents:
                if isinstance(document, EmbedderError):
                    raise document
                writes.append(index_write(document, version))
            for done in writer.write(writes):
                if done.status != "written":
                    raise EngineError(f"{target.index} refuses product {done.sku} of {source_index}: {done.message}")
            account.indexed += len(documents)
            account.embedded += embedded
            progress(report)
    return account


def stored_documents(client: OpenSearch, index: str) -> Iterator[dict[str, Any]]:
    """All documents as one moment's snapshot of the index, vectors included."""
    from opensearchpy import helpers

    with engine_errors(f"reading products of {index}"):
        client.indices.refresh(index=index)
        for hit in helpers.scan(client, index=index, size=BATCH_PRODUCTS, scroll="10m", preserve_order=False):
            yield {**hit["_source"], "sku": hit["_id"]}
