"""The end of a full load: products that its source no longer has leave the index."""

from __future__ import annotations

from collections.abc import Iterator

from prodsim.plugin.errors import CatalogError

from .bulk.writer import BulkWriter, Write
from .checkpoint import Checkpoint
from .target import Target, count_products, skus_untouched_since


def remove_missing(target: Target, checkpoint: Checkpoint, writer: BulkWriter, most_share: float) -> int:
    """Deletes the products that the run's source does not have, and returns how many.

    A product whose row was rejected stays, and so does one that somebody wrote after the run began: each delete names
    the _seq_no at which the product was looked at.

    Raises:
        CatalogError: they are more than `most_share` of the index; none is deleted then.
    """
    if not checkpoint.run.last_writes:  # the index was empty when the run began
        return 0
    there = count_products(target.client, target.index)
    gone = sum(len(page) for page in missing(target, checkpoint))
    if there and gone / there > most_share:
        raise CatalogError(
            f"{gone:,} of {there:,} products of {target.index} are missing from the source ({gone / there:.0%}), more "
            f"than --max-delete-share {most_share:.0%}: nothing was removed. If the source is whole, raise the share; "
            "if it is a part of the catalog, load it without --mode full"
        )
    removed = 0
    for page in missing(target, checkpoint):
        removed += sum(done.status == "written" for done in writer.write(page))
    return removed


def missing(target: Target, checkpoint: Checkpoint) -> Iterator[list[Write]]:
    since = checkpoint.run.last_writes
    for page in skus_untouched_since(target.client, target.index, since):
        seen = checkpoint.among([sku for sku, *_ in page])
        if writes := [Write("delete", sku, b"", seen_at=(at, term)) for sku, at, term in page if sku not in seen]:
            yield writes
