"""HTTP to the embedder: which failures are tried again, and what the others are called."""

from __future__ import annotations

import itertools
import logging
import math
import random
import ssl
import time
from collections.abc import Mapping
from typing import Any

import orjson
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as TimedOut

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady, EmbedderUnreachable

from .request_id import HEADER, request_id
from .tracing import outgoing_headers

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
TRIES_AFTER_500 = 3
BUSY = {429, 502, 503, 504}
CONNECTIONS = 64  # kept open at most; more that are under way at once are closed after their answer
log = logging.getLogger("prodsim.embedder.client")
START_HINT = "start it with 'prodsim-admin embedder up' or set embedder_url"


class Transport:
    """Exchanges JSON with one embedder. Proxies in the environment are not used: an embedder is a neighbour."""

    def __init__(
        self, url: str, timeout_s: float, api_key: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.answered = False
        self.headers = {"content-type": "application/json"}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable()):
                raise EmbedderError("the embedder's API key has characters that HTTP can't carry: look for a line end")
            self.headers["authorization"] = f"Bearer {api_key}"
        self.pool, self.prefix = open_pool(url, tls)

    def close(self) -> None:
        self.pool.close()

    def readiness(self) -> EmbedderError | None:
        """None where the embedder is ready, else the error that says why not."""
        try:
            response = self.request("GET", "/readyz", None, min(self.timeout_s, 5.0), {})
        except HTTPError as error:
            return self.unreachable(error)
        self.answered = True
        if response.status == 200 and is_json(response):
            return None
        return EmbedderNotReady(f"the embedder at {self.url} is not ready: {refusal(response)}")

    def call(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON of a 200 answer.

        Dropped connections and busy answers (429, 502, 503, 504) are tried again until `timeout_s` is over, after the
        time that Retry-After names or with full jitter (https://aws.amazon.com/builders-library, "Timeouts, retries
        and backoff with jitter"). A connection that is refused is tried again only where the embedder has answered
        before.
        """
        deadline = time.monotonic() + self.timeout_s
        failures = 0
        for attempt in itertools.count(1):
            try:
                return self.exchange(method, path, content, max(0.001, deadline - time.monotonic()), headers)
            except TryAgain as again:
                failures += again.is_failure
                left_s = deadline - time.monotonic()
                if failures >= TRIES_AFTER_500 or again.after_s >= left_s or left_s < FIRST_PAUSE_S:
                    raise again.error from None
                jitter_s = random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt))
                time.sleep(max(again.after_s, min(jitter_s, left_s / 2)))

    def exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One try.

        Raises:
            TryAgain: the next one may succeed.
            EmbedderError: it would not.
        """
        began = time.monotonic()
        try:
            own = {HEADER: request_id(), **outgoing_headers(), **(headers or {})}
            response = self.request(method, path, content, timeout_s, own)
        except HTTPError as error:
            unreachable = self.unreachable(error)
            if is_timeout(error) or not (self.answered or was_connected(error)):
                raise unreachable from None
            raise TryAgain(unreachable) from None
        self.answered = True
        if log.isEnabledFor(logging.DEBUG):
            details = {"method": method, "path": path, "status": response.status, "request_id": request_id()}
            log.debug("embedder call", extra={"details": details | {"seconds": time.monotonic() - began}})
        if response.status == 200 and is_json(response):
            try:
                return orjson.loads(response.data)
            except orjson.JSONDecodeError:
                raise EmbedderError(f"the embedder at {self.url} answers broken JSON: {excerpt(response)}") from None
        if response.status in BUSY:
            busy = EmbedderNotReady(f"the embedder at {self.url} can't answer now: {refusal(response)}")
            raise TryAgain(busy, retry_after_s(response))
        refused = EmbedderError(f"the embedder at {self.url} {path} answers {response.status}: {refusal(response)}")
        if response.status == 500:
            raise TryAgain(refused, is_failure=True)
        raise refused

    def request(
        self, method: str, path: str, content: bytes | None, timeout_s: float, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """The answer, read to its end; nothing is tried again and no redirect is followed."""
        return self.pool.urlopen(
            method,
            self.prefix + path,
            body=content,
            headers={**self.headers, **headers},
            timeout=timeout_s,
            retries=False,
            redirect=False,
        )

    def unreachable(self, error: HTTPError) -> EmbedderUnreachable:
        if is_timeout(error) and not isinstance(error, ConnectTimeoutError):
            return EmbedderUnreachable(f"the embedder at {self.url} did not answer in time: raise embedder_timeout_s")
        return EmbedderUnreachable(f"the embedder at {self.url} is not reachable: {START_HINT}")


def open_pool(url: str, tls: ssl.SSLContext | None) -> tuple[urllib3.HTTPConnectionPool, str]:
    """Connections to the URL's host, and the path that the URL puts before those of the API.

    Raises:
        EmbedderError: it is no URL of HTTP.
    """
    try:
        parsed = urllib3.util.parse_url(url)
    except HTTPError as error:
        raise EmbedderError(f"embedder_url {url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise EmbedderError(f"embedder_url {url!r} is no URL: it starts with http:// or https:// and names a host")
    kind = urllib3.HTTPSConnectionPool if parsed.scheme == "https" else urllib3.HTTPConnectionPool
    options: dict[str, Any] = {"ssl_context": tls} if parsed.scheme == "https" else {}
    return kind(parsed.host, parsed.port, maxsize=CONNECTIONS, **options), (parsed.path or "").rstrip("/")


class TryAgain(Exception):
    """An exchange ended with `error`, and another one may not, in `after_s` seconds or later.

    `is_failure`: the embedder failed on this very request, so few more tries are worth it.
    """

    def __init__(self, error: EmbedderError, after_s: float = 0.0, is_failure: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s
        self.is_failure = is_failure


def is_timeout(error: HTTPError) -> bool:
    return isinstance(error, TimedOut) and not isinstance(error, NewConnectionError)


def was_connected(error: HTTPError) -> bool:
    return not isinstance(error, NewConnectionError | ConnectTimeoutError | SSLError)


def is_json(response: urllib3.BaseHTTPResponse) -> bool:
    return str(response.headers.get("content-type")).startswith("application/json")


def refusal(response: urllib3.BaseHTTPResponse) -> str:
    """What an error answer says, in one line: its OpenAI error message, else its first words."""
    try:
        message = orjson.loads(response.data)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"no embedder's answer, but {excerpt(response)}"
    return " ".join(str(message).split())[:500]


def excerpt(response: urllib3.BaseHTTPResponse) -> str:
    text = " ".join(response.data[:200].decode(errors="replace").split())[:80]
    return f"{response.headers.get('content-type', 'no content type')} starting {text!r}"


def retry_after_s(response: urllib3.BaseHTTPResponse) -> float:
    """Seconds in Retry-After; 0 where it is missing, or a date, or no number."""
    try:
        seconds = float(response.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < math.inf else 0.0
