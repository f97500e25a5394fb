"""The HTTP API, in OpenAI's shapes: `/v1/embeddings`, `/v1/models`; and `/healthz`, `/readyz`, `/metrics`, `/docs`."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .batching import Overloaded
from .encoder import BadItem, ModelCard
from .flights import FRESH
from .held import Held, Room
from .items import ItemReader, refusal
from .keys import Keys
from .metrics import Metrics
from .request_id import HEADER, accepted
from .served_model import ServedModel
from .settings import EmbedderSettings
from .tracing import span, tracer
from .wire import (
    EmbeddingsRequest,
    Refused,
    describe_model,
    parse_embeddings_request,
    render_embeddings,
    render_error,
)

logger = logging.getLogger("prodsim.embedder")
if os.environ.get("PRODSIM_LOG_LEVEL", "").lower() == "debug":  # every request, from its client's id to its status
    logger.setLevel(logging.DEBUG)
    logger.addHandler(logging.StreamHandler())
REQUEST_ID_HEADER = HEADER.encode()
EMBEDDINGS = "/v1/embeddings"
NOT_READY_RETRY_S = 2
OVERLOADED_RETRY_S = 1

SLOW_S = 5.0

Models = Mapping[str, ServedModel]
Application = Callable[[Any, Any, Any], Awaitable[None]]

INPUT = {
    "oneOf": [
        {"type": "string", "description": "a text; for a model that takes images alone: base64, data: URI or URL"},
        {
            "type": "object",
            "description": "{text: …} or {image: …}; for a fused model its parts",
            "additionalProperties": {"type": ["string", "null"]},
        },
    ]
}
REQUEST_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["input"],
                "additionalProperties": False,
                "properties": {
                    "input": {"oneOf": [INPUT, {"type": "array", "items": INPUT}]},
                    "model": {"type": "string"},
                    "input_type": {"enum": ["query", "passage"], "default": "passage"},
                    "encoding_format": {"enum": ["float", "base64"], "default": "float"},
                    "dimensions": {"type": "integer", "minimum": 1},
                    "user": {"type": "string"},
                },
            }
        }
    },
}


def create_api(
    models: Callable[[], Models],
    settings: EmbedderSettings,
    metrics: Callable[[], Metrics] | None = None,
    keys: Keys | None = None,
) -> Application:
    """The application. `models` is called for each request: the served models by id.

    Every answer is JSON and whole, in one piece; every error is an OpenAI error object. A request that takes longer
    than `settings.request_timeout_s` or finds no loaded model is answered 503, one too many 429, with Retry-After.
    """
    api = FastAPI(title="prodsim embedder", version=version("prodsim"), redoc_url=None)
    own_metrics = Metrics()
    keys = keys or Keys(settings.api_keys_file)
    reader = ItemReader(settings)
    room = Room(settings.max_held_bytes)
    ongoing = 0
    started = False

    def counts() -> Metrics:
        return own_metrics if metrics is None else metrics()

    @api.post(EMBEDDINGS, openapi_extra={"requestBody": REQUEST_BODY})
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
        FRESH.set("no-cache" in request.headers.get("cache-control", ""))
        with Held(room) as held:
            body = await read_body(request, settings.max_body_bytes, held)
            return await answer(parse_embeddings_request(body, settings.max_items), held)

    async def answer(wanted: EmbeddingsRequest, held: Held) -> Response:
        model = pick_model(models(), wanted.model)
        if model.card and wanted.dimensions not in (None, model.card.dimension):
            message = f"model {model.id} has {model.card.dimension} dimensions, which can't be changed"
            raise Refused(400, message, "dimensions", "invalid_request")
        began = time.monotonic()
        items = await reader.read(wanted.inputs, wanted.names, model, held)
        try:
            embedded = await model.embed(items, wanted.input_type)
        except BadItem as bad:
            raise refusal(bad, wanted.names[bad.position]) from None
        counts().seconds.labels("encode", wanted.input_type).observe(time.monotonic() - began)
        counts().texts.labels(model.id, wanted.input_type).inc(len(items))
        vectors_of = model.card.vectors if model.card else "float32"
        return as_json(render_embeddings(model.id, embedded, wanted.encoding_format, vectors_of))

    @api.get("/v1/models")
    async def list_models() -> Response:
        here = [model for model in models().values() if model.was_ready or not started]
        cards = [describe_model(ready_card(model), settings.max_items) for model in here]
        return as_json(orjson.dumps({"object": "list", "data": cards}))

    @api.get("/v1/models/{name:path}")
    async def show_model(name: str) -> Response:
        card = ready_card(pick_model(models(), name))
        return as_json(orjson.dumps(describe_model(card, settings.max_items)))

    @api.get("/metrics")
    async def show_metrics() -> Response:
        return Response(counts().render(), media_type="text/plain; version=0.0.4")

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
        answer = as_json(b'{"status":"ready"}')
        answer.headers["x-models"] = ",".join(sorted(model.id for model in here.values() if model.card is not None))
        return answer

    api.add_exception_handler(Exception, answer_error)
    for kind in (Refused, EmbedderError, HTTPException):
        api.add_exception_handler(kind, answer_error)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == EMBEDDINGS and scope["method"] == "POST":
            await answered(embeddings, scope, receive, send)
        else:
            await api(scope, receive, send)

    return guarded(application, keys, counts)


async def answered(handle: Callable[[Request], Awaitable[Response]], scope: Any, receive: Any, send: Any) -> None:
    """The way of the one path that counts: FastAPI's own takes a millisecond more, of the few that a query takes."""
    request = Request(scope, receive)
    try:
        response = await handle(request)
    except ClientDisconnect:
        return
    except Exception as error:
        response = await answer_error(request, error)
        if not isinstance(error, Refused | EmbedderError | HTTPException):
            # where it broke: what an exception says may be a product's text
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.error("a request failed with %s\n%s", type(error).__name__, where)
    await response(scope, receive, send)


