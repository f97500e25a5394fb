"""Images by URL, without letting a caller reach what only the embedder's network can.

The name in a URL is resolved once; its addresses are checked, and the connection goes to one of those, so a name that
resolves differently a moment later gains nothing. Every redirect passes through the same door.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore

from prodsim.embedder.encoder import BadItem

from .addresses import Network, address_allowed, host_allowed

MOST_REDIRECTS = 3
FETCHED_AT_ONCE = 16
REDIRECTS = {301, 302, 303, 307, 308}
HEADERS: dict[bytes | str, bytes | str] = {
    "user-agent": "prodsim-embedder",
    "accept": "image/*",
    "accept-encoding": "identity",
}
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


@dataclass(frozen=True)
class FetchRules:
    """`hosts` may be fetched from; without any, nothing is. `networks` may be private ones."""

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    timeout_s: float = 10.0
    max_bytes: int = 8 * 1024 * 1024


class Forbidden(Exception):
    """The address is none that may be connected to."""


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever the name resolves to afterwards."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self.networks = networks
        self.backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        # one bad address among several is a trap, not a coincidence
        if not addresses or not all(address_allowed(address, self.networks) for address in addresses):
            raise Forbidden
        return await self.backend.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        raise Forbidden

    async def sleep(self, seconds: float) -> None:
        await self.backend.sleep(seconds)


@dataclass
class ImageFetcher:
    """Fetches images from the hosts of its rules, a few at a time. No proxy, cookie or credential is used."""

    rules: FetchRules
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FETCHED_AT_ONCE))

    async def fetch(self, url: str) -> bytes:
        """The bytes at a URL.

        Raises:
            BadItem: fetching is off, or the URL, its address, or what is there is refused.
        """
        if not self.rules.hosts:
            raise BadItem("is a URL, and fetching is off: send base64, or name the host in image_hosts")
        try:
            async with self.at_once, asyncio.timeout(self.rules.timeout_s):
                return await self.follow(url)
        except TimeoutError:
            raise BadItem(f"can't be fetched: no whole answer within {self.rules.timeout_s:g} s") from None
        except Forbidden:
            raise BadItem("can't be fetched: its address is private or reserved") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, UnicodeError):
            raise BadItem("can't be fetched: its host does not answer") from None

    async def follow(self, url: str) -> bytes:
        for _ in range(MOST_REDIRECTS + 1):
            self.check_url(url)
            async with (
                httpcore.AsyncConnectionPool(
                    max_connections=1, network_backend=CheckedNetwork(self.rules.networks)
                ) as pool,
                pool.stream("GET", ascii_url(url), headers=HEADERS) as response,
            ):
                if response.status not in REDIRECTS:
                    return await self.read(response)
                location = header(response, b"location")
                if not location:
                    raise BadItem("can't be fetched: it is redirected to nowhere")
                url = urljoin(url, location)
        raise BadItem(f"can't be fetched: it is redirected more than {MOST_REDIRECTS} times")

    def check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise BadItem("can't be fetched: it is no URL") from None
        if parts.scheme.lower() not in ("http", "https") or parts.username is not None or parts.password is not None:
            raise BadItem("can't be fetched: only plain http and https URLs are")
        if not host_allowed(host, port, self.rules.hosts):
            place = host if port is None else f"{host}:{port}"
            raise BadItem(f"can't be fetched: {place[:100]!r} is not in image_hosts")

    async def read(self, response: httpcore.Response) -> bytes:
        if response.status != 200:
            raise BadItem(f"can't be fetched: its host answers {response.status}")
        if (header(response, b"content-encoding") or "identity").lower() != "identity":
            raise BadItem("can't be fetched: its host answers compressed")
        too_large = BadItem(f"is an image of more than {self.rules.max_bytes} bytes", too_large=True)
        length = header(response, b"content-length") or "0"
        if length.isdecimal() and int(length[:20]) > self.rules.max_bytes:
            raise too_large
        content = bytearray()
        async for chunk in response.aiter_stream():
            content += chunk
            if len(content) > self.rules.max_bytes:
                raise too_large
        return bytes(content)


def header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


def ascii_url(url: str) -> str:
    """The URL as it travels: what is not ASCII in path and query as percent-encoded UTF-8."""
    from urllib.parse import quote, urlunsplit

    parts = urlsplit(url)
    safe = "/%:=&?~+!$,;'@()*[]"
    host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    return urlunsplit((parts.scheme, host, quote(parts.path, safe=safe), quote(parts.query, safe=safe), ""))


def parse_networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as 10.2.0.0/16.

    Raises:
        ValueError: one is none.
    """
    return tuple(ipaddress.ip_network(name) for name in names)
