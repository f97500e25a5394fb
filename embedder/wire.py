"""The HTTP API's requests and answers: OpenAI's shapes, with `input_type` and a `weight` for each vector."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

import orjson

from .encoder import INPUT_TYPES, InputType, ModelCard
from .served_model import Embedded

Choice = TypeVar("Choice", bound=str)
Format = Literal["float", "base64"]
FORMATS: tuple[Format, ...] = ("float", "base64")
FIELDS = ("input", "model", "input_type", "encoding_format", "dimensions", "user")


class Refused(Exception):
    """A request that can't be answered, as the client will read it."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


@dataclass(frozen=True)
class EmbeddingsRequest:
    """`texts` has at least one text. `input_type` is passage unless the client says query."""

    texts: list[str]
    model: str | None
    input_type: InputType
    encoding_format: Format
    dimensions: int | None


def parse_embeddings_request(body: bytes, max_items: int, max_characters: int) -> EmbeddingsRequest:
    """What a body asks for.

    Raises:
        Refused: 400 where it is not a valid request, 413 where it has too many or too long texts.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(content, dict):
        refuse(None, "the body must be a JSON object")
    if unknown := sorted(set(content) - set(FIELDS)):
        name = unknown[0][:60]
        refuse(name, f"unknown field {name!r}: known are {', '.join(FIELDS)}")
    dimensions = content.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        refuse("dimensions", "dimensions must be a whole number above 0")
    optional_text(content, "user")
    return EmbeddingsRequest(
        texts=parse_input(content.get("input"), max_items, max_characters),
        model=optional_text(content, "model"),
        input_type=choice(content, "input_type", INPUT_TYPES, "passage"),
        encoding_format=choice(content, "encoding_format", FORMATS, "float"),
        dimensions=dimensions,
    )


def parse_input(value: Any, max_items: int, max_characters: int) -> list[str]:
    if value is None:
        refuse("input", "input is missing: give a text or a list of texts")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        refuse("input", "input must be a text or a list of texts")
    if not texts:
        refuse("input", "input is an empty list: give at least one text")
    if len(texts) > max_items:
        raise Refused(413, f"input has {len(texts)} texts, at most {max_items} go in one request", "input", "too_large")
    for position, text in enumerate(texts):
        name = "input" if texts is not value else f"input[{position}]"
        if not isinstance(text, str):
            hint = ": lists of token ids are not supported" if isinstance(text, int | list) else ""
            refuse(name, f"{name} must be a text{hint}")
        if len(text) > max_characters:
            raise Refused(
                413, f"{name} has {len(text)} characters, at most {max_characters} are read", name, "too_large"
            )
        if "\0" in text:
            refuse(name, f"{name} contains a NUL character")
    return texts


def optional_text(content: dict[str, Any], field: str) -> str | None:
    value = content.get(field)
    if value is not None and not isinstance(value, str):
        refuse(field, f"{field} must be a text")
    return value


def choice(content: dict[str, Any], field: str, values: Sequence[Choice], default: Choice) -> Choice:
    value = content.get(field)
    if value is None:
        return default
    for known in values:
        if value == known:
            return known
    refuse(field, f"{field} must be {' or '.join(values)}")


def refuse(param: str | None, message: str) -> NoReturn:
    raise Refused(400, message, param, "invalid_request")


def render_embeddings(model_id: str, embedded: Embedded, encoding_format: Format) -> bytes:
    """The answer's JSON. base64 holds little-endian float32, as OpenAI's does."""
    rows: list[Any] = list(embedded.vectors)
    if encoding_format == "base64":
        rows = [base64.b64encode(row.tobytes()).decode() for row in embedded.vectors.astype("<f4")]
    data = [
        {"object": "embedding", "index": index, "embedding": row, "weight": weight}
        for index, (row, weight) in enumerate(zip(rows, embedded.weights.tolist(), strict=True))
    ]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    answer = {"object": "list", "data": data, "model": model_id, "revision": embedded.revision, "usage": usage}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def describe_model(card: ModelCard, max_items: int) -> dict[str, Any]:
    return {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "owned_by": "prodsim",
        "dimension": card.dimension,
        "max_tokens": card.max_tokens,
        "max_items": max_items,
        "revision": card.revision,
        "backend": card.backend,
        "similarity": "cosine",
    }


def render_error(status: int, message: str, param: str | None = None, code: str | None = None) -> bytes:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
