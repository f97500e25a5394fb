"""The HTTP API, in OpenAI's shapes: `/v1/embeddings`, `/v1/models`, `/healthz`, `/readyz`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .batching import Overloaded
from .encoder import ModelCard
from .served_model import ServedModel
from .settings import EmbedderSettings
from .wire import Refused, describe_model, parse_embeddings_request, render_embeddings, render_error

NOT_READY_RETRY_S = 2
OVERLOADED_RETRY_S = 1

Models = Mapping[str, ServedModel]


def create_api(models: Callable[[], Models], settings: EmbedderSettings) -> FastAPI:
    """The application. `models` is called for each request: the served models by id.

    Every answer is JSON and whole, in one piece; every error is an OpenAI error object. A request that takes longer
    than `settings.request_timeout_s` or finds no loaded model is answered 503, one too many 429, with Retry-After.
    """
    api = FastAPI(title="prodsim embedder", openapi_url=None)
    ongoing = 0
    started = False

    @api.post("/v1/embeddings")
    async def embeddings(request: Request) -> Response:
        nonlocal ongoing
        if ongoing >= settings.max_ongoing_requests:
            return overloaded(f"{ongoing} requests are being answered already")
        ongoing += 1
        try:
            return await in_time(embed(request), settings.request_timeout_s)
        finally:
            ongoing -= 1

    async def embed(request: Request) -> Response:
        check_content_type(request)
        body = await read_body(request, settings.max_body_bytes)
        wanted = parse_embeddings_request(body, settings.max_items, settings.max_characters)
        model = pick_model(models(), wanted.model)
        if model.card and wanted.dimensions not in (None, model.card.dimension):
            message = f"model {model.id} has {model.card.dimension} dimensions, which can't be changed"
            raise Refused(400, message, "dimensions", "invalid_request")
        embedded = await model.embed(wanted.texts, wanted.input_type)
        return as_json(render_embeddings(model.id, embedded, wanted.encoding_format))

    @api.get("/v1/models")
    async def list_models() -> Response:
        here = [model for model in models().values() if model.was_ready or not started]
        cards = [describe_model(ready_card(model), settings.max_items) for model in here]
        return as_json(orjson.dumps({"object": "list", "data": cards}))

    @api.get("/v1/models/{name:path}")
    async def show_model(name: str) -> Response:
        card = ready_card(pick_model(models(), name))
        return as_json(orjson.dumps(describe_model(card, settings.max_items)))

    @api.get("/healthz")
    async def alive() -> Response:
        return as_json(b'{"status":"alive"}')

    @api.get("/readyz")
    async def ready() -> Response:
        nonlocal started
        here = models()
        # once all were there, one that is added may load without making the others look broken
        waiting = [model.reason for model in here.values() if model.card is None and (model.was_ready or not started)]
        if not here:
            waiting = ["no model is known yet"]
        started = started or not waiting
        if waiting:
            return unavailable("; ".join(waiting), NOT_READY_RETRY_S)
        return as_json(b'{"status":"ready"}')

    api.add_exception_handler(Exception, answer_error)
    for kind in (Refused, EmbedderError, HTTPException):
        api.add_exception_handler(kind, answer_error)
    return api


async def in_time(answer: Awaitable[Response], timeout_s: float) -> Response:
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError:
        return unavailable(f"not answered within {timeout_s:g} s: send fewer texts", OVERLOADED_RETRY_S)


def check_content_type(request: Request) -> None:
    kind, _, parameters = request.headers.get("content-type", "application/json").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if kind.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Refused(415, "the body must be application/json in UTF-8", "content-type", "unsupported_media_type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "the body must not be compressed", "content-encoding", "unsupported_media_type")


async def read_body(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    body = bytearray()
    if not declared.isdecimal() or int(declared[:20]) <= max_bytes:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                break
        else:
            return bytes(body)
    raise Refused(413, f"the body is larger than {max_bytes} bytes: send fewer texts", "input", "too_large")


def pick_model(models: Models, name: str | None) -> ServedModel:
    if name is None:
        if len(models) == 1:
            return next(iter(models.values()))
        raise Refused(400, f"name a model: {', '.join(models)}", "model", "invalid_request")
    try:
        return models[name]
    except KeyError:
        message = f"no model {name[:100]!r} here: there is {', '.join(models)}"
        raise Refused(404, message, "model", "model_not_found") from None


def ready_card(model: ServedModel) -> ModelCard:
    if model.card is None:
        raise EmbedderNotReady(model.reason)
    return model.card


async def answer_error(request: Request, error: Exception) -> Response:
    match error:
        case Refused():
            return as_json(render_error(error.status, error.message, error.param, error.code), error.status)
        case Overloaded():
            return overloaded(str(error))
        case EmbedderNotReady():
            return unavailable(str(error), NOT_READY_RETRY_S)
        case EmbedderError():
            return as_json(render_error(500, str(error), code="encoding_failed"), 500)
        case HTTPException():
            message = f"{error.detail}: {request.method} {request.url.path[:200]}"
            answer = as_json(render_error(error.status_code, message), error.status_code)
            answer.headers.update(error.headers or {})
            return answer
        case _:
            return as_json(render_error(500, "the embedder failed: its log says why", code="internal_error"), 500)


def unavailable(message: str, retry_after_s: int) -> Response:
    answer = as_json(render_error(503, message, code="unavailable"), 503)
    answer.headers["retry-after"] = str(retry_after_s)
    return answer


def overloaded(message: str) -> Response:
    answer = as_json(render_error(429, message, code="overloaded"), 429)
    answer.headers["retry-after"] = str(OVERLOADED_RETRY_S)
    return answer


def as_json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")
