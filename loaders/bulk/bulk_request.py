"""Writes as the lines of a bulk request, and sending them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from .writes import Write

if TYPE_CHECKING:
    from opensearchpy import OpenSearch
    from opensearchpy.transport import Transport

CONNECTIONS = 32  # kept open at most; made as threads need them
CONFLICT_TRIES = 3
OVERHEAD_BYTES = 96  # of a write's first line beside the SKU
PARAMETERS = {
    "pipeline": "_none",
    "require_alias": "true",
    "filter_path": "errors,items.*.status,items.*.result,items.*.error",
}
HEADERS = {"content-type": "application/x-ndjson"}


def size_bytes(write: Write) -> int:
    """About what the write takes in a request."""
    return len(write.body) + len(write.sku) + OVERHEAD_BYTES


def request_body(writes: Iterable[Write]) -> bytes:
    lines: list[bytes] = []
    for write in writes:
        lines.append(action_line(write))
        if write.body:
            lines.append(write.body)
    lines.append(b"")
    return b"\n".join(lines)


def action_line(write: Write) -> bytes:
    """What to do with which SKU.

    The version goes as `external_gte`: a write whose answer was lost is tried again, and must not be a conflict with
    itself. It does not let an older content win, because equal versions have equal contents.
    """
    about: dict[str, Any] = {"_id": write.sku}
    if write.version is not None:
        about["version"] = write.version
        about["version_type"] = "external_gte"
    if write.seen_at is not None:
        about["if_seq_no"], about["if_primary_term"] = write.seen_at
    if write.action == "update":
        about["retry_on_conflict"] = CONFLICT_TRIES
    return orjson.dumps({write.action: about})


def connections_like(client: OpenSearch) -> Transport:
    """Connections of our own with the client's settings: enough for several threads, and no retry but ours."""
    base = client.transport
    return type(base)(
        base.hosts,
        connection_class=base.connection_class,
        max_retries=0,
        pool_maxsize=CONNECTIONS,
        **base.kwargs,
    )


def parameters(*, first: bool) -> Mapping[str, str]:
    """Of a bulk request; with `first` its writes wait for no other copy of their shard."""
    return {**PARAMETERS, **({"wait_for_active_shards": "1"} if first else {})}


def post_bulk(transport: Transport, path: str, body: bytes, parameters: Mapping[str, str]) -> Any:
    """The engine's answer to a bulk request, as JSON.

    It goes around `OpenSearch.bulk`, which would parse the answer with the standard library's `json`.

    Raises:
        TransportError: as opensearch-py does.
        ValueError: the answer is not JSON.
    """
    connection = transport.get_connection()
    _, _, text = connection.perform_request("POST", path, parameters, body, headers=HEADERS)
    return orjson.loads(text)
