"""What the listener of the embedder does with connections that no application sees."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme

from prodsim.embedder import http_protocol
from prodsim.embedder.listener import listen
from prodsim.embedder.settings import ListenSettings

REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n" + b"b" * 200_000

Exchange = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, bytes]]


async def counting(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Answers how many bytes it got."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def with_listener(
    exchange: Exchange, files: tuple[Path, Path] | None = None, tls: ssl.SSLContext | None = None
) -> bytes:
    """What `exchange` returns on a connection to a listener, which has a certificate and its key in `files`."""
    certificate, key = files or (None, None)

    async def run() -> bytes:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        listener, serving = listen(counting, ListenSettings(port=port, tls_certificate=certificate, tls_key=key))
        while not listener.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            async with asyncio.timeout(20):
                return await exchange(reader, writer)
        finally:
            writer.close()
            await listener.close(1, serving)

    return asyncio.run(run())


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    return head.split(b" ")[1] + b" " + await reader.readexactly(length)


def test_large_bodies_pass_one_after_the_other_on_one_connection() -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        answers = []
        for _ in range(3):
            writer.write(REQUEST)
            answers.append(await answer(reader))
        return b", ".join(answers)

    assert with_listener(exchange) == b"200 200000, 200 200000, 200 200000"


@pytest.mark.parametrize("endless", [b"x: y\r\n" * 1000, b"z" * 6000], ids=["many headers", "one long header"])
def test_headers_without_end_are_cut_off(endless: bytes) -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nlong: ")
        sent = 0
        try:
            while sent < 50_000_000 and not reader.at_eof():
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0)
                sent += len(endless)
        except ConnectionError:
            pass
        return str(sent).encode()

    assert int(with_listener(exchange)) < 20_000_000


def test_a_head_that_does_not_come_in_time_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.2)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        first = await answer(reader)
        await asyncio.sleep(0.4)  # idle between requests is allowed
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        second = await answer(reader)
        writer.write(b"GET / HTTP/1.1\r\nhost")
        return first + second + await reader.read()

    assert with_listener(exchange) == b"200 0200 0"


def test_with_a_certificate_it_speaks_tls_to_those_who_trust_it_and_nothing_else(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(files[1])
    for part in issued.cert_chain_pems:
        part.write_to_path(files[0], append=True)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(REQUEST)
        return await answer(reader)

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        return await reader.read()

    assert with_listener(exchange, files, trusting) == b"200 200000"
    with pytest.raises(ssl.SSLCertVerificationError):
        with_listener(exchange, files, ssl.create_default_context())
    assert not with_listener(plain, files).startswith(b"HTTP")
