"""Logs and metrics of commands: lines on stderr, numbers on a port while a command runs."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import orjson

from prodsim.embedder.request_id import request_id

from .config import Settings
from .errors import UsageError

if TYPE_CHECKING:
    from prodsim.loaders.load import Report

LOGGER = "prodsim"
Show = Callable[["Report"], None]


def start_logging(settings: Settings, verbose: bool = False) -> None:
    """Lines of prodsim's own loggers to stderr. Other libraries' stay off: they may log bodies and headers."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel("DEBUG" if verbose else settings.log_level.upper())
    logger.propagate = False
    logger.handlers = [StderrHandler()]
    logger.handlers[0].setFormatter(JsonLines() if settings.log_format == "json" else PlainLines())


class StderrHandler(logging.Handler):
    """Writes to what stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")
        sys.stderr.flush()


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id(),
            **details_of(record),
        }
        return orjson.dumps(line, default=str).decode()


class PlainLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        details = " ".join(f"{name}={value}" for name, value in details_of(record).items())
        return f"{record.levelname.lower()} {record.name}: {record.getMessage()} {details}".rstrip()


def details_of(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = getattr(record, "details", {})
    return found


@contextmanager
def watched(settings: Settings, command: str, show: Show) -> Iterator[Show]:
    """`show`, and where metrics_port is set the same numbers for Prometheus while the command runs.

    Raises:
        UsageError: the port is taken.
    """
    if settings.metrics_port is None:
        yield show
        return
    from prometheus_client import CollectorRegistry, Gauge, start_http_server

    registry = CollectorRegistry()
    rows = Gauge("prodsim_command_rows", "Rows so far.", ["command", "outcome"], registry=registry)
    share = Gauge("prodsim_command_share_read", "How far the source was read, 0 to 1.", ["command"], registry=registry)
    moved = Gauge("prodsim_command_progress_timestamp_seconds", "When rows last moved.", ["command"], registry=registry)
    try:
        server, thread = start_http_server(settings.metrics_port, registry=registry)
    except OSError as error:
        raise UsageError(f"metrics_port {settings.metrics_port} can't be listened on: {error.strerror}") from None
    moved.labels(command).set_to_current_time()
    read_before = -1

    def count(report: Report) -> None:
        nonlocal read_before
        account = report.account
        numbers = asdict(account) if is_dataclass(account) else vars(account)
        for outcome, number in numbers.items():
            if isinstance(number, int):
                rows.labels(command, outcome).set(number)
        share.labels(command).set(report.share_read or 0)
        if account.read != read_before:
            read_before = account.read
            moved.labels(command).set_to_current_time()
        show(report)

    try:
        yield count
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
