"""What an API replica counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from .encoder import INPUT_TYPES

if TYPE_CHECKING:
    from .cache import VectorCache
    from .served_model import ServedModel

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
PREFIX = "prodsim_embedder"


class Metrics:
    """One replica's counts since it started; `stage` of latency is request, encode (wait for a batch, and its run)
    or batch (the run of one batch, and the way to the replica and back)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(f"{PREFIX}_requests", "Requests answered.", ["status"], registry=self.registry)
        self.texts = Counter(f"{PREFIX}_texts", "Texts answered.", ["model", "input_type"], registry=self.registry)
        self.seconds = Histogram(
            f"{PREFIX}_seconds",
            "Latency by stage.",
            ["stage", "input_type"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_texts = Histogram(
            f"{PREFIX}_batch_texts",
            "Texts that went to a model in one call.",
            ["model", "input_type"],
            buckets=TEXTS,
            registry=self.registry,
        )

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def watch(self, models: Mapping[str, ServedModel], cache: VectorCache) -> None:
        """Has models and cache asked whenever the metrics are."""
        self.registry.register(StateCollector(models, cache))


class StateCollector:
    """What is read off when it is asked for."""

    def __init__(self, models: Mapping[str, ServedModel], cache: VectorCache) -> None:
        self.models = models
        self.cache = cache

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        here = list(self.models.values())
        ready = GaugeMetricFamily(f"{PREFIX}_model_ready", "Whether a replica of the model answers.", labels=["model"])
        queued = GaugeMetricFamily(
            f"{PREFIX}_queued_texts", "Texts that wait for a batch.", labels=["model", "input_type"]
        )
        coalesced = GaugeMetricFamily(
            f"{PREFIX}_coalesced_texts", "Texts that waited for another request's equal one.", labels=["model"]
        )
        info = InfoMetricFamily(f"{PREFIX}_model", "The models.", labels=["model"])
        for model in here:
            ready.add_metric([model.id], float(model.card is not None))
            coalesced.add_metric([model.id], model.flights.coalesced)
            if model.batcher is not None:
                for input_type in INPUT_TYPES:
                    queued.add_metric([model.id, input_type], model.batcher.queued(input_type))
            if model.card is not None:
                info.add_metric([model.id], {"revision": model.card.revision, "backend": model.card.backend})
        yield from (ready, queued, coalesced, info)
        looked_up = GaugeMetricFamily(f"{PREFIX}_cache_lookups", "Texts looked up in the cache.", labels=["result"])
        looked_up.add_metric(["hit"], self.cache.hits)
        looked_up.add_metric(["miss"], self.cache.misses)
        yield looked_up
        yield GaugeMetricFamily(f"{PREFIX}_cache_bytes", "Memory of cached vectors.", value=self.cache.size_bytes)
