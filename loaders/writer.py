"""Bulk writing with an account of every document."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from prodsim.plugin.client import engine_errors, first_line

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

MAX_BATCH_BYTES = 5 * 1024 * 1024
MAX_BATCH_DOCUMENTS = 500
ATTEMPTS = 8
LONGEST_PAUSE_S = 20.0
PASSING = {429, 502, 503, 504}  # the engine is busy or restarting: the same write may go through later


@dataclass(frozen=True)
class Refusal:
    """A document that the engine will never take, and why in its words."""

    sku: str
    code: str
    message: str


def write_products(
    client: OpenSearch,
    index: str,
    documents: Iterable[Mapping[str, Any]],
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Refusal]:
    """Indexes complete product documents by SKU, past the ingest pipeline, and yields those that the engine refuses.

    A write that fails for a passing reason is tried again with full jitter. Vectors may be numpy float32 arrays.

    Raises:
        EngineUnreachable, EngineError: the engine stayed away or busy for all attempts; what it acknowledged stays.
    """
    for batch in batches(documents):
        yield from write_batch(client, index, batch, pause)


def batches(documents: Iterable[Mapping[str, Any]]) -> Iterator[list[tuple[str, bytes]]]:
    """(SKU, its two lines of the bulk body), cut so that a request stays small enough for any engine."""
    batch: list[tuple[str, bytes]] = []
    size_bytes = 0
    for document in documents:
        sku = document["sku"]
        lines = orjson.dumps({"index": {"_id": sku}}) + b"\n"
        lines += orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
        if batch and (size_bytes + len(lines) > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_DOCUMENTS):
            yield batch
            batch, size_bytes = [], 0
        batch.append((sku, lines))
        size_bytes += len(lines)
    if batch:
        yield batch


def write_batch(
    client: OpenSearch, index: str, batch: Sequence[tuple[str, bytes]], pause: Callable[[float], None]
) -> list[Refusal]:
    refused: list[Refusal] = []
    left = list(batch)
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(random.uniform(0, min(LONGEST_PAUSE_S, 0.2 * 2**attempt)))
        last_attempt = attempt == ATTEMPTS - 1
        left, new_refusals = send(client, index, left, last_attempt)
        refused += new_refusals
        if not left:
            break
    return refused


def send(
    client: OpenSearch, index: str, batch: Sequence[tuple[str, bytes]], last_attempt: bool
) -> tuple[list[tuple[str, bytes]], list[Refusal]]:
    """One bulk request: (what is worth another try, what was refused)."""
    from opensearchpy.exceptions import ConnectionError, TransportError

    with engine_errors(f"writing to {index}"):
        try:
            answer = client.bulk(
                index=index,
                body=b"".join(lines for _, lines in batch),
                params={"pipeline": "_none", "filter_path": "errors,items.*.status,items.*.error"},
            )
        except ConnectionError:
            if last_attempt:
                raise
            return list(batch), []
        except TransportError as error:
            if last_attempt or error.status_code not in PASSING:
                raise
            return list(batch), []
    if not answer["errors"]:
        return [], []
    left: list[tuple[str, bytes]] = []
    refused: list[Refusal] = []
    for (sku, lines), item in zip(batch, answer["items"], strict=True):
        outcome = item["index"]
        if outcome["status"] < 300:
            continue
        if outcome["status"] in PASSING and not last_attempt:
            left.append((sku, lines))
        else:
            refused.append(Refusal(sku, outcome["error"]["type"], deepest_reason(outcome["error"])))
    return left, refused


def deepest_reason(error: Mapping[str, Any]) -> str:
    while isinstance(error.get("caused_by"), Mapping):
        error = error["caused_by"]
    return first_line(error.get("reason"))
