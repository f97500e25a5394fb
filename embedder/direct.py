"""The short way from the API to a model on the same machine: a socket, where a call through Serve's handles takes as
long as a small model needs for a query.

The replica listens under a name that it tells with its description (Linux's abstract Unix sockets: nothing on disk,
reachable within this machine's or container's network alone). Each side looks at the other's user before it says
anything. What can't take this way, such as images and replicas on other machines, goes through Serve.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import orjson

from .encoder import BadItem, Encoded, InputType, Item

LENGTH = struct.Struct("<I")
FRAME_BYTES = 1 << 20  # of most frames: more is read in several goes
CREDENTIALS = struct.Struct("3i")  # process, user, group
VECTORS, BAD_ITEM, FAILED = b"v", b"i", b"f"
BROKEN = (OSError, EOFError, struct.error)

Encode = Callable[[list[Item], InputType], Awaitable[tuple[bytes, list[int]]]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Severed(Exception):
    """The replica on the other side is gone."""


class Failed(Exception):
    """The replica could not encode these texts, and may others."""


@dataclass(frozen=True)
class Door:
    """The `name` under which a replica is to be had as long as this object is there: loops do not keep a server."""

    name: str
    server: asyncio.Server


async def listen(encode: Encode) -> Door | None:
    """Answers with `encode` from now on; None where the system has no such sockets."""
    if not sys.platform.startswith("linux"):
        return None
    name = f"prodsim-{secrets.token_hex(16)}"

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*BROKEN):
            while is_own(writer):
                request = orjson.loads(await read_frame(reader))
                write_frame(writer, await answer(encode, request["texts"], request["input_type"]))
                await writer.drain()
        writer.close()

    return Door(name, await asyncio.start_unix_server(answer_all, f"\0{name}", limit=FRAME_BYTES))


async def answer(encode: Encode, texts: list[Item], input_type: InputType) -> list[bytes]:
    try:
        vectors, tokens = await encode(texts, input_type)
    except BadItem as bad:
        return [BAD_ITEM, orjson.dumps([bad.message, bad.position, bad.too_large])]
    except Exception as error:  # whatever a model raises is the request's, not the connection's
        return [FAILED, str(error).encode(errors="replace")]
    return [VECTORS, np.array(tokens, dtype=np.int64).tobytes(), vectors]


class Direct:
    """Connections to one replica, one for each call that is under way; kept open for the next."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.idle: list[Streams] = []

    async def encode(self, texts: Sequence[str], input_type: InputType) -> Encoded:
        """As a replica's `encode`.

        Raises:
            Severed: no answer will come. BadItem: as the replica raised. Failed: it raised something else.
        """
        self.calls += 1
        streams: Streams | None = None
        try:
            streams = self.idle.pop() if self.idle else await connect(self.name)
            reader, writer = streams
            write_frame(writer, [orjson.dumps({"texts": list(texts), "input_type": input_type})])
            content = await read_frame(reader)
            self.idle.append(streams)
            streams = None
        except BROKEN as error:
            raise Severed(str(error)) from None
        finally:
            self.calls -= 1
            if streams is not None:
                streams[1].close()
        return decoded(content, len(texts))

    def close(self) -> None:
        for _, writer in self.idle:
            writer.close()
        self.idle.clear()


def decoded(content: bytes, count: int) -> Encoded:
    kind, rest = content[:1], content[1:]
    if kind == BAD_ITEM:
        message, position, too_large = orjson.loads(rest)
        raise BadItem(message, position, too_large)
    if kind == FAILED:
        raise Failed(rest.decode())
    tokens = np.frombuffer(rest, dtype=np.int64, count=count)
    return Encoded(np.frombuffer(rest, dtype=np.float32, offset=tokens.nbytes).reshape(count, -1), tokens)


async def connect(name: str) -> Streams:
    opened = socket.socket(socket.AF_UNIX)
    opened.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(opened, f"\0{name}")
        reader, writer = await asyncio.open_unix_connection(sock=opened, limit=FRAME_BYTES)  # by name, uvloop can't
    except BaseException:
        opened.close()
        raise
    if not is_own(writer):
        writer.close()
        raise OSError("another user listens there")
    return reader, writer


def is_own(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side is a process of this user."""
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as opened:  # uvloop's is no real one
        _, user, _ = CREDENTIALS.unpack(opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return bool(user == os.getuid())


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return await reader.readexactly(length)


def write_frame(writer: asyncio.StreamWriter, parts: Sequence[bytes]) -> None:
    writer.write(b"".join([LENGTH.pack(sum(map(len, parts))), *parts]))
