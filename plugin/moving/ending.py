"""Removing what a move leaves: never an index behind an alias, never one that prodsim did not make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodsim.plugin import indexes
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError

from . import audit

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def remove_index(client: OpenSearch, alias: str, index: str, operation: str | None = None) -> bool:
    """Deletes an index of the alias's catalog with its pipelines; False where it is not there.

    The deletion goes through only as long as the alias points at another index: both are in one call.

    Raises:
        EngineError: an alias points at it, or prodsim did not make it.
    """
    from opensearchpy.exceptions import NotFoundError

    with engine_errors(f"reading index {index}"):
        found = client.indices.get(index=index, ignore=[404]).get(index)
    if found is not None:
        about = indexes.as_product_index(index, found)
        if about is None or indexes.number_of(index, alias) is None:
            raise EngineError(f"{index} was not made by prodsim for {alias}: it is not deleted")
        if about.aliases:
            raise EngineError(f"index {index} is behind alias {', '.join(sorted(about.aliases))}: it is not deleted")
        actions: list[dict[str, Any]] = [
            action
            for serving in indexes.indexes_behind(client, alias)
            for action in (
                {"remove": {"index": serving, "alias": alias, "must_exist": True}},
                {"add": {"index": serving, "alias": alias, "is_write_index": True}},
            )
        ]
        with engine_errors(f"deleting index {index}"):
            try:
                client.indices.update_aliases(body={"actions": [*actions, {"remove_index": {"index": index}}]})
            except NotFoundError:
                raise EngineError(f"{index} is not deleted: alias {alias} was moved meanwhile") from None
        audit.note(client, alias, "delete", operation, index=index)
    indexes.delete_pipelines(client, index)
    return found is not None
