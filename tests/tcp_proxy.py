"""A TCP proxy that a test can cut or hang."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class TcpProxy:
    """Stands between two parties on this machine. `mode` may change at any time and holds for open connections too.

    pass: bytes go through. hang: connections stay open and nothing comes. refuse: connections are closed at once.
    """

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        self.target = (target.hostname or "127.0.0.1", target.port or 80)
        self.mode = "pass"
        self.requests = 0
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            writer.close()
            return
        there, back = await asyncio.open_connection(*self.target)
        try:
            await asyncio.gather(self.pump(reader, back, True), self.pump(there, writer, False))
        except ConnectionError:
            pass
        finally:
            writer.close()
            back.close()

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counts: bool) -> None:
        while data := await source.read(65536):
            while self.mode == "hang":
                await asyncio.sleep(0.02)
            if self.mode == "refuse":
                break
            self.requests += counts and data.startswith(b"POST")
            sink.write(data)
            await sink.drain()
        sink.close()
