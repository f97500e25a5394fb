"""What reached the old index after writers had moved to the new one: carried over, and never over something newer.

At the swap the highest _seq_no of each shard of the new index is noted (`at_swap`). Until then only the sync wrote to
it; so a document at or below it is as the sync left it, and one above was written by somebody since, and wins.
A product that the new index does not hold is either new, or was deleted there since: it is written with version 0,
which the engine takes only where it knows neither a document nor a deletion of that id. For that the new index has to
remember deletions from the swap on (`index.gc_deletes`), and to have forgotten those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from prodsim.loaders.bulk.writer import Write
from prodsim.loaders.target import Target

from .asking import Asking, as_line
from .changes import Checkpoints, Page, changed_since, refresh, stands
from .documents import fitted
from .moved import Moved
from .removals import not_in
from .sync import Route, Settled, check_taken, delete_seen, settle_in_order

ONLY_WHERE_UNKNOWN = 0


class Late:
    """Rounds of carrying over. `checkpoints` is how far the old index is copied, `settled` is told after every page."""

    def __init__(self, route: Route, checkpoints: Checkpoints, at_swap: Checkpoints, settled: Settled) -> None:
        self.route = route
        self.checkpoints = dict(checkpoints)
        self.at_swap = at_swap
        self.settled = settled
        self.mapped = route.mapped_vectors()
        self.carried: dict[str, tuple[int, int]] = {}  # where our own writes are: a second late one may follow

    def round(self) -> Moved:
        """Carries over all that was written to the old index before this call and not carried over yet."""
        route = self.route
        client = route.target.client
        upto = {
            shard: stand.checkpoint
            for shard, stand in route.waiting.outlast(lambda: stands(client, route.source)).items()
        }
        if all(self.checkpoints.get(shard, -1) >= bound for shard, bound in upto.items()):
            return Moved()
        route.waiting.outlast(lambda: refresh(client, route.source))
        pages = changed_since(route.asking, route.source, self.checkpoints, upto)
        return settle_in_order(pages, self.carry, self.settle)

    def settle(self, page: Page, moved: Moved) -> None:
        self.checkpoints[page.shard] = page.upto
        self.settled(dict(self.checkpoints), moved)

    def carry(self, page: Page) -> Moved:
        if not page.documents:
            return Moved()
        route = self.route
        ready = fitted(page.documents, route.target, self.mapped, route.waiting)
        untouched = route.waiting.outlast(
            lambda: untouched_since(route.asking, route.target, self.at_swap, [one.sku for one in page.documents])
        )
        untouched |= {one.sku: self.carried[one.sku] for one in page.documents if one.sku in self.carried}
        writes = [
            Write("index", one.sku, as_line(document), seen_at=untouched[one.sku])
            if one.sku in untouched
            else Write("index", one.sku, as_line(document), version=ONLY_WHERE_UNKNOWN)
            for one, document in zip(page.documents, ready.documents, strict=True)
        ]
        outcomes = route.writer.write(writes)
        check_taken(route, outcomes)
        self.carried |= {done.sku: done.seen_at for done in outcomes if done.status == "written" and done.seen_at}
        written = sum(done.status == "written" for done in outcomes)
        return Moved(written, ready.embedded, ready.unembedded, kept=len(outcomes) - written)

    def remove_gone(self) -> Moved:
        """Deletes from the new index what is not in the old one any more and was not written since the swap."""
        route = self.route
        route.waiting.outlast(lambda: refresh(route.target.client, route.target.index))
        moved = Moved()
        for gone in not_in(route.asking, route.target.index, route.source, self.at_swap):
            moved += delete_seen(route.writer, gone)
        self.settled(dict(self.checkpoints), moved)
        return moved


def untouched_since(
    asking: Asking, target: Target, at_swap: Checkpoints, skus: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """(_seq_no, _primary_term) of those products that were not written since the swap."""
    refresh(target.client, target.index)
    found: dict[str, tuple[int, int]] = {}
    for shard, highest in at_swap.items():
        answer, _ = asking.ask(
            f"reading products of {target.index}",
            "POST",
            f"/{quote(target.index)}/_search",
            {
                "size": len(skus),
                "_source": False,
                "seq_no_primary_term": True,
                "query": {
                    "bool": {"filter": [{"ids": {"values": list(skus)}}, {"range": {"_seq_no": {"lte": highest}}}]}
                },
            },
            preference=f"_shards:{shard}|_primary",
            search_pipeline="_none",
            allow_partial_search_results="false",
        )
        found |= {hit["_id"]: (hit["_seq_no"], hit["_primary_term"]) for hit in answer["hits"]["hits"]}
    return found
