"""Large answers of the engine, parsed fast and without loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

from prodsim.loaders.bulk.bulk_request import connections_like
from prodsim.plugin.client import engine_errors

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


class Asking:
    """Connections of our own to the engine. Several threads may ask at once."""

    def __init__(self, client: OpenSearch) -> None:
        self._transport = connections_like(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transport.close()

    def ask(
        self, doing: str, method: str, path: str, body: Mapping[str, Any] | None = None, **params: str
    ) -> tuple[Any, int]:
        """(the answer, its length in characters).

        Raises:
            EngineError: as `engine_errors`.
        """
        with engine_errors(doing):
            _, _, text = self._transport.get_connection().perform_request(
                method,
                path,
                params or None,
                None if body is None else orjson.dumps(body),
                headers={"content-type": "application/json"},
            )
        return parsed(text), len(text)


def parsed(text: str) -> Any:
    """JSON; half surrogate pairs in it, which orjson refuses and the engine takes, included."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def as_line(document: Mapping[str, Any]) -> bytes:
    """A document as one line of JSON, vectors as numpy arrays included."""
    try:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # half a surrogate pair
        return json.dumps(document, default=lambda array: array.tolist()).encode()
