"""The HTTP listener of an API replica: a socket of its own, so that a request needs no hop through Serve's proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from .http_protocol import BoundedHttpProtocol
from .settings import ListenSettings

BACKLOG = 2048
KEEP_ALIVE_S = 300  # longer than the engine's connector keeps an idle connection


class Listener(uvicorn.Server):
    """Answers until `close`; signals are the surrounding process's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def close(self, drain_s: float, serving: asyncio.Task[None]) -> None:
        """Takes no new connection, and returns when what was under way is answered, or after `drain_s` seconds."""
        self.config.timeout_graceful_shutdown = max(1, int(drain_s))
        self.should_exit = True
        await asyncio.wait({serving}, timeout=drain_s)


def listen(application: Callable[..., Any], settings: ListenSettings) -> tuple[Listener, asyncio.Task[None]]:
    """A listener that runs as a task of this event loop.

    Several replicas on a machine share the port (SO_REUSEPORT): the kernel spreads connections over them.

    Raises:
        OSError: the address can't be listened on, or the certificate can't be read.
    """
    config = uvicorn.Config(
        application,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    config.load()
    listener = Listener(config)
    opened = open_socket(settings.host, settings.port)
    return listener, asyncio.create_task(listener.serve(sockets=[opened]))


def open_socket(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.bind(address)
    opened.setblocking(False)
    return opened
