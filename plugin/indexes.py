"""Product indexes and the alias in front of them.

An alias `products` points at one of `products-000001`, `products-000002`, …. Each index has pipelines of its own, named
after it and pinned to its model, so that an alias swap changes vectors and model together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.loaders.bulk.write_alias import is_write_alias
from prodsim.mappings.bundle import PREFIX, TextModel
from prodsim.mappings.vector_fields import of_kind

from .client import engine_errors
from .errors import ConfigError, EngineError, NotFound

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# What OpenSearch allows as an index name, with room for the counter and the prefix of its pipelines.
ALIAS_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,200}")


@dataclass(frozen=True)
class ProductIndex:
    """An index that prodsim made: `aliases` point at it, `model` is what its vectors were made with.

    `owner` is the load that fills it or filled it, where that can go on after an interruption. `vectors` are its k-NN
    fields.
    """

    name: str
    aliases: frozenset[str]
    model: TextModel
    settings: Mapping[str, Any]
    owner: str | None = None
    vectors: Sequence[str] = ()

    @property
    def further_vectors(self) -> list[str]:
        """The k-NN fields beside the one of its text."""
        return [name for name in self.vectors if name != self.model.field()]

    @property
    def unfinished(self) -> bool:
        """Whether it was never opened after it was made."""
        return str(self.settings.get("refresh_interval")) == NO_REFRESH


NO_REFRESH = "-1"
FILLING = {"refresh_interval": NO_REFRESH, "auto_expand_replicas": "false", "number_of_replicas": "0"}


def pipeline_name(index: str) -> str:
    return f"{PREFIX}{index}"


def check_alias_name(alias: str) -> None:
    """Raises ConfigError where the engine would refuse the alias or an index named after it."""
    if not ALIAS_NAME.fullmatch(alias):
        raise ConfigError(
            f"'{alias}' can't be an alias: use lower-case letters, digits, '_', '-' and '.', a letter or digit first"
        )


def product_indexes(client: OpenSearch, alias: str | None = None) -> list[ProductIndex]:
    """prodsim's indexes, oldest first; of one alias (and its earlier indexes), or all."""
    with engine_errors("listing indexes"):
        found = client.indices.get(
            index=f"{alias}-0*" if alias else "*",
            params={
                "allow_no_indices": "true",
                "expand_wildcards": "open",
                "filter_path": "*.aliases,*.mappings._meta,*.settings.index",
            },
        )
    indexes = [
        as_product_index(name, body)
        for name, body in found.items()
        if alias is None or number_of(name, alias) is not None
    ]
    return sorted((index for index in indexes if index), key=lambda index: index.name)


def number_of(index: str, alias: str) -> int | None:
    """The counter of an index named after the alias: 7 for products-000007."""
    found = re.fullmatch(re.escape(alias) + r"-(\d{6})", index)
    return int(found[1]) if found else None


def as_product_index(name: str, body: Mapping[str, Any]) -> ProductIndex | None:
    meta = body.get("mappings", {}).get("_meta", {}).get("prodsim") or {}
    if not meta.get("model") or not meta.get("dimension"):
        return None
    model_name, _, revision = str(meta["model"]).rpartition("@")
    vectors = tuple(meta.get("vectors") or ())
    made = next((found.vectors for found in of_kind(vectors, "text")), "float32")
    return ProductIndex(
        name=name,
        aliases=frozenset(found for found in body.get("aliases", {}) if not is_write_alias(found, name)),
        model=TextModel(model_name, revision, int(meta["dimension"]), made),
        settings=body["settings"]["index"],
        owner=meta.get("owner"),
        vectors=vectors,
    )


def indexes_behind(client: OpenSearch, alias: str) -> list[str]:
    """The names of all indexes that the alias points at, whoever made them.

    Raises:
        EngineError: the name is an index and not an alias.
    """
    from opensearchpy.exceptions import NotFoundError

    with engine_errors(f"resolving alias {alias}"):
        try:
            found = client.indices.get_alias(name=alias)
        except NotFoundError:
            found = {}
        if not found and client.indices.exists(index=alias):
            raise EngineError(f"{alias} is an index and not an alias: choose another name with --alias")
    return sorted(found)


