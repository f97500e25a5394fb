"""The rows of an SQL query, on any database that SQLAlchemy reaches, as they are asked for."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodsim.plugin.errors import CatalogError, UsageError

from .plain import PLAIN, plain_value
from .source import ROW_LIMIT_BYTES, SourceRow, named_twice

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import URL, CursorResult

LOGGER = "prodsim"
FETCHED_ROWS = 1_000
CONNECT_TIMEOUT_S = 10
LIMIT = f"{ROW_LIMIT_BYTES >> 20} MiB"
SCHEME = r"[A-Za-z][A-Za-z0-9_+.\-]*://"
URL_START = re.compile(SCHEME)
WITH_USER = re.compile(rf"({SCHEME}[^:/@?]*)(?::[^@]*)?(@[^@?&=]*)(?:\?(.*))?", re.DOTALL)
WITHOUT_USER = re.compile(rf"({SCHEME}(?:\[[^\]]*\]|[^:/@?]*)(?::\d*)?)((?:/[^?]*)?)(?:\?(.*))?", re.DOTALL)
CREDENTIALS = re.compile(r"(//[^:/@\s]*):.*@", re.DOTALL)
SHOWN_PARAMETERS = ("host", "port", "service", "unix_socket", "charset")
JSON_TYPES = (114, 3802)  # PostgreSQL's json and jsonb, which psycopg hands out as objects


def is_sql_url(name: str) -> bool:
    return URL_START.match(name) is not None


def without_password(name: str) -> str:
    """The source's name as messages, rows and files may show it: an SQL URL loses its password and its parameters.

    Works on what is no valid URL too.
    """
    if not is_sql_url(name):
        return CREDENTIALS.sub(r"\1@", name)
    match = WITH_USER.fullmatch(name) or WITHOUT_USER.fullmatch(name)
    if match is None:  # where the password ends can't be told
        return re.sub(rf"({SCHEME}[^:/@?]*).*", r"\1:…", name, flags=re.DOTALL)
    start, rest, parameters = match.groups()
    shown = [part for part in (parameters or "").split("&") if part.partition("=")[0] in SHOWN_PARAMETERS]
    return f"{start}{rest}{'?' if shown else ''}{'&'.join(shown)}"


def read_sql(url: str, query: str | None) -> tuple[tuple[str, ...] | None, Iterator[SourceRow]]:
    """The column names, and the rows as they are asked for, numbered from 1; nothing is written to the database.

    There are no column names where a column holds objects, whose names are in the rows. A load that is resumed relies
    on the query's order: it should have an ORDER BY.

    Raises:
        CatalogError: the extra or the driver is missing, the URL is none, the database can't be reached, or refuses.
        UsageError: no query.
    """
    name = without_password(url)
    if query is None or not query.strip():
        raise UsageError(f"{name} is a database: say what to read with a query, such as SELECT * FROM products")
    try:
        import sqlalchemy
    except ImportError:
        raise CatalogError(
            f"{name} is a database, for which SQLAlchemy is missing: pip install 'prodsim[sql]'"
        ) from None
    parsed = parse_url(url, name)
    with ExitStack() as opening:
        opening.enter_context(sql_errors(name, parsed))
        engine = sqlalchemy.create_engine(
            parsed,
            poolclass=sqlalchemy.NullPool,
            pool_logging_name=LOGGER,
            connect_args=connect_arguments(parsed),
        )
        # what can't be closed because the connection broke off is logged with a traceback
        logging.getLogger(f"sqlalchemy.pool.impl.NullPool.{LOGGER}").disabled = True
        connection = engine.connect()
        opening.callback(close_quietly, connection)
        prepare(connection)
        result = connection.execution_options(
            stream_results=True, yield_per=FETCHED_ROWS, no_parameters=True
        ).exec_driver_sql(query.strip().rstrip(";"))
        opening.callback(close_quietly, result)
        if not result.returns_rows:
            raise CatalogError(f"{name}: the query returns no rows, it has to be a SELECT")
        names = tuple(result.keys())
        if twice := named_twice(names):
            raise CatalogError(f"{name}: the query names a column twice ({twice}): rename one of them with AS")
        header = None if has_objects(result) else names
        rows = rows_of(result, names, opening.pop_all())
    return header, rows


def close_quietly(opened: Connection | CursorResult[Any]) -> None:
    with suppress(Exception):  # what was read is read, and a connection that broke off can't be closed
        opened.close()


def parse_url(url: str, name: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # whose messages hold the URL
        raise CatalogError(
            f"{name} is no database URL: write it as dialect://user:password@host:port/database, "
            "with special characters of the password as %XX"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername.partition("+")[0] == "sqlite" and parsed.database and not parsed.query.get("uri"):
        path = Path(parsed.database)
        if parsed.database != ":memory:" and not path.is_file():  # SQLite would make an empty one
            raise CatalogError(f"{name} does not exist: there is no file {path}, relative to {Path.cwd()}")
    return parsed


def connect_arguments(url: URL) -> dict[str, Any]:
    if url.drivername.startswith("postgresql+psycopg") and "connect_timeout" not in url.query:
        return {"connect_timeout": CONNECT_TIMEOUT_S}
    return {}


@contextmanager
def sql_errors(name: str, url: URL) -> Iterator[None]:
    """Turns a database's complaints into one line, without the password."""
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

    try:
        yield
    except NoSuchModuleError:
        raise CatalogError(f"{name}: SQLAlchemy knows no database {url.drivername!r}") from None
    except ModuleNotFoundError as error:
        raise CatalogError(
            f"{name}: the Python driver {error.name} of {url.drivername} is not installed; install it, or name another "
            "one as dialect+driver://"
        ) from None
    except DBAPIError as error:
        raise CatalogError(f"{name}: {first_line(str(error.orig), url)}") from None
    except (SQLAlchemyError, OSError, TypeError, ValueError) as error:
        raise CatalogError(f"{name} can't be read: {first_line(str(error), url)}") from None


def first_line(message: str, url: URL) -> str:
    for secret in filter(None, (url.password, *(secrets_of(url)))):
        message = message.replace(str(secret), "***")
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[0] if lines else "the database gives no reason"


def secrets_of(url: URL) -> list[str]:
    return [str(value) for key, value in url.query.items() if key not in SHOWN_PARAMETERS and len(str(value)) > 3]


def prepare(connection: Connection) -> None:
    """Sees to it that nothing can be written, and that SQLite hands out text that is no UTF-8 as bytes, where it would
    break off."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.text_factory = text_or_bytes
        driver.execute("PRAGMA query_only = ON")
    elif connection.dialect.name == "postgresql":
        connection.execution_options(postgresql_readonly=True)


def text_or_bytes(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def has_objects(result: CursorResult[Any]) -> bool:
    description = result.cursor.description if result.cursor is not None else None
    return any(column[1] in JSON_TYPES for column in description or ())


def rows_of(result: CursorResult[Any], names: tuple[str, ...], opened: ExitStack) -> Iterator[SourceRow]:
    with opened:
        for number, row in enumerate(result, start=1):
            values: dict[str, object] = dict(zip(names, row, strict=True))
            problem = None
            for name, value in values.items():
                if type(value) not in PLAIN:
                    values[name] = plain_value(value)
                elif type(value) is str and len(value) > ROW_LIMIT_BYTES:
                    problem = f"{name} has {len(value):,} characters, and a row may have {LIMIT}: shorten it"
            yield SourceRow(number, values) if problem is None else SourceRow(number, {}, problem)
