"""The bundle: every resource that prodsim puts into a cluster, as the JSON that the engine gets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

from .render import bundle_file, render_json, render_text
from .synonyms import with_synonyms
from .text import text_rule
from .vector_fields import EVERY_VECTOR, KINDS, NAME, Kind, VectorField, of_kind

PREFIX = "prodsim-"
SEARCH_TEMPLATE = "prodsim-search"
SIMILAR_TEMPLATE = "prodsim-similar"
SIMILAR_IMAGE_TEMPLATE = "prodsim-similar-image"
LIKE_TEMPLATE = "prodsim-like"
RECOMMEND_TEMPLATE = "prodsim-recommend"
SUGGEST_TEMPLATE = "prodsim-suggest"
TEMPLATE_FILES = {
    SEARCH_TEMPLATE: "search.mustache",
    SIMILAR_TEMPLATE: "similar.mustache",
    SIMILAR_IMAGE_TEMPLATE: "similar_image.mustache",
    LIKE_TEMPLATE: "like.mustache",
    RECOMMEND_TEMPLATE: "recommend.mustache",
    SUGGEST_TEMPLATE: "suggest.mustache",
}
# Named by the templates, where its text would make them too long for the engine (script.max_size_in_bytes).
FACET_SCRIPT = "prodsim-facet"
CONDITION_SCRIPT = "prodsim-condition"
SCRIPT_FILES = {FACET_SCRIPT: "facet.painless", CONDITION_SCRIPT: "condition.painless"}
# Markers are terms on fields that no index has: they match nothing, and tell the search pipeline what to fill.
SEARCH_MARKER = "prodsim_query"
LIKED_MARKER = "prodsim_liked"
DISLIKED_MARKER = "prodsim_disliked"
DECAY_MARKER = "prodsim_decay"
PHOTO_MARKER = "prodsim_photo"
# What a query by photo is told where the search pipeline has nobody to ask.
NO_PHOTOS = "nothing here looks at photos: send image_vector, or set image_model and run prodsim-admin setup"
PHOTO_TIMEOUT_S = 15  # the embedder may have to fetch it first
DISLIKED_PULL = 0.5  # what disliked products weigh, of the newest liked one
SCORED = "query.bool.must[0].function_score.query.script_score"
LEGS = f"{SCORED}.query.bool.must[0].bool.should"  # in a search the fallback comes first in them
CONTENT_WORDS = "prodsim_content_words"  # the analyzer that leaves function words out of a query
NEVER_THERE = "embedding"  # no product has such a field; what the embedder says of a query that means something
# None of them may be a parameter of a template too: mustache would take that for the direction.
SORT_FIELDS = ("price", "list_price", "rating", "rating_count", "popularity", "stock", "created_at", "updated_at")
HIDDEN_FIELDS = (*EVERY_VECTOR, "margin", "prodsim")
INGEST_BATCH_SIZE = 64
IMAGE_DIMENSION = 1280  # of the default image encoder, EfficientNet-Lite0


@dataclass(frozen=True)
class TextModel:
    """An embedding model as the index sees it: its name at the embedder, content hash, and vector length.

    `vectors` is float32, or int8 for whole numbers from -127 to 127, which are stored as bytes.
    """

    name: str
    revision: str
    dimension: int
    vectors: str = field(default="float32", compare=False)  # two kinds of vectors are two revisions

    @property
    def stamp(self) -> str:
        """What `prodsim.model` of a product says: two stamps are equal when their vectors can be compared."""
        return f"{self.name}@{self.revision}"

    @property
    def shape(self) -> str:
        """Of its vectors, as people read it."""
        return f"{self.dimension}-d" + (f" {self.vectors}" if self.vectors != "float32" else "")

    def field(self, kind: Kind = "text") -> str:
        """The k-NN field of its vectors."""
        return VectorField(kind, self.dimension, self.vectors).name


def placeholder(dimension: int) -> str:
    """A unit vector for a leg that is switched off, as short as JSON has it: a zero vector is refused under cosine."""
    return "[" + "0," * (dimension - 1) + "1]"


def index_body(
    model: TextModel,
    image_dimension: int | None = IMAGE_DIMENSION,
    knn_engine: str = "lucene",
    shards: int = 1,
    others: Sequence[str] = (),
    synonyms: Sequence[str] = (),
) -> dict[str, Any]:
    """Settings and mappings of a product index for that model, with `others` as further k-NN fields."""
    names = [model.field(), *others]
    if image_dimension and not of_kind(others, "image"):
        names.append(VectorField("image", image_dimension).name)
    return render_json(
        "index.json",
        shards=shards,
        knn_engine=knn_engine,
        vectors=[VectorField.parse(name) for name in names],
        analysis=with_synonyms(render_json("analysis.json"), synonyms),
        meta={
            "model": model.stamp,
            "dimension": model.dimension,
            "vectors": names,
            "version": version("prodsim"),
        },
    )


def vectors_of(body: Mapping[str, Any]) -> list[str]:
    """The k-NN fields of an index that is made from that body."""
    vectors: list[str] = body["mappings"]["_meta"]["prodsim"]["vectors"]
    return vectors


def index_template(alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """So that an index of this alias gets the product mapping whoever creates it."""
    return {
        "index_patterns": [f"{alias}-0*"],
        "priority": 500,
        "template": {"settings": body["settings"], "mappings": body["mappings"]},
        "_meta": {"prodsim": {"alias": alias}},
    }


def ingest_pipeline(model: TextModel, passage_model: str | None) -> dict[str, Any]:
    """The pipeline of an index for products that others write; without a passage model it only keeps the books."""
    vector = model.field()
    return render_json(
        "ingest.json",
        model=model.stamp,
        compose_script=bundle_file("compose.painless"),
        compose_params={**text_rule(), "model": model.stamp, "vector": vector},
        record_script=bundle_file("record.painless"),
        record_params={"model": model.stamp, "vector": vector},
        passage_model=passage_model,
        text_vector=vector,
        batch_size=INGEST_BATCH_SIZE,
    )


def search_pipeline(
    index: str,
    model: TextModel,
    vectors: Sequence[str],
    legs: Sequence[str],
    query_model: str,
    stored_vector_model: str,
    photo_model: str | None = None,
) -> dict[str, Any]:
    """The default search pipeline of an index: fills the vector legs that belong to the index's own fields.

    `vectors` are those fields (see `vectors_of`), `legs` all that the stored templates have legs for. Without a
    `photo_model` photos are refused.
    """
    text_vector = model.field()
    searched = [field.name for field in of_kind(legs, "text")]
    fields = {kind: field for kind in KINDS for field in of_kind(vectors, kind)}
    similar_legs = {kind: (leg(LEGS, list(legs).index(field.name)), field.name) for kind, field in fields.items()}
    return render_json(
        "search_pipeline.json",
        index=index,
        text_vector=text_vector,
        leg=leg(LEGS, searched.index(text_vector) + 1),
        similar_legs=similar_legs,
        photo_leg=similar_legs.get("image") if photo_model else None,
        photo_model=photo_model,
        photo_marker=PHOTO_MARKER,
        fallback=f"{LEGS}[0].bool.filter[0].exists.field",
        vectors={
            kind: {"field": field.name, "dimension": field.dimension, "whole": field.whole}
            for kind, field in fields.items()
        },
        scored=SCORED,
        query_model=query_model,
        stored_vector_model=stored_vector_model,
        search_marker=SEARCH_MARKER,
        liked_marker=LIKED_MARKER,
        disliked_marker=DISLIKED_MARKER,
        decay_marker=DECAY_MARKER,
    )


def leg(legs: str, place: int) -> str:
    return f"{legs}[{place}].script_score"


def leg_fields(source: str) -> list[str]:
    """The k-NN fields that a stored template has legs for, in their order."""
    return [found[1] for found in re.finditer(rf'"knn": \{{"({NAME})"', source)]


@dataclass(frozen=True)
class Credentials:
    """What the cluster sends, kept encrypted by ML Commons: the embedder's key, and who it asks itself as."""

    embedder_key: str | None = field(default=None, repr=False)
    reader_username: str | None = None
    reader_password: str | None = field(default=None, repr=False)

    def of(self, role: str) -> tuple[str, str] | None:
        """(authorization header, the secret that `${credential.key}` in it stands for)."""
        if role == "stored-vector":
            if self.reader_username is None:
                return None
            login = f"{self.reader_username}:{self.reader_password or ''}"
            return "Basic ${credential.key}", base64.b64encode(login.encode()).decode()
        return ("Bearer ${credential.key}", self.embedder_key) if self.embedder_key else None


