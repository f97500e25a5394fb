"""Services that write products through the alias with plain opensearch-py, and know nothing of prodsim."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.live.ledger import Ledger
from tests.live.shop import product, text

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

LONGEST_TRY_S = 180.0  # a service tries again for as long as that


@dataclass
class Seen:
    """What a writer saw: failures that went away, with how long they lasted, and what can't be explained."""

    writes: int = 0
    slowest_s: float = 0.0
    pauses: list[tuple[float, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Writer(threading.Thread):
    """Writes its own SKUs: creates, replaces, changes parts of, deletes, and brings deleted ones back."""

    def __init__(
        self, client: OpenSearch, alias: str, ledger: Ledger, name: str, skus: Sequence[str], seed: int, per_s: float
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.client, self.alias, self.ledger = client, alias, ledger
        self.skus = list(skus)
        self.lost: list[str] = []
        self.chance = random.Random(f"{seed} {name}")
        self.wait_s = 1 / per_s
        self.seen = Seen()
        self.ending = threading.Event()
        self.created = 0

    def run(self) -> None:
        while not self.ending.wait(self.chance.uniform(0, 2 * self.wait_s)):
            act = self.chance.choices(
                (self.create, self.replace, self.reprice, self.retitle, self.delete, self.bring_back, self.several),
                (2, 2, 3, 2, 1, 1, 1),
            )[0]
            try:
                act()
            except Exception as error:  # whatever a service sees counts
                self.seen.errors.append(f"{self.name} {act.__name__}: {type(error).__name__} {error}"[:400])

    def create(self) -> None:
        self.created += 1
        self.index(f"{self.name}-new-{self.created}")

    def replace(self) -> None:
        self.index(self.chance.choice(self.skus))

    def bring_back(self) -> None:
        if self.lost:
            self.index(self.lost.pop(self.chance.randrange(len(self.lost))))

    def index(self, sku: str) -> None:
        document = product(self.chance)
        self.call(lambda: self.client.index(index=self.alias, id=sku, body=document))
        self.ledger.holds(sku, document)
        if sku not in self.skus:
            self.skus.append(sku)

    def reprice(self) -> None:
        self.update({"price": round(self.chance.uniform(5, 900), 2), "stock": self.chance.randrange(50)})

    def retitle(self) -> None:
        self.update({"title": text(self.chance)})

    def update(self, part: dict[str, Any]) -> None:
        sku = self.chance.choice(self.skus)
        # a service that changes a product which is there is entitled to find it: a 404 is a lost write
        self.call(lambda: self.client.update(index=self.alias, id=sku, body={"doc": part}, retry_on_conflict=3))
        self.ledger.changed(sku, part)

    def delete(self) -> None:
        sku = self.chance.choice(self.skus)
        self.call(lambda: self.client.delete(index=self.alias, id=sku), fine_again=404)
        self.ledger.gone(sku)
        self.skus.remove(sku)
        self.lost.append(sku)

    def several(self) -> None:
        """One bulk request, of replacements and partial updates."""
        chosen = self.chance.sample(self.skus, min(6, len(self.skus)))
        whole = {sku: product(self.chance) for sku in chosen[::2]}
        parts = {sku: {"title": text(self.chance), "stock": 7} for sku in chosen[1::2]}
        body: list[dict[str, Any]] = []
        for sku, document in whole.items():
            body += [{"index": {"_id": sku}}, document]
        for sku, part in parts.items():
            body += [{"update": {"_id": sku, "retry_on_conflict": 3}}, {"doc": part}]

        def send() -> None:
            answer = self.client.bulk(index=self.alias, body=body)
            if answer["errors"]:
                raise RefusedItems(str([item for item in answer["items"] if "error" in next(iter(item.values()))]))

        self.call(send)
        for sku, document in whole.items():
            self.ledger.holds(sku, document)
        for sku, part in parts.items():
            self.ledger.changed(sku, part)

    def call(self, send: Callable[[], object], fine_again: int | None = None) -> None:
        """Until it is acknowledged. `fine_again`: a status that says, after a failure, that it had gone through."""
        from opensearchpy.exceptions import TransportError

        began = time.monotonic()
        failed = ""
        while True:
            try:
                send()
                break
            except (TransportError, RefusedItems) as error:
                if failed and getattr(error, "status_code", None) == fine_again:
                    break
                failed = failed or f"{self.name}: {error}"[:400]
                if time.monotonic() - began > LONGEST_TRY_S or getattr(error, "status_code", None) == 404:
                    raise
                time.sleep(0.05)
        took_s = time.monotonic() - began
        self.seen.writes += 1
        self.seen.slowest_s = max(self.seen.slowest_s, took_s)
        if failed:
            self.seen.pauses.append((took_s, failed))


class RefusedItems(Exception):
    """Some items of a bulk request were refused."""
