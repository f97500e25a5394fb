"""Stands before a real embedder, counts the texts that pass, and answers wrongly where a test wants it to."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx
import numpy as np
import orjson

Answer = tuple[int, dict[str, str], bytes]
JSON = {"content-type": "application/json"}


class EmbedderProxy:
    """`mode` may change at any time.

    pass; refuse: the connection is closed; hang: no answer for as long as it lasts; slow: a second later; busy: 503
    with Retry-After; nan, wrong_dimension, too_few: so are the vectors; html: a page with status 200.
    """

    def __init__(self, target_url: str) -> None:
        self.target = httpx.Client(base_url=target_url, timeout=120)
        self.mode = "pass"
        self.delay_s = 0.0
        self.asked = 0
        self.texts: list[str] = []
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize: ClassVar[int] = 1 << 20  # one write an answer

            def do_GET(self) -> None:
                self.reply(proxy.forward("GET", self.path, None))

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                self.reply(proxy.embed(self.path, content))

            def reply(self, answer: Answer | None) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.mode = "refuse"
        self.server.shutdown()
        self.server.server_close()
        self.target.close()

    def wait_while_hanging(self) -> None:
        while self.mode == "hang":
            time.sleep(0.05)

    def forward(self, method: str, path: str, content: bytes | None) -> Answer | None:
        if self.mode == "refuse":
            return None
        answer = self.target.request(method, path, content=content, headers=JSON)
        return answer.status_code, {"content-type": answer.headers["content-type"]}, answer.content

    def embed(self, path: str, content: bytes) -> Answer | None:
        self.asked += 1
        time.sleep(self.delay_s)
        match self.mode:
            case "refuse":
                return None
            case "hang":
                self.wait_while_hanging()
                return None
            case "slow":
                time.sleep(1)
            case "busy":
                error = {"error": {"message": "try again in a moment", "type": "overloaded"}}
                return 503, {**JSON, "retry-after": "1"}, orjson.dumps(error)
            case "html":
                return 200, {"content-type": "text/html"}, b"<html><body>Welcome to the Wi-Fi</body></html>"
        answer = self.forward("POST", path, content)
        if answer is None or answer[0] != 200:
            return answer
        damage = DAMAGES.get(self.mode)
        if damage is None:
            with self.lock:
                self.texts += orjson.loads(content)["input"]
            return answer
        body = orjson.loads(answer[2])
        body["data"] = damage(body["data"])
        return 200, JSON, orjson.dumps(body)


def each_vector(change: Callable[[Any], Any]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    def changed(entry: dict[str, Any]) -> dict[str, Any]:
        vector = np.frombuffer(base64.b64decode(entry["embedding"]), dtype="<f4").copy()
        return {**entry, "embedding": base64.b64encode(change(vector).astype("<f4").tobytes()).decode()}

    return lambda data: [changed(entry) for entry in data]


DAMAGES: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "nan": each_vector(lambda vector: vector * np.nan),
    "wrong_dimension": each_vector(lambda vector: vector[:100]),
    "too_few": lambda data: data[:-1],
}
