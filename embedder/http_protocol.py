"""uvicorn's HTTP protocol with what it leaves unbounded: the size of a request's head, and the time to send it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 30.0
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose next request line and headers are larger or slower than that.

    httptools collects them without an end: a stranger without a key could fill the memory, or hold every connection.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.in_head = True
        self.head_goes_on = False  # after the data that are being read
        self.head_bytes = 0
        self.head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it to a Transport
        self.await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.in_head and self.head_bytes > MOST_HEAD_BYTES:
            self.transport.write(TOO_LARGE)
            self.transport.close()
            return
        if self.in_head and self.head_timer is None:  # the next request of a connection that was kept
            self.await_head()
        self.head_goes_on = self.in_head
        super().data_received(data)
        if self.head_goes_on:
            self.head_bytes += len(data)

    def on_headers_complete(self) -> None:
        self.in_head = self.head_goes_on = False
        self.head_bytes = 0
        self.stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.in_head = True
        super().on_message_complete()

    def await_head(self) -> None:
        self.head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def stop_waiting(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
