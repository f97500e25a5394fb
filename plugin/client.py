"""The connection to OpenSearch, and its errors in our words."""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prodsim.embedder.request_id import current_run

from .config import Settings
from .errors import ConfigError, EngineBusy, EngineError, EngineUnreachable

if TYPE_CHECKING:
    from opensearchpy import OpenSearch
    from opensearchpy.exceptions import TransportError


BUSY = (429, 502, 503, 504)
log = logging.getLogger("prodsim.engine")


def connect(settings: Settings) -> OpenSearch:
    """A client for `engine_url`; it connects at its first call, and never retries by itself."""
    from opensearchpy import OpenSearch

    options: dict[str, Any] = {}
    if settings.engine_username:
        options["http_auth"] = (settings.engine_username, settings.secret("engine_password") or "")
    elif settings.engine_aws_region:
        options["http_auth"] = aws_signer(settings.engine_aws_region, settings.engine_aws_service)
    if settings.engine_url.startswith("https"):
        options["ssl_context"] = tls_context(settings)
    if log.isEnabledFor(logging.DEBUG):
        options["connection_class"] = logged_connection()
    return OpenSearch(
        hosts=[settings.engine_url],
        timeout=settings.engine_timeout_s,
        max_retries=0,
        http_compress=False,
        opaque_id=current_run(),
        **options,
    )


def tls_context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 and newer with the names checked, the engine's own authority and the client's certificate where they are.

    Raises:
        ConfigError: a file can't be read or is no certificate or key.
    """
    try:
        context = ssl.create_default_context(cafile=settings.engine_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"engine_ca_file {settings.engine_ca_file} can't be used: {reason_of(error)}") from None
    certificate, key = settings.engine_client_certificate, settings.engine_client_key
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=refuse_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            files = f"engine_client_certificate {certificate} and engine_client_key {key}"
            raise ConfigError(f"{files} can't be used: {reason_of(error)}") from None
    return context


def refuse_passphrase() -> str:
    raise ValueError("the key is encrypted: give one that is not, in a file that only this user can read")


def reason_of(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


def aws_signer(region: str, service: str) -> Any:
    """Signs each call with the credentials that botocore finds: environment, web identity, container or instance role.

    Raises:
        ConfigError: botocore is not installed, or finds none.
    """
    try:
        import botocore.session  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        raise ConfigError("engine_aws_region needs botocore: pip install 'prodsim[aws]'") from None
    from opensearchpy import Urllib3AWSV4SignerAuth

    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        raise ConfigError("engine_aws_region is set, and there are no AWS credentials: give this process a role")
    return Urllib3AWSV4SignerAuth(credentials, region, service)


def logged_connection() -> Any:
    """opensearch-py's connection, with a log line a call: method, path, status, seconds; never a body or a header."""
    from opensearchpy import Urllib3HttpConnection

    class LoggedConnection(Urllib3HttpConnection):
        def perform_request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            began = time.monotonic()
            status: object = "no answer"
            try:
                answer = super().perform_request(method, url, *arguments, **options)
                status = answer[0]
                return answer
            except Exception as error:
                status = getattr(error, "status_code", status)
                raise
            finally:
                details = {"method": method, "path": url, "status": status, "seconds": time.monotonic() - began}
                log.debug("engine call", extra={"details": details})

    return LoggedConnection


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
