"""The embedder as the rest of prodsim calls it: models, readiness, texts, images and products to vectors."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from prodsim.plugin.errors import EmbedderError

from .request_id import part_of_run
from .tracing import span
from .transport import Transport

__all__ = ["EmbedderClient", "Model", "part_of_run", "span"]

CHUNK_CHARACTERS = 1_000_000
KEY_VARIABLE = "EMBEDDER_API_KEY"
Float32 = NDArray[np.float32]
Input = str | dict[str, str | None]


@dataclass(frozen=True)
class Model:
    """A model that the embedder serves. `revision` changes whenever its vectors might.

    `takes` are text and image, or the parts of a fused model; `vectors` is float32, or int8 for whole numbers.
    """

    id: str
    dimension: int
    revision: str
    max_tokens: int
    max_items: int = 256
    takes: tuple[str, ...] = ("text",)
    vectors: str = "float32"


class EmbedderClient:
    """Calls one embedder. Use as a context manager, or call `close`.

    `timeout_s` bounds each HTTP exchange with its retries. `api_key` is the one in EMBEDDER_API_KEY, unless given.
    `ca_file` (PEM) holds certificates that an https URL is trusted by, beside those of the system; without `verify`
    any is.
    Every method raises EmbedderUnreachable where nothing answers, EmbedderNotReady where a model is still loading or
    overloaded by then, and EmbedderError where the answer is a refusal or nonsense; each is one line that names the
    embedder.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = 60.0,
        api_key: str | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
    ) -> None:
        self.url = url.rstrip("/")
        context = tls_context(self.url, ca_file, verify)
        self.transport = Transport(self.url, timeout_s, api_key or os.environ.get(KEY_VARIABLE), context)
        self.known: list[Model] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    def ready(self) -> bool:
        """Whether all its models are loaded. False, not an error, where nothing answers."""
        return self.transport.readiness() is None

    def require_ready(self) -> None:
        """Returns at once where the embedder is ready.

        Raises:
            EmbedderUnreachable, EmbedderNotReady: it is not.
        """
        problem = self.transport.readiness()
        if problem is not None:
            raise problem

    def models(self) -> list[Model]:
        """The models it serves, asked for anew."""
        answer = self.transport.call("GET", "/v1/models")
        try:
            self.known = [read_model(entry) for entry in answer["data"]]
        except (KeyError, TypeError, ValueError):
            raise EmbedderError(f"{self.url} does not answer as a prodsim embedder does: check embedder_url") from None
        return self.known

    def model(self, name: str | None = None) -> Model:
        """The named model; without a name the only one, or the only one for texts alone.

        Raises:
            EmbedderError: there is no such model, or there are several and none is named.
        """
        models = self.models()
        found = [model for model in models if name in (None, model.id)]
        if name is None and len(found) > 1:
            found = [model for model in models if model.takes == ("text",)]
        if len(found) == 1:
            return found[0]
        there = ", ".join(model.id for model in models) or "none"
        if name is None:
            raise EmbedderError(f"the embedder at {self.url} serves several models, name one: {there}")
        raise EmbedderError(f"the embedder at {self.url} does not serve model {name!r}: there is {there}")

    def embed(
        self,
        texts: Sequence[str],
        input_type: Literal["query", "passage"],
        model: str | None = None,
        fresh: bool = False,
    ) -> tuple[Float32, Float32]:
        """Vectors float32 (n, dimension), each of length 1, and weights float32 (n,).

        A weight is 0 for a text that means nothing, and below 1 for a query that the model can read in parts only.

        Long lists travel in several requests. `fresh`: encoded now, though the embedder may know their vectors.
        """
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise EmbedderError(f"text {position} is {type(text).__name__}, not a string: nothing was embedded")
        return self.embed_inputs(texts, input_type, model, fresh)

    def embed_images(
        self, images: Sequence[bytes | str], input_type: Literal["query", "passage"], model: str | None = None
    ) -> tuple[Float32, Float32]:
        """As `embed`, for the contents of image files, or URLs, which the embedder fetches if it may."""
        return self.embed_inputs([{"image": as_text(image)} for image in images], input_type, model)

    def embed_products(
        self, products: Sequence[Mapping[str, str | bytes]], input_type: Literal["query", "passage"], model: str
    ) -> tuple[Float32, Float32]:
        """As `embed`, for a fused model: mappings of its parts to texts and images, missing parts left out."""
        nothing: dict[str, str | None] = dict.fromkeys(self.cached_model(model).takes)
        inputs: list[Input] = [
            {part: as_text(content) for part, content in product.items()} or nothing for product in products
        ]
        return self.embed_inputs(
            [one or dict.fromkeys(self.cached_model(model).takes) for one in inputs], input_type, model
        )

    def embed_inputs(
        self,
        inputs: Sequence[Input],
        input_type: Literal["query", "passage"],
        model: str | None,
        fresh: bool = False,
    ) -> tuple[Float32, Float32]:
        served = self.cached_model(model)
        vectors = np.empty((len(inputs), served.dimension), dtype=np.float32)
        weights = np.empty(len(inputs), dtype=np.float32)
        for start, end in chunks(inputs, served.max_items):
            vectors[start:end], weights[start:end] = self.embed_chunk(inputs[start:end], input_type, served, fresh)
        return vectors, weights

    def cached_model(self, name: str | None) -> Model:
        for model in self.known or []:
            if name == model.id or (name is None and model.takes == ("text",) and len(self.known or []) == 1):
                return model
        return self.model(name)

    def embed_chunk(
        self, inputs: Sequence[Input], input_type: Literal["query", "passage"], model: Model, fresh: bool = False
    ) -> tuple[Float32, Float32]:
        body = {"input": list(inputs), "model": model.id, "input_type": input_type, "encoding_format": "base64"}
        try:
            content = orjson.dumps(body)
        except orjson.JSONEncodeError:
            raise EmbedderError(f"a text can't be sent to {self.url}: texts must be valid Unicode strings") from None
        answer = self.transport.call("POST", "/v1/embeddings", content, {"cache-control": "no-cache"} if fresh else {})
        try:
            return read_embeddings(answer, len(inputs), model)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise EmbedderError(f"the embedder at {self.url} gave a wrong answer: {error}") from None


