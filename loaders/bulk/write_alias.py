"""The name that the bulk writer writes to: one under which the engine can't create an index.

A bulk request to an index that is gone makes the engine create it (`action.auto_create_index`), and the rest of a load
would end up in an index that nobody searches. `require_alias` prevents that, except for deletes; and an alias may have
capital letters, which an index may not. So writes go through an alias `<index>-WRITE` that is there meanwhile.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from prodsim.plugin.errors import EngineError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

SUFFIX = "-WRITE"
FENCE_SUFFIX = "-MOVE-"


def write_alias(index: str) -> str:
    return f"{index}{SUFFIX}"


def fence_alias(index: str, fence: int) -> str:
    """The name that the owner of a move with that fence number writes through (`prodsim.plugin.moving.lease`)."""
    return f"{index}{FENCE_SUFFIX}{fence}"


def is_write_alias(name: str, index: str) -> bool:
    """Whether the alias of the index is one that only prodsim's own writes go through."""
    return name == write_alias(index) or name.startswith(f"{index}{FENCE_SUFFIX}")


class WrittenThrough(Protocol):
    """A name that the bulk writer writes through: `put` before every request, `lost` where the engine has no such
    name (it may raise, which ends the writer), `remove` at the end."""

    @property
    def name(self) -> str: ...

    def put(self) -> None: ...

    def lost(self) -> None: ...

    def remove(self) -> None: ...


class CatalogMoved(EngineError):
    """The alias that an index was written for points at another one by now."""


class WriteAlias:
    """The write alias of one index, from the first `put` to `remove`.

    With `behind`, the catalog's alias, the index is written to only as long as that points at it: a move takes the
    write alias away in the call that swaps the catalog's.
    """

    def __init__(self, client: OpenSearch, index: str, behind: str | None = None) -> None:
        self.name = write_alias(index)
        self.behind = behind
        self.is_there = False
        self._client = client
        self._index = index
        self._uuid: str | None = None
        self._lock = threading.Lock()

    def put(self) -> None:
        """Makes the alias where it is not there.

        Raises:
            EngineError: the index is gone, or is another one of that name by now.
            CatalogMoved: the catalog's alias points at another index.
            TransportError: as opensearch-py does.
        """
        with self._lock:
            if self.is_there:
                return
            uuid = self._find_uuid()
            if self._uuid not in (None, uuid):
                raise EngineError(f"index {self._index} was deleted and made anew meanwhile: start the load over")
            self._client.indices.put_alias(index=self._index, name=self.name)
            self._uuid = uuid
            if self.behind is not None and self._index not in self._client.indices.get_alias(
                name=self.behind, ignore=[404]
            ):
                self._client.indices.delete_alias(index=self._index, name=self.name, ignore=[404])
                raise CatalogMoved(f"{self.behind} does not point at {self._index} any more: it was moved meanwhile")
            self.is_there = True

    def lost(self) -> None:
        """Someone removed the alias: the next `put` makes it again."""
        with self._lock:
            self.is_there = False

    def remove(self) -> None:
        """Best effort: an alias that stays is used, and removed, by the next load."""
        from opensearchpy.exceptions import OpenSearchException

        with self._lock:
            if self._uuid is None:
                return
            self.is_there = False
            with suppress(OpenSearchException):
                self._client.indices.delete_alias(index=self._index, name=self.name, ignore=[404])

    def _find_uuid(self) -> str:
        from opensearchpy.exceptions import NotFoundError

        try:
            found: dict[str, Any] = self._client.indices.get_settings(index=self._index, name="index.uuid")
        except NotFoundError:
            found = {}
        if not found:
            gone = "is gone: someone deleted it meanwhile" if self._uuid else "does not exist"
            raise EngineError(f"index {self._index} {gone}. Nothing is written to it; start the load over")
        if list(found) != [self._index]:
            raise EngineError(f"{self._index} is not an index but an alias of {', '.join(sorted(found))}")
        return str(found[self._index]["settings"]["index"]["uuid"])
