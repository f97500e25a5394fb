"""Products that one index holds and another does not: what was deleted there, which no search finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from prodsim.plugin.errors import EngineBusy

from .asking import Asking
from .changes import NOTHING_YET, Changed, Checkpoints, changed_since


def not_in(asking: Asking, index: str, other: str, upto: Checkpoints) -> Iterator[list[Changed]]:
    """The documents of `index`, last written not above `upto`, that `other` does not hold at this moment, in pages.

    The index is to be refreshed before. `other` is asked document by document in real time, not searched.
    """
    for page in changed_since(asking, index, dict.fromkeys(upto, NOTHING_YET), upto, contents=False):
        if not page.documents:
            continue
        there = held(asking, other, [document.sku for document in page.documents])
        if gone := [document for document in page.documents if document.sku not in there]:
            yield gone


def held(asking: Asking, index: str, skus: Sequence[str]) -> dict[str, tuple[int, int]]:
    """(_seq_no, _primary_term) of those that the index holds at this moment.

    Raises:
        EngineBusy: the engine can't tell of one.
    """
    answer, _ = asking.ask(
        f"looking products of {index} up",
        "POST",
        f"/{quote(index)}/_mget",
        {"ids": list(skus)},
        _source="false",
        realtime="true",
        filter_path="docs._id,docs.found,docs.error,docs._seq_no,docs._primary_term",
    )
    found: dict[str, tuple[int, int]] = {}
    for document in answer["docs"]:
        if "error" in document or "found" not in document:
            raise EngineBusy(f"{index} can't tell whether it holds {document['_id']}: {document.get('error')}")
        if document["found"]:
            found[document["_id"]] = document["_seq_no"], document["_primary_term"]
    return found
