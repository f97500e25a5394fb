"""What the bulk writer takes and hands back: one write, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from prodsim.loaders.preparing.problem import shown
from prodsim.plugin.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Write:
    """One change to one product.

    `body` is one JSON object in one line: the whole document for index, the whole update object (`{"script": …}` or
    `{"doc": …}`) for update, nothing for delete. With a `version` the engine takes an index or delete only where it
    holds no higher version of the SKU; writes of equal version must be equal in content. With `seen_at`, the _seq_no
    and _primary_term at which a product was looked at, it takes it only where nobody wrote the product since.
    """

    action: Literal["index", "delete", "update"]
    sku: str
    body: bytes = b""
    version: int | None = None
    seen_at: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if b"\n" in self.body:  # would shift all that follows in the request by a line
            raise ValueError(f"the body of {self.sku} holds a line feed")
        if (self.action == "delete") == bool(self.body):
            raise ValueError(f"{self.sku}: a delete has no body, anything else has one")
        if self.action == "update" and self.version is not None:
            raise ValueError(f"{self.sku}: OpenSearch takes no external version for an update")
        if self.version is not None and self.seen_at is not None:
            raise ValueError(f"{self.sku}: a write has a version or was seen at a _seq_no, not both")


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a write.

    written: the engine holds it, or, for an update, found nothing to change (`code` noop). superseded: a higher version
    of the SKU is there. missing: an update or delete of what is not there. refused: the engine will never take it;
    `code` is its word for why and `message` one line for people.
    """

    sku: str
    status: Literal["written", "superseded", "refused", "missing"]
    code: str = ""
    message: str = ""


class UnwritableDocument(CatalogError):
    """A document that JSON can't hold. `code` is what a rejects file calls it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def index_write(document: Mapping[str, Any], version: int | None) -> Write:
    """The document, vectors as numpy float32 arrays or lists included, as a write of its SKU.

    Raises:
        UnwritableDocument: a number in it is NaN or infinite, or a value has no JSON form.
    """
    sku = document["sku"]
    try:
        body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:  # of which orjson.JSONEncodeError is one
        raise UnwritableDocument("not_json", f"{shown(sku)} can't be written as JSON: {error}") from None
    # orjson writes NaN and infinity as null: only where there is a null can there have been one
    if b"null" in body and (place := find_not_finite(document)) is not None:
        raise UnwritableDocument("not_finite", f"{shown(sku)}: {place} holds NaN or infinity, which no index can hold")
    return Write("index", sku, body, version)


def find_not_finite(value: object, place: str = "") -> str | None:
    """Where in the value the first number is that is not finite, as `field.0.field`."""
    import numpy as np

    match value:
        case float() | np.floating():
            return None if math.isfinite(value) else place
        case np.ndarray():
            return None if value.dtype.kind != "f" or np.isfinite(value).all() else place
        case Mapping():
            parts = ((str(name), part) for name, part in value.items())
        case list() | tuple():
            if all(map(math.isfinite, value)) if all(isinstance(part, float) for part in value) else False:
                return None
            parts = ((str(number), part) for number, part in enumerate(value))
        case _:
            return None
    found = (find_not_finite(part, f"{place}.{name}" if place else name) for name, part in parts)
    return next(filter(None, found), None)
