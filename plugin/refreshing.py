"""`refresh`: products whose vector is missing, old or of another text get theirs, once or for as long as it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodsim.loaders.bulk.writer import BulkWriter
from prodsim.loaders.load import Progress, Report
from prodsim.loaders.sync.asking import Asking
from prodsim.loaders.sync.changes import Checkpoints, changed_since, refresh, stands
from prodsim.loaders.sync.documents import fits
from prodsim.loaders.sync.moved import Moved
from prodsim.loaders.sync.stale import mend
from prodsim.loaders.sync.sync import Route
from prodsim.loaders.target import Target
from prodsim.loaders.waiting import Waiting

from .errors import EngineError
from .indexes import ProductIndex, serving_index

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient
    from prodsim.loaders.legs import Leg
    from prodsim.plugin.config import Settings

GIVE_UP_AFTER_S = 600.0
PATIENT_S = 7 * 24 * 3600.0  # of a command that runs for good
POLL_S = 1.0

Say = Callable[[str], None]


class Stopped(BaseException):
    """Told to stop; as an interrupt, it is nobody's error."""


@dataclass(frozen=True)
class Freshener:
    """What a refresh works with. `stop` may be set at any time: what is under way is written, and nothing more."""

    client: OpenSearch
    settings: Settings
    embedder: EmbedderClient
    legs: tuple[Leg, ...]
    say: Say
    stop: threading.Event

    def pause(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped

    def waiting(self, forever: bool) -> Waiting:
        return Waiting(PATIENT_S if forever else GIVE_UP_AFTER_S, self.say, self.pause)

    @contextmanager
    def route(self, index: ProductIndex, forever: bool) -> Iterator[Route]:
        """From the index to itself, by its own model: the embedder must serve that one, whatever the settings name."""
        target = Target(self.client, index.name, self.embedder, index.model, self.legs)
        waiting = self.waiting(forever)
        give_up_s = PATIENT_S if forever else GIVE_UP_AFTER_S
        writing = BulkWriter(self.client, index.name, say=self.say, give_up_after_s=give_up_s, pause=self.pause)
        with writing as writer, Asking(self.client) as asking:
            yield Route(index.name, target, writer, asking, waiting)


def count_stale(freshener: Freshener) -> tuple[str, int]:
    """The serving index, and how many of its products have no vector that fits."""
    index = serving_index(freshener.client, freshener.settings.alias)
    with freshener.route(index, forever=False) as route:
        upto = {shard: stand.checkpoint for shard, stand in stands(route.target.client, index.name).items()}
        refresh(route.target.client, index.name)
        mapped = route.mapped_vectors()
        pages = changed_since(route.asking, index.name, {}, upto)
        return index.name, sum(not fits(one.source, route.target, mapped) for page in pages for one in page.documents)


def refresh_once(freshener: Freshener, progress: Progress) -> tuple[str, Moved]:
    """Looks at every product of the serving index, and embeds what needs it.

    A product that somebody writes meanwhile is left to that write: it counts as `kept`.

    Raises:
        EngineUnreachable, EngineBusy, EmbedderUnreachable, EmbedderNotReady: for longer than is waited.
        EngineError: a product is refused, or the index takes no writes.
    """
    index = serving_index(freshener.client, freshener.settings.alias)
    report = Report()
    with freshener.route(index, forever=False) as route:
        return index.name, mend(route, {}, counting(report, progress))


def follow(freshener: Freshener, progress: Progress, poll_s: float = POLL_S) -> Moved:
    """As `refresh_once`, then what is written from then on, about `poll_s` after it is; until told to stop.

    The alias may move meanwhile: the index that it points at then is looked at from its beginning. Engine and embedder
    may go away for as long as they like.
    """
    total = Moved()
    report = Report()
    name = ""
    after: Checkpoints = {}
    waiting = freshener.waiting(forever=True)
    client, alias = freshener.client, freshener.settings.alias
    try:
        while True:
            index = waiting.outlast(lambda: serving_index(client, alias))
            if index.name != name:
                if name:
                    freshener.say(f"{alias} is on {index.name} now")
                name, after = index.name, {}
            with freshener.route(index, forever=True) as route:
                while not freshener.stop.is_set():
                    far: dict[str, int] = dict(after)

                    def settled(checkpoints: Checkpoints, moved: Moved, far: dict[str, int] = far) -> None:
                        far.update(checkpoints)
                        count(report, moved, progress)

                    try:
                        total += mend(route, after, settled)
                    except EngineError as error:
                        if waiting.outlast(lambda: serving_index(client, alias)).name == name:
                            raise
                        freshener.say(f"left {name} behind: {error}")
                        break
                    after = far
                    freshener.pause(poll_s)
                    if waiting.outlast(lambda: serving_index(client, alias)).name != name:
                        break
            if freshener.stop.is_set():
                return total
    except Stopped:
        return total


def counting(report: Report, progress: Progress) -> Callable[[Checkpoints, Moved], None]:
    return lambda checkpoints, moved: count(report, moved, progress)


def count(report: Report, moved: Moved, progress: Progress) -> None:
    account = report.account
    account.read += moved.copied + moved.kept + moved.unembedded
    account.indexed += moved.copied
    account.embedded += moved.embedded
    account.newer += moved.kept
    account.rejected += moved.unembedded
    progress(report)