NO_CREDENTIALS = Credentials()


def connectors(
    model: TextModel,
    embedder_url: str,
    self_url: str,
    query_timeout_s: int,
    credentials: Credentials = NO_CREDENTIALS,
    image_model: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Connector bodies by role: query, passage, stored-vector, and photo where there is an image model.

    Equal bodies have equal names.
    """
    roles = render_json(
        "connectors.json",
        model=model.name,
        embedder_url=embedder_url,
        self_url=self_url,
        query_timeout_s=query_timeout_s,
        image_model=image_model,
        photo_timeout_s=PHOTO_TIMEOUT_S,
        stored_request=render_text(
            "stored.json",
            rows_script=bundle_file("stored_rows.painless"),
            script=bundle_file("stored.painless"),
            pull=DISLIKED_PULL,
        ),
    )
    return {role: connector(role, definition, credentials.of(role)) for role, definition in roles.items()}


def connector(role: str, definition: Mapping[str, Any], secret: tuple[str, str] | None = None) -> dict[str, Any]:
    action = {
        "action_type": "predict",
        "method": "POST",
        "url": definition["url"],
        "headers": {"content-type": "application/json"},
        "request_body": definition["request_body"],
    }
    action |= {name: value for name, value in definition.items() if name.endswith("_process_function")}
    body = {
        "description": definition["description"],
        "version": 1,
        "protocol": "http",
        "parameters": definition["parameters"],
        # seconds; the engine gives up on a hung peer after read_timeout and answers lexically
        "client_config": {"max_connection": 100, "connection_timeout": 1, "read_timeout": definition["read_timeout_s"]},
        "actions": [action],
    }
    # ML Commons refuses a connector without a credential; an embedder without a key ignores this one
    credential = {"key": "none"}
    name = json.dumps(body, sort_keys=True)
    if secret is not None:
        header, value = secret
        action["headers"]["authorization"] = header
        credential = {"key": value}
        name = json.dumps(body, sort_keys=True) + fingerprint(value)
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return {"name": f"{PREFIX}{role}-{digest}", **body, "credential": credential}


@cache
def fingerprint(secret: str) -> str:
    """So much of a slow hash that a changed secret makes another connector, and too little to try secrets against."""
    return hashlib.scrypt(secret.encode(), salt=b"prodsim connector", n=2**14, r=8, p=1, dklen=2).hex()


def without_credential(connector: Mapping[str, Any]) -> dict[str, Any]:
    """A connector as it may be shown."""
    return {name: value for name, value in connector.items() if name != "credential"}
