"""Traces, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector and the extra `tracing` is installed; else nothing.

What is traced is named, counted and timed; texts and products never are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@cache
def tracer() -> Any:
    """OpenTelemetry's tracer, or None where traces are off. Its own OTEL_* variables say the rest."""
    if not os.environ.get(ENDPOINT):
        return None
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return None
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "prodsim")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return trace.get_tracer("prodsim")


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None, **attributes: str | int | float) -> Iterator[None]:
    """A span around what happens meanwhile, below the one that `headers` (traceparent) come from, if any."""
    made = tracer()
    if made is None:
        yield
        return
    from opentelemetry.propagate import extract

    with made.start_as_current_span(name, context=extract(dict(headers)) if headers else None, attributes=attributes):
        yield


def outgoing_headers() -> dict[str, str]:
    """The headers by which the next service finds the span of this moment; {} where traces are off."""
    headers: dict[str, str] = {}
    if tracer() is not None:
        from opentelemetry.propagate import inject

        inject(headers)
    return headers
