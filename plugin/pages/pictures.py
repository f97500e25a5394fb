"""Small pictures of products as data URIs, so that a page with them needs nothing from outside."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from prodsim.plugin.measuring.extra import require

if TYPE_CHECKING:
    import httpx

SIDE_PIXELS = 120
QUALITY = 72
LARGEST_BYTES = 10 << 20
MOST_PIXELS = 50_000_000
TIMEOUT_S = 5.0
AT_ONCE = 8
MOST_FAILURES = 5  # of a host that does not answer


@dataclass(frozen=True)
class Pictures:
    """`uris` is SKU to data URI; `failed` counts products whose picture could not be had, `first_problem` says why."""

    uris: Mapping[str, str]
    failed: int = 0
    first_problem: str = ""

    def numbered(self) -> tuple[dict[str, int], list[str]]:
        """SKU to the number of its picture, and each picture once: variants share theirs."""
        distinct = {uri: number for number, uri in enumerate(dict.fromkeys(self.uris.values()))}
        return {sku: distinct[uri] for sku, uri in self.uris.items()}, list(distinct)


def load_pictures(urls: Mapping[str, str], base: str | None = None) -> Pictures:
    """Pictures for SKUs by their `image_url`. A relative one is looked up under `base`, a URL or a folder.

    A picture that can't be had, or is none, is left out: a page with a gap is better than no page.
    """
    if not urls:
        return Pictures({})
    require("PIL")
    import httpx

    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True, max_redirects=3) as client:
        given_up: Counter[str] = Counter()

        def load(url: str) -> str | Exception:
            host = urlsplit(url).netloc
            if given_up[host] >= MOST_FAILURES:
                return ConnectionError(f"{host} did not answer {MOST_FAILURES} times")
            try:
                return thumbnail(read_picture(client, url, base))
            except httpx.TransportError as error:
                given_up[host] += 1
                return error
            except Exception as error:  # one of many kinds, by server, file and picture format
                return error

        distinct = sorted(set(urls.values()))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            loaded = dict(zip(distinct, pool.map(load, distinct), strict=True))
    uris = {sku: uri for sku, url in urls.items() if isinstance(uri := loaded[url], str)}
    problems = [f"{url}: {found}" for url, found in loaded.items() if isinstance(found, Exception)]
    return Pictures(uris, len(urls) - len(uris), " ".join(problems[0].split())[:200] if problems else "")


def read_picture(client: httpx.Client, url: str, base: str | None) -> bytes:
    """The bytes of a picture.

    Raises:
        ValueError: a URL that is none, a file outside of the folder, too large.
        OSError, httpx.HTTPError: it can't be read.
    """
    if not urlsplit(url).scheme and base and not base.startswith(("http://", "https://")):
        folder = Path(base).resolve()
        path = (folder / url).resolve()
        if not path.is_relative_to(folder):
            raise ValueError(f"is outside of {folder}")
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError(f"is larger than {LARGEST_BYTES} bytes")
        return path.read_bytes()
    absolute = url if urlsplit(url).scheme else urljoin(base or "", url)
    if not absolute.startswith(("http://", "https://")):
        raise ValueError("is no address of a picture: give the part before it with --pictures")
    content = b""
    with client.stream("GET", absolute) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > LARGEST_BYTES:
                raise ValueError(f"is larger than {LARGEST_BYTES} bytes")
    return content


def thumbnail(content: bytes) -> str:
    """A JPEG of at most SIDE_PIXELS a side as a data URI; what is transparent becomes white."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError(f"has {opened.width} x {opened.height} pixels")
        opened.draft("RGB", (SIDE_PIXELS, SIDE_PIXELS))
        turned = ImageOps.exif_transpose(opened).convert("RGBA")
    turned.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    flat = Image.new("RGB", turned.size, "white")
    flat.paste(turned, mask=turned)
    buffer = io.BytesIO()
    flat.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