def tls_context(url: str, ca_file: Path | None, verify: bool) -> ssl.SSLContext | None:
    """How an https URL is checked; None for others, which spares reading the system's certificates."""
    if not url.startswith("https"):
        return None
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise EmbedderError(
                f"embedder_ca_file {ca_file} holds no certificates: {error.strerror or error}"
            ) from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def chunks(inputs: Sequence[Input], max_items: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most max_items inputs and about CHUNK_CHARACTERS characters."""
    start = characters = 0
    for position, one in enumerate(inputs):
        length = len(one) if isinstance(one, str) else sum(len(text or "") for text in one.values())
        if position > start and (position - start == max_items or characters + length > CHUNK_CHARACTERS):
            yield start, position
            start, characters = position, 0
        characters += length
    if start < len(inputs):
        yield start, len(inputs)


def as_text(content: str | bytes) -> str:
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content


def read_model(entry: dict[str, Any]) -> Model:
    model = Model(
        id=str(entry["id"]),
        dimension=int(entry["dimension"]),
        revision=str(entry["revision"]),
        max_tokens=int(entry["max_tokens"]),
        max_items=int(entry.get("max_items", Model.max_items)),
        takes=tuple(map(str, entry.get("takes", Model.takes))),
        vectors=str(entry.get("vectors", Model.vectors)),
    )
    if model.dimension < 1 or model.max_items < 1:
        raise ValueError("a model has a dimension and takes texts")
    return model


def read_embeddings(answer: Any, count: int, model: Model) -> tuple[Float32, Float32]:
    """Vectors and weights, in order of the texts.

    Raises:
        ValueError, KeyError, TypeError: the answer is not the one to `count` texts.
    """
    data = answer["data"]
    if not isinstance(data, list) or len(data) != count:
        raise ValueError(f"{len(data)} vectors for {count} texts")
    if sorted(entry["index"] for entry in data) != list(range(count)):
        raise ValueError("its vectors are not numbered as the texts are")
    data = sorted(data, key=lambda entry: entry["index"])
    rows = [read_vector(entry["embedding"]) for entry in data]
    for row in rows:
        if row.shape != (model.dimension,):
            raise ValueError(f"a vector has {row.size} dimensions, model {model.id} has {model.dimension}")
    vectors = np.stack(rows)
    weights = np.array([float(entry["weight"]) for entry in data], dtype=np.float32)
    if not np.isfinite(vectors).all() or not np.isfinite(weights).all():
        raise ValueError("a vector has values that are not numbers")
    return vectors, weights


def read_vector(value: Any) -> Float32:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
    return np.array(value, dtype=np.float32)
