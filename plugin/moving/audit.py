"""Who changed what: one document a change in `.prodsim-audit`, never changed again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prodsim.plugin.client import engine_errors

from .hidden import AUDIT, make_hidden
from .record import Owner

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def note(
    client: OpenSearch, alias: str, action: str, operation: str | None = None, reason: str | None = None, **details: Any
) -> None:
    """Records that this user did `action` (a verb such as start, swap, abort, rollback, delete, force)."""
    make_hidden(client, AUDIT)
    who = Owner.this_process()
    entry = {
        "at": now(),
        "alias": alias,
        "action": action,
        "operation": operation,
        "user": who.user,
        "host": who.host,
        "pid": who.pid,
        "reason": reason,
        "details": details,
    }
    with engine_errors("writing the audit trail"):
        client.index(index=AUDIT, body=entry)


def entries(client: OpenSearch, alias: str, limit: int = 100) -> list[dict[str, Any]]:
    """What was done to the alias, newest first."""
    with engine_errors("reading the audit trail"):
        if not client.indices.exists(index=AUDIT):
            return []
        client.indices.refresh(index=AUDIT)
        answer = client.search(
            index=AUDIT,
            body={"size": limit, "query": {"term": {"alias": alias}}, "sort": [{"at": "desc"}]},
        )
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
