"""The HTTP API's requests and answers: OpenAI's shapes, with `input_type` and a `weight` for each vector."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from .encoder import INPUT_TYPES, Float32, InputType, ModelCard
from .served_model import WEIGHT_DIGITS, Embedded

# a text or an image, or an object that says which, or that names the parts of a product
Input = str | dict[str, str | None]
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
    """`inputs` has at least one; `names` is what an error calls each. `input_type` is passage unless told query."""

    inputs: list[Input]
    names: list[str]
    model: str | None
    input_type: InputType
    encoding_format: Format
    dimensions: int | None


def parse_embeddings_request(body: bytes, max_items: int) -> EmbeddingsRequest:
    """What a body asks for.

    Raises:
        Refused: 400 where it is not a valid request, 413 where it has too many inputs.
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
    inputs, names = parse_input(content.get("input"), max_items)
    return EmbeddingsRequest(
        inputs=inputs,
        names=names,
        model=optional_text(content, "model"),
        input_type=choice(content, "input_type", INPUT_TYPES, "passage"),
        encoding_format=choice(content, "encoding_format", FORMATS, "float"),
        dimensions=dimensions,
    )


def parse_input(value: Any, max_items: int) -> tuple[list[Input], list[str]]:
    """The inputs and their names; what they hold is looked at once their model is known."""
    if value is None:
        refuse("input", "input is missing: give a text or a list of texts")
    inputs = value if isinstance(value, list) else [value]
    if not inputs:
        refuse("input", "input is an empty list: give at least one text")
    if len(inputs) > max_items:
        message = f"input has {len(inputs)} texts, at most {max_items} go in one request"
        raise Refused(413, message, "input", "too_large")
    names = [f"input[{position}]" for position in range(len(inputs))] if inputs is value else ["input"]
    for one, name in zip(inputs, names, strict=True):
        if isinstance(one, dict):
            if not one or not all(text is None or isinstance(text, str) for text in one.values()):
                refuse(name, f"{name} must be an object of texts")
        elif not isinstance(one, str):
            hint = ": lists of token ids are not supported" if isinstance(one, int | list) else ""
            refuse(
                name, f"{name} must be a text{hint}" if inputs is value else f"{name} must be a text or a list of texts"
            )
    return inputs, names


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


def render_embeddings(model_id: str, embedded: Embedded, encoding_format: Format, vectors_of: str = "float32") -> bytes:
    """The answer's JSON. base64 holds little-endian float32, as OpenAI's does, of int8 vectors too."""
    vectors = as_int8(embedded.vectors) if vectors_of == "int8" else embedded.vectors
    rows: list[Any] = list(vectors)
    if encoding_format == "base64":
        rows = [base64.b64encode(row.tobytes()).decode() for row in vectors.astype("<f4")]
    data = [
        {"object": "embedding", "index": index, "embedding": row, "weight": weight, "found_by": found_by(weight)}
        for index, (row, weight) in enumerate(
            zip(rows, embedded.weights.astype(float).round(WEIGHT_DIGITS).tolist(), strict=True)
        )
    ]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    answer = {"object": "list", "data": data, "model": model_id, "revision": embedded.revision, "usage": usage}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def found_by(weight: float) -> str:
    """What a search pipeline writes into the clause by which one word finds a product: a field that no product has, so
    that it is off, or, for a query that means nothing to the model, one that every product has (`fallback.mustache`).
    """
    return "embedding" if weight > 0 else "sku"


def as_int8(vectors: Float32) -> NDArray[np.int8]:
    """Unit vectors as whole numbers from -127 to 127, for byte vectors of the engine: their cosines stay.

    Every row is stretched so that its largest value becomes 127: a fixed scale would leave a long vector few levels.
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    stretched: NDArray[np.int8] = np.rint(vectors / np.maximum(largest, 1e-12) * 127).astype(np.int8)
    return stretched


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
        "takes": list(card.parts or card.modalities),
        "vectors": card.vectors,
        "similarity": "cosine",
    }


def render_error(status: int, message: str, param: str | None = None, code: str | None = None) -> bytes:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
