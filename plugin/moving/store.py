"""Reading and changing the recorded moves, each change only where nobody changed it meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prodsim.plugin.client import engine_errors

from .audit import now
from .hidden import OPERATIONS, make_hidden
from .record import Operation, as_document, as_operation

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


@dataclass(frozen=True)
class Stored:
    """A recorded operation, and where its document stands for a compare-and-set."""

    operation: Operation
    seq_no: int
    primary_term: int


class Changed(Exception):
    """Somebody else changed the document since it was read."""


def find(client: OpenSearch, alias: str) -> Stored | None:
    """The newest move of the alias, running or ended; None where there was none."""
    with engine_errors(f"reading the state of {alias}"):
        found = client.get(index=OPERATIONS, id=alias, ignore=[404])
    if not found.get("found"):
        return None
    return Stored(as_operation(found["_source"]), found["_seq_no"], found["_primary_term"])


def every(client: OpenSearch) -> list[Operation]:
    """The newest move of each alias, by alias."""
    with engine_errors("reading the state of moves"):
        if not client.indices.exists(index=OPERATIONS):
            return []
        client.indices.refresh(index=OPERATIONS)
        answer = client.search(
            index=OPERATIONS,
            body={
                "size": 1000,
                "query": {"terms": {"kind": ["reindex", "rollout"]}},
                "sort": [{"alias": "asc"}],
            },
        )
    return [as_operation(hit["_source"]) for hit in answer["hits"]["hits"]]


def put(client: OpenSearch, operation: Operation, before: Stored | None) -> Stored:
    """Writes the operation in the place of `before`; None where there must be none.

    Raises:
        Changed: something else is there.
    """
    from opensearchpy.exceptions import ConflictError

    if before is None:
        make_hidden(client, OPERATIONS)
    operation = replace(operation, updated_at=now())
    place = (
        {"op_type": "create"}
        if before is None
        else {"if_seq_no": before.seq_no, "if_primary_term": before.primary_term}
    )
    with engine_errors(f"recording the state of {operation.alias}"):
        try:
            answer = client.index(
                index=OPERATIONS,
                id=operation.alias,
                body=as_document(operation),
                params={**place, "refresh": "false"},
            )
        except ConflictError:
            answer = None
    if answer is None:
        raise Changed(operation.alias)
    return Stored(operation, answer["_seq_no"], answer["_primary_term"])
