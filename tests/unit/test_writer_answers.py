"""What an answer of the engine means: answers here are those that 2.19.1 and 3.5.0 gave."""

from __future__ import annotations

from typing import Any

import pytest
from opensearchpy import exceptions

from prodsim.loaders.bulk.bulk_answer import Verdict, judge_answer, judge_error, judge_exception, judge_item
from prodsim.loaders.bulk.writer import Write

INDEX = Write("index", "a", b"{}", 5)
DELETE = Write("delete", "a", b"", 5)
UPDATE = Write("update", "a", b'{"doc":{}}')


def error(kind: str, reason: str = "so it is", **others: Any) -> dict[str, Any]:
    return {"type": kind, "reason": reason, **others}


def block(number: str, what: str) -> dict[str, Any]:
    return error("cluster_block_exception", f"index [p-1] blocked by: [{number}/{what}];")


FLOOD = block(
    "TOO_MANY_REQUESTS/12", "disk usage exceeded flood-stage watermark, index has read-only-allow-delete block"
)


@pytest.mark.parametrize(
    ("write", "item", "fate"),
    [
        (INDEX, {"status": 201, "result": "created"}, "written"),
        (INDEX, {"status": 200, "result": "updated"}, "written"),
        (DELETE, {"status": 200, "result": "deleted"}, "written"),
        (DELETE, {"status": 404, "result": "not_found"}, "missing"),
        (UPDATE, {"status": 200, "result": "noop"}, "written"),
        (UPDATE, {"status": 404, "error": error("document_missing_exception", "[a]: document missing")}, "missing"),
        (INDEX, {"status": 409, "error": error("version_conflict_engine_exception")}, "superseded"),
        (DELETE, {"status": 409, "error": error("version_conflict_engine_exception")}, "superseded"),
        (UPDATE, {"status": 409, "error": error("version_conflict_engine_exception")}, "again"),
        (INDEX, {"status": 400, "error": error("mapper_parsing_exception")}, "refused"),
        (INDEX, {"status": 400, "error": error("illegal_argument_exception", "Limit of total fields")}, "refused"),
        (INDEX, {"status": 400, "error": error("strict_dynamic_mapping_exception")}, "refused"),
        (INDEX, {"status": 429, "error": error("rejected_execution_exception")}, "again"),
        (INDEX, {"status": 429, "error": error("circuit_breaking_exception", durability="TRANSIENT")}, "again"),
        (INDEX, {"status": 429, "error": error("circuit_breaking_exception", durability="PERMANENT")}, "again"),
        (INDEX, {"status": 503, "error": error("unavailable_shards_exception")}, "again"),
        (INDEX, {"status": 503, "error": error("process_cluster_event_timeout_exception")}, "again"),
        (INDEX, {"status": 500, "error": error("node_closed_exception")}, "again"),
        (INDEX, {"status": 404, "error": error("shard_not_found_exception")}, "again"),
        (INDEX, {"status": 500, "error": error("null_pointer_exception")}, "again_a_few_times"),
        (INDEX, {"status": 429, "error": FLOOD}, "again"),
        (INDEX, {"status": 403, "error": FLOOD}, "again"),
        (INDEX, {"status": 403, "error": block("FORBIDDEN/5", "index read-only (api)")}, "stop"),
        (INDEX, {"status": 403, "error": block("FORBIDDEN/8", "index write (api)")}, "stop"),
        (INDEX, {"status": 503, "error": block("SERVICE_UNAVAILABLE/2", "no cluster manager")}, "again"),
        (INDEX, {"status": 400, "error": error("index_closed_exception", "closed")}, "stop"),
        (INDEX, {"status": 404, "error": error("index_not_found_exception")}, "no_alias"),
        (DELETE, {"status": 400, "error": error("invalid_index_name_exception")}, "no_alias"),
        (INDEX, {"status": 403, "error": error("security_exception", "no permissions")}, "stop"),
        (INDEX, {}, "again"),
    ],
)
def test_every_answer_to_a_write_is_settled_tried_again_or_the_end(
    write: Write, item: dict[str, Any], fate: str
) -> None:
    assert judge_item(write, item).fate == fate


def test_the_reason_of_a_refusal_is_the_innermost_cause() -> None:
    cause = error("json_e_o_f_exception", "Unexpected\n end-of-input", caused_by={"type": "x", "reason": None})
    verdict = judge_error(400, error("mapper_parsing_exception", "failed to parse", caused_by=cause), INDEX)
    assert (verdict.code, verdict.message) == ("mapper_parsing_exception", "Unexpected end-of-input")


def test_a_full_disk_is_told_from_an_engine_that_is_busy() -> None:
    assert judge_error(429, FLOOD, INDEX).trouble == "disk"
    assert judge_error(500, error("i_o_exception", "No space left on device"), INDEX).trouble == "disk"
    assert judge_error(429, error("rejected_execution_exception"), INDEX).trouble == "busy"


@pytest.mark.parametrize("answer", [None, [], "<html>", {}, {"errors": False}, {"errors": False, "items": [{}]}])
def test_an_answer_that_does_not_cover_every_write_settles_none(answer: Any) -> None:
    verdicts = judge_answer(answer, [INDEX, INDEX])
    assert [(verdict.fate, verdict.uncertain) for verdict in verdicts] == [("again", True)] * 2


@pytest.mark.parametrize(
    ("raised", "fate", "uncertain"),
    [
        (exceptions.ConnectionTimeout("TIMEOUT", "", Exception("read timed out")), "again", True),
        (exceptions.ConnectionError("N/A", "", Exception("Connection refused")), "again", True),
        (exceptions.SSLError("N/A", "", Exception("certificate verify failed")), "stop", False),
        (exceptions.SSLError("N/A", "", Exception("[SSL: WRONG_VERSION_NUMBER] wrong version number")), "stop", False),
        (exceptions.SSLError("N/A", "", Exception("EOF occurred in violation of protocol")), "again", True),
        (exceptions.TransportError(429, "busy", {"error": error("rejected_execution_exception")}), "again", False),
        (exceptions.TransportError(429, "flood", {"error": FLOOD}), "again", False),
        (exceptions.TransportError(502, "<html>", None), "again", True),
        (exceptions.TransportError(503, "", None), "again", True),
        (exceptions.TransportError(504, "", None), "again", True),
        (exceptions.TransportError(413, "", None), "smaller", False),
        (exceptions.TransportError(413, "<html>Too Large</html>", None), "smaller", False),
        (exceptions.AuthenticationException(401, "", None), "stop", False),
        (exceptions.AuthorizationException(403, "", {"error": error("security_exception")}), "stop", False),
        (exceptions.RequestError(400, "", {"error": error("action_request_validation_exception")}), "smaller", False),
        (exceptions.RequestError(400, "", {"error": error("x_content_parse_exception")}), "smaller", False),
        (
            exceptions.RequestError(400, "", {"error": error("illegal_argument_exception", "unrecognized parameter")}),
            "stop",
            False,
        ),
        (exceptions.TransportError(301, "moved", None), "stop", False),
    ],
)
def test_every_failure_of_a_request_is_tried_again_split_or_the_end(
    raised: exceptions.TransportError, fate: str, uncertain: bool
) -> None:
    verdict = judge_exception(raised)
    assert (verdict.fate, verdict.uncertain) == (fate, uncertain)
    assert isinstance(verdict, Verdict)
    assert verdict.message
    assert "\n" not in verdict.message
