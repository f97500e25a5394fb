"""From settings to a ring: engine, embedder, mode and profiles at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prodsim.embedder.client import EmbedderClient
from prodsim.plugin.client import connect
from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.config import Settings
from prodsim.plugin.errors import UsageError
from prodsim.plugin.indexes import serving_index
from prodsim.plugin.ranking.compile import compile_profile
from prodsim.plugin.ranking.files import load_profile
from prodsim.plugin.ranking.profile import Profile
from prodsim.plugin.setup import template_legs

from .contenders import Ring

MODES = ("engine", "client")


@contextmanager
def open_ring(settings: Settings, profile: str = "default", mode: str | None = None) -> Iterator[Ring]:
    """Everything to measure rankings of one catalog with. The profile's text fields are those of the plain baselines.

    `mode` is `engine` where the cluster shall call the embedder itself, as it does for customers (the default where it
    can), or `client` to send vectors along.

    Raises:
        EngineUnreachable, EngineError, EmbedderUnreachable, EmbedderNotReady: one of them does not answer.
        NotFound: no such catalog or profile. UsageError: no such mode, or one that the cluster can't.
    """
    client = connect(settings)
    cluster = inspect_cluster(client)
    if mode not in (None, *MODES):
        raise UsageError(f"--mode {mode}: use {' or '.join(MODES)}")
    if mode == "engine" and not cluster.has_ml:
        raise UsageError(f"{settings.engine_url} has no ML Commons and calls no embedder: use --mode client")
    index = serving_index(client, settings.alias)
    legs = template_legs(client, index.vectors)

    def sources(given: str | Profile) -> Mapping[str, str]:
        chosen = given if isinstance(given, Profile) else load_profile(given)
        return compile_profile(chosen, legs, cluster.version)

    with EmbedderClient(settings.embedder_url, timeout_s=settings.embedder_timeout_s) as embedder:
        embedder.require_ready()
        yield Ring(
            client=client,
            alias=settings.alias,
            embedder=embedder,
            mode=mode or cluster.mode,
            fields=load_profile(profile).weighted_fields,
            profile_sources=sources,
        )
