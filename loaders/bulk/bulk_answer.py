"""What an answer of the engine means for a write: settled, worth another try, or the end of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prodsim.plugin.client import first_line, reason, why_unreachable

from .writes import Write

if TYPE_CHECKING:
    from opensearchpy.exceptions import TransportError

Fate = Literal[
    "written",
    "superseded",
    "missing",
    "refused",
    "again",  # the same may go through later
    "again_a_few_times",  # it is not known whether it ever will
    "smaller",  # one of the request's writes, or its size, is what is refused
    "no_alias",  # the alias that is written through is not there
    "stop",
]
Trouble = Literal["", "busy", "away", "disk"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`message` is one line; `trouble` is what another try has to wait for.

    `uncertain`: the engine may have done it all the same.
    """

    fate: Fate
    code: str = ""
    message: str = ""
    trouble: Trouble = ""
    uncertain: bool = False


WRITTEN = Verdict("written")
NOT_OPENSEARCH = Verdict("again", "no_answer", "what answers is not OpenSearch", "away", uncertain=True)

# Of the blocks that the engine can be under (ClusterBlockException), this is the disk's: 429 from 2.0 on, 403 before.
DISK_BLOCK = "disk usage exceeded flood-stage watermark"
NO_SPACE = "No space left on device"
NOT_THERE = "but no document was found"  # a conflict with the _seq_no of a document that is not there any more
NO_INDEX = frozenset({"index_not_found_exception", "invalid_index_name_exception"})
WHOLE_INDEX = frozenset({"index_closed_exception", "security_exception"})
# The shard or node is on its way down or up, whatever status the engine gives that.
PASSING = frozenset(
    {
        "already_closed_exception",
        "alreadyclosed_exception",
        "circuit_breaking_exception",
        "cluster_manager_not_discovered_exception",
        "connect_transport_exception",
        "engine_creation_failure_exception",
        "illegal_index_shard_state_exception",
        "index_shard_closed_exception",
        "index_shard_not_recovering_exception",
        "index_shard_not_started_exception",
        "index_shard_recovering_exception",
        "master_not_discovered_exception",
        "no_shard_available_action_exception",
        "node_closed_exception",
        "node_disconnected_exception",
        "node_not_connected_exception",
        "not_cluster_manager_exception",
        "process_cluster_event_timeout_exception",
        "receive_timeout_transport_exception",
        "rejected_execution_exception",
        "retry_on_primary_exception",
        "send_request_transport_exception",
        "shard_not_found_exception",
        "shard_not_in_primary_mode_exception",
        "timeout_exception",
        "unavailable_shards_exception",
    }
)
# What the engine finds wrong before it looks at single writes: the request fails for the sake of one.
ONE_SPOILS_ALL = frozenset(
    {
        "action_request_validation_exception",
        "json_parse_exception",
        "named_object_not_found_exception",
        "parse_exception",
        "parsing_exception",
        "x_content_parse_exception",
    }
)


def judge_answer(answer: Any, writes: Sequence[Write]) -> list[Verdict]:
    """A verdict on each write of an answered request."""
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != len(writes):
        return [NOT_OPENSEARCH] * len(writes)
    return [judge_item(write, item.get(write.action, {})) for write, item in zip(writes, items, strict=True)]


def judge_item(write: Write, item: Mapping[str, Any]) -> Verdict:
    status, error = item.get("status", 0), item.get("error")
    if not error:
        if 200 <= status < 300:
            return WRITTEN if item.get("result") != "noop" else Verdict("written", "noop")
        return Verdict("missing") if status == 404 else NOT_OPENSEARCH
    return judge_error(status, error, write)


def judge_error(status: int, error: Mapping[str, Any], write: Write | None = None) -> Verdict:
    """What an error means, of a write or, without one, of a whole request."""
    code = str(error.get("type"))
    message = deepest_reason(error)
    if DISK_BLOCK in message or NO_SPACE in message:
        return Verdict("again", code, message, "disk", uncertain=NO_SPACE in message)
    match status, code:
        case 409, "version_conflict_engine_exception" if write is not None:
            if write.version is not None or write.seen_at is not None:
                return Verdict("superseded", code, message)
            return Verdict("again", code, message, "busy")
        case _, "document_missing_exception":
            return Verdict("missing", code, message)
        case _, "cluster_block_exception" if status not in (429, 503):
            return Verdict("stop", code, message)
        case 429, _:
            return Verdict("again", code, message, "busy")
        case _ if code in PASSING or status in (408, 502, 503, 504):
            return Verdict("again", code, message, "away", uncertain=True)
        case _ if code in NO_INDEX:
            return Verdict("no_alias", code, message)
        case _ if code in WHOLE_INDEX or status in (401, 403):
            return Verdict("stop", code, message)
        case 413, _:
            return Verdict("smaller", "too_large", "no request may be so large (HTTP 413)")
        case _ if write is None:
            spoilt = code in ONE_SPOILS_ALL or message.startswith("Malformed action/metadata line")
            return Verdict("smaller" if spoilt else "stop", code, message)
        case _ if status >= 500 or status == 404:
            return Verdict("again_a_few_times", code, message, "away", uncertain=True)
    return Verdict("refused", code, message)


def judge_exception(error: TransportError) -> Verdict:
    """What it means for a request that opensearch-py raised this."""
    from opensearchpy import exceptions

    match error:
        case exceptions.ConnectionTimeout():
            return Verdict("again", "timeout", "OpenSearch does not answer in time", "busy", uncertain=True)
        case exceptions.SSLError() if re.search("certificate|wrong.version", str(error.info), re.IGNORECASE):
            return Verdict("stop", "tls", f"TLS failed ({first_line(error.info)}); check engine_ca_file")
        case exceptions.ConnectionError():
            message = f"OpenSearch is not reachable ({why_unreachable(error)})"
            return Verdict("again", "no_connection", message, "away", uncertain=True)
        case exceptions.AuthenticationException():
            return Verdict("stop", "no_login", "OpenSearch wants a login; set engine_username and engine_password")
    status = error.status_code if isinstance(error.status_code, int) else 0
    info = error.info if isinstance(error.info, dict) else {}
    found = info.get("error")
    if isinstance(found, dict):
        return judge_error(status, found)
    return judge_error(status, {"type": f"http_{status}", "reason": reason(error)})


def deepest_reason(error: Mapping[str, Any]) -> str:
    """The innermost cause in the engine's words: that one says what is wrong."""
    found = first_line(error.get("reason") or error.get("type"))
    while isinstance(cause := error.get("caused_by"), Mapping):
        error = cause
        found = first_line(error["reason"]) if error.get("reason") else found
    return found