def serving_index(client: OpenSearch, alias: str) -> ProductIndex:
    """The one index behind the alias.

    Raises:
        NotFound: no such alias.
        EngineError: it points at several indexes, or at one that prodsim did not make.
    """
    index = find_serving_index(client, alias)
    if index is None:
        raise NotFound(f"there is no catalog {alias}: load one with 'prodsim-admin load FILE --alias {alias}'")
    return index


def find_serving_index(client: OpenSearch, alias: str) -> ProductIndex | None:
    """As `serving_index`, and None where nothing has the name."""
    check_alias_name(alias)
    names = indexes_behind(client, alias)
    if not names:
        return None
    if len(names) > 1:
        raise EngineError(
            f"alias {alias} points at {len(names)} indexes ({', '.join(names)}), prodsim writes to one: "
            "remove it from the others with the _aliases API"
        )
    with engine_errors(f"reading index {names[0]}"):
        index = as_product_index(names[0], client.indices.get(index=names[0])[names[0]])
    if index is None:
        raise EngineError(
            f"alias {alias} points at {names[0]}, which prodsim did not make: choose another name with --alias"
        )
    return index


def next_index_name(client: OpenSearch, alias: str) -> str:
    """`alias-00000N`, one above the highest that exists."""
    with engine_errors("listing indexes"):
        names = client.indices.get(index=f"{alias}-0*", allow_no_indices=True, expand_wildcards="all")
    numbers = [number for name in names if (number := number_of(name, alias)) is not None]
    return f"{alias}-{max(numbers, default=0) + 1:06d}"


def create_index(client: OpenSearch, name: str, body: Mapping[str, Any], owner: str | None = None) -> None:
    """Creates an empty product index whose pipelines (`pipeline_name`) exist already, for filling in one go.

    Until `open_index` it has no replicas, which would index everything once more, and does not refresh: an index filled
    without refreshes has a few large segments instead of one a batch, and a k-NN query looks for its k neighbours in
    each segment.
    """
    settings = {**body["settings"]["index"], **FILLING}
    settings["default_pipeline"] = pipeline_name(name)
    settings["search.default_pipeline"] = pipeline_name(name)
    mappings = dict(body["mappings"])
    mappings["_meta"] = {"prodsim": {**mappings["_meta"]["prodsim"], **({"owner": owner} if owner else {})}}
    with engine_errors(f"creating index {name}"):
        client.indices.create(index=name, body={"settings": {"index": settings}, "mappings": mappings})


def open_index(client: OpenSearch, name: str, body: Mapping[str, Any]) -> None:
    """Gives a filled index the replicas and refreshes of the body that it was created from."""
    usual = {setting: body["settings"]["index"].get(setting) for setting in FILLING}
    with engine_errors(f"opening index {name}"):
        client.indices.put_settings(index=name, body={"index": usual})
        client.indices.refresh(index=name)


def delete_index(client: OpenSearch, name: str) -> None:
    """Deletes an index and its pipelines.

    Raises:
        EngineError: an alias still points at it.
    """
    with engine_errors(f"deleting index {name}"):
        aliases = [
            found for found in client.indices.get_alias(index=name)[name]["aliases"] if not is_write_alias(found, name)
        ]
    if aliases:
        raise EngineError(f"index {name} is behind alias {', '.join(sorted(aliases))}: it is not deleted")
    with engine_errors(f"deleting index {name}"):
        client.indices.delete(index=name)
    delete_pipelines(client, name)


def delete_pipelines(client: OpenSearch, name: str) -> None:
    """Of an index that is gone."""
    with engine_errors(f"deleting the pipelines of {name}"):
        client.ingest.delete_pipeline(id=pipeline_name(name), ignore=[404])
        client.transport.perform_request(
            "DELETE", f"/_search/pipeline/{pipeline_name(name)}", params={"ignore": (404,)}
        )


def swap(client: OpenSearch, alias: str, to: str, away_from: str | None = None) -> None:
    """Points the alias at `to`, and away from the other, in one call: no query sees neither or both."""
    actions: list[dict[str, Any]] = [{"add": {"index": to, "alias": alias, "is_write_index": True}}]
    if away_from:
        actions.insert(0, {"remove": {"index": away_from, "alias": alias, "must_exist": True}})
    with engine_errors(f"pointing alias {alias} at {to}"):
        client.indices.update_aliases(body={"actions": actions})