def guarded(api: Application, keys: Keys, counts: Callable[[], Metrics]) -> Application:
    """Asks for the key before anything of a request is read; counts and logs every answer, never a text."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await api(scope, receive, send)
            return
        began = time.monotonic()
        status = 0
        request_id = accepted(header(scope, REQUEST_ID_HEADER))

        async def send_counted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (REQUEST_ID_HEADER, request_id.encode())]
            await send(message)

        try:
            if not keys.admit(scope["path"], header(scope, b"authorization")):
                await unauthorized()(scope, receive, send_counted)
            elif scope["path"] == EMBEDDINGS and tracer() is not None:
                parent = {"traceparent": header(scope, b"traceparent") or ""}
                with span("embeddings", parent, request_id=request_id):
                    await api(scope, receive, send_counted)
            else:
                await api(scope, receive, send_counted)
        finally:
            seconds = time.monotonic() - began
            counts().requests.labels(str(status)).inc()
            if scope["path"] == EMBEDDINGS:
                counts().seconds.labels("request", "all").observe(seconds)
            bad = status >= 400 or seconds > SLOW_S
            level = logging.WARNING if bad else logging.DEBUG
            if logger.isEnabledFor(level) and scope["path"] not in ("/readyz", "/healthz", "/metrics"):
                line = {"method": scope["method"], "path": scope["path"][:100], "status": status, "seconds": seconds}
                logger.log(level, orjson.dumps(line | {"request_id": request_id}).decode())

    return application


def header(scope: Any, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def unauthorized() -> Response:
    message = "an API key is needed: send 'Authorization: Bearer KEY'"
    answer = as_json(render_error(401, message, code="invalid_api_key"), 401)
    answer.headers["www-authenticate"] = "Bearer"
    return answer


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


async def read_body(request: Request, max_bytes: int, held: Held) -> bytes:
    declared = request.headers.get("content-length", "0")
    body = bytearray()
    if not declared.isdecimal() or int(declared[:20]) <= max_bytes:
        async for chunk in request.stream():
            held.take(len(chunk))
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
