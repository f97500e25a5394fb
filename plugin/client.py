"""The connection to OpenSearch, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .config import Settings
from .errors import EngineBusy, EngineError, EngineUnreachable

if TYPE_CHECKING:
    from opensearchpy import OpenSearch
    from opensearchpy.exceptions import TransportError


BUSY = (429, 502, 503, 504)


def connect(settings: Settings) -> OpenSearch:
    """A client for `engine_url`; it connects at its first call, and never retries by itself."""
    from opensearchpy import OpenSearch

    options: dict[str, Any] = {}
    if settings.engine_username:
        password = settings.engine_password.get_secret_value() if settings.engine_password else ""
        options["http_auth"] = (settings.engine_username, password)
    if settings.engine_ca_file:
        options["ca_certs"] = str(settings.engine_ca_file)
    return OpenSearch(
        hosts=[settings.engine_url],
        timeout=settings.engine_timeout_s,
        max_retries=0,
        http_compress=False,
        **options,
    )


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turns what opensearch-py raises into one line: "`doing` failed: …".

    Raises:
        EngineUnreachable: nothing answers, or not in time. EngineBusy: it refuses for now.
        EngineError: the engine refused.
    """
    from opensearchpy import exceptions

    try:
        yield
    except exceptions.ConnectionTimeout as error:
        raise EngineUnreachable(
            f"{doing}: OpenSearch did not answer in time ({first_line(error.info)}); "
            "raise engine_timeout_s, or see its log"
        ) from None
    except exceptions.SSLError as error:
        raise EngineUnreachable(f"{doing}: TLS failed ({first_line(error.info)}); check engine_ca_file") from None
    except exceptions.ConnectionError as error:
        raise EngineUnreachable(
            f"{doing}: OpenSearch is not reachable ({why_unreachable(error)}); start it ('prodsim-admin engine up') "
            "or set engine_url"
        ) from None
    except exceptions.AuthenticationException:
        raise EngineError(f"{doing}: OpenSearch wants a login; set engine_username and engine_password") from None
    except exceptions.AuthorizationException as error:
        if "blocked" in reason(error):
            raise EngineError(
                f"{doing}: OpenSearch is under a block ({reason(error)}); a disk above its watermark brings it about: "
                "free space there, or lift a block that was set by hand"
            ) from None
        raise EngineError(f"{doing}: this user may not do that ({reason(error)})") from None
    except exceptions.TransportError as error:
        kind = EngineBusy if error.status_code in BUSY else EngineError
        raise kind(f"{doing}: {reason(error)}") from None
    except (exceptions.SerializationError, exceptions.OpenSearchException) as error:
        raise EngineError(f"{doing}: what answers is not OpenSearch ({first_line(error)}); check engine_url") from None


def why_unreachable(error: TransportError) -> str:
    """Host, port and what the socket said; urllib3 puts its own object in front."""
    return re.sub(r"^\w+\(host='(.*?)', port=(\d+)\)", r"\1:\2", first_line(error.info))


def reason(error: TransportError) -> str:
    """The engine's own words, the deepest cause first: that one says what is wrong."""
    info = error.info if isinstance(error.info, dict) else {}
    found = info.get("error")
    if isinstance(found, str):
        return first_line(found)
    return deepest_cause(found) or f"HTTP {error.status_code} {first_line(error.error)}"


def deepest_cause(found: Any) -> str:
    """The innermost reason of an engine's error object; "" where it gives none."""
    causes: list[str] = []
    while isinstance(found, dict):
        if found.get("reason"):
            causes.append(first_line(found["reason"]))
        failed = found.get("failed_shards") or []
        found = found.get("caused_by") or (failed[0].get("reason") if failed else None)
    return causes[-1] if causes else ""


def first_line(value: object, limit: int = 300) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
