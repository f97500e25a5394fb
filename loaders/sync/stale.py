"""Documents of one index whose vector is missing, of another model, or of another text: embedded where they are."""

from __future__ import annotations

from prodsim.loaders.bulk.writer import Write

from .asking import as_line
from .changes import Checkpoints, Page, changed_since, refresh, stands
from .documents import fits, fitted, text_of
from .moved import Moved
from .sync import Route, Settled, check_taken, settle_in_order


def mend(route: Route, after: Checkpoints, settled: Settled) -> Moved:
    """Embeds what needs it among all that was written above `after` and before this call.

    `route.source` and `route.target.index` are the same index. Each write names the _seq_no that the document was
    looked at, so one that somebody wrote meanwhile is left as it is (`kept`): its turn comes with its new _seq_no.
    `settled` is told the checkpoints after every page.
    """
    client, index = route.target.client, route.target.index
    upto = {shard: stand.checkpoint for shard, stand in route.waiting.outlast(lambda: stands(client, index)).items()}
    if all(after.get(shard, -1) >= bound for shard, bound in upto.items()):
        return Moved()
    route.waiting.outlast(lambda: refresh(client, index))
    mapped = route.mapped_vectors()
    checkpoints = dict(after)

    def settle(page: Page, moved: Moved) -> None:
        checkpoints[page.shard] = page.upto
        settled(dict(checkpoints), moved)

    def work(page: Page) -> Moved:
        stale = [one for one in page.documents if not fits(one.source, route.target, mapped)]
        if not stale:
            return Moved()
        route.throttle(len(stale))
        ready = fitted(stale, route.target, mapped, route.waiting)
        writes = [
            Write("index", one.sku, as_line(document), seen_at=one.seen_at)
            for one, document in zip(stale, ready.documents, strict=True)
            if target_has(document, route) or text_of(document) is None
        ]
        outcomes = route.writer.write(writes) if writes else []
        check_taken(route, outcomes)
        written = sum(done.status == "written" for done in outcomes)
        return Moved(written, ready.embedded, ready.unembedded, kept=len(outcomes) - written)

    return settle_in_order(changed_since(route.asking, index, after, upto), work, settle)


def target_has(document: dict[str, object], route: Route) -> bool:
    return route.target.vector in document
