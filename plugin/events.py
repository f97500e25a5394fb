"""Event files (views, purchases): customers pseudonymised, small groups suppressed, counts with optional noise.

A customer id is replaced by HMAC-SHA-256 under a key that only this process sees, before anything is stored: without
the key nobody can tell whose events they are, with it `forget` finds a customer's. What is kept: `docs/data-map.md`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from .errors import CatalogError, CheckFailed, ConfigError

KEPT = ("type", "sku", "query", "position", "day")
TYPES = ("view", "purchase", "click", "add_to_cart")
SHORTEST_KEY_BYTES = 16
PSEUDONYM_CHARACTERS = 32


def pseudonym(customer: str, key: str) -> str:
    """128 bits of HMAC-SHA-256, in hex: the same customer has the same one as long as the key stays.

    Raises:
        ConfigError: the key is too short to keep a secret.
    """
    if len(key.encode()) < SHORTEST_KEY_BYTES:
        raise ConfigError(
            f"pseudonym_key is shorter than {SHORTEST_KEY_BYTES} bytes: make one with 'openssl rand -hex 32'"
        )
    return hmac.new(key.encode(), customer.strip().encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_CHARACTERS]


@dataclass(frozen=True)
class Ingested:
    read: int
    stored: int
    rejected: int


def read_events(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, event) of an NDJSON file; an event that is no JSON object is None."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    event = orjson.loads(line)
                except orjson.JSONDecodeError:
                    event = None
                yield number, event if isinstance(event, dict) else None
    except OSError as error:
        raise CatalogError(f"{path} can't be read: {error.strerror}") from None


def as_stored(event: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """What is kept of an event: no field but KEPT and the pseudonym, the time cut to its day; None for no event."""
    customer, sku, kind = event.get("customer"), event.get("sku"), event.get("type")
    if not isinstance(customer, str | int) or not str(customer).strip() or not sku or kind not in TYPES:
        return None
    kept = {name: event[name] for name in KEPT if event.get(name) is not None}
    if isinstance(event.get("time"), str):
        kept["day"] = event["time"][:10]
    return {"customer": pseudonym(str(customer), key), **kept, "sku": str(sku)}


def ingest(source: Path, store: Path, key: str) -> Ingested:
    """Appends the events of `source` to `store`; what can't be used is counted, never kept."""
    read = stored = 0
    with replaced(store) as file:
        if store.exists():
            file.write(store.read_bytes())
        for _, event in read_events(source):
            read += 1
            kept = as_stored(event, key) if event is not None else None
            if kept is not None:
                stored += 1
                file.write(orjson.dumps(kept) + b"\n")
    return Ingested(read, stored, read - stored)


@dataclass(frozen=True)
class Forgotten:
    """`files` maps each store to the events removed from it."""

    files: dict[str, int]

    @property
    def removed(self) -> int:
        return sum(self.files.values())


def forget(customer: str, stores: Iterable[Path], key: str, dry_run: bool = False) -> Forgotten:
    """Removes a customer's events, reads every store again, and says how many were removed.

    Raises:
        CheckFailed: an event is still there: the store was written to meanwhile.
    """
    name = pseudonym(customer, key)
    removed: dict[str, int] = {}
    for store in stores:
        count = count_of(store, name)
        removed[str(store)] = count
        if count and not dry_run:
            with replaced(store) as file:
                for _, event in read_events(store):
                    if event is not None and event.get("customer") != name:
                        file.write(orjson.dumps(event) + b"\n")
            if count_of(store, name) or name.encode() in store.read_bytes():
                raise CheckFailed(
                    f"{store} still holds events of that customer: it was written to meanwhile; run it again"
                )
    return Forgotten(removed)


def count_of(store: Path, name: str) -> int:
    return sum(1 for _, event in read_events(store) if event is not None and event.get("customer") == name)


@contextmanager
def replaced(store: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `store` once it is whole and on disk; only its owner reads it."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{store.name}-", dir=store.parent)
    except OSError as error:
        raise CatalogError(f"{store} can't be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, store)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def published_counts(
    store: Path, k: int, epsilon: float | None = None, per_customer: int = 10
) -> dict[str, dict[str, int]]:
    """Events by SKU and type. A group of fewer than `k` customers is left out.

    With `epsilon` the counts are differentially private: each customer counts for at most `per_customer` (SKU, type)
    pairs and once for each, and noise of OpenDP's geometric mechanism with sensitivity `per_customer` is added before
    the threshold. That is (epsilon, delta) privacy, where delta, the chance that a group of one customer shows at all,
    is below exp(-(k - 1) * epsilon / per_customer). It holds for each publication; several add their epsilons.

    Raises:
        ConfigError: opendp is not installed.
    """
    customers: dict[tuple[str, str], set[str]] = {}
    events: dict[tuple[str, str], int] = {}
    pairs_of: dict[str, set[tuple[str, str]]] = {}
    for _, event in read_events(store):
        if event is None:
            continue
        pair = (str(event["sku"]), str(event["type"]))
        seen = pairs_of.setdefault(event["customer"], set())
        if epsilon is not None and pair not in seen and len(seen) >= per_customer:
            continue
        seen.add(pair)
        customers.setdefault(pair, set()).add(event["customer"])
        events[pair] = events.get(pair, 0) + 1
    noisy = with_noise({pair: len(who) for pair, who in customers.items()}, epsilon, per_customer)
    published: dict[str, dict[str, int]] = {}
    for pair, who in sorted(customers.items()):
        size = noisy[pair] if epsilon is not None else len(who)
        if size >= k:
            published.setdefault(pair[0], {})[pair[1]] = noisy[pair] if epsilon is not None else events[pair]
    return published


def with_noise(
    counts: Mapping[tuple[str, str], int], epsilon: float | None, sensitivity: int
) -> dict[tuple[str, str], int]:
    if epsilon is None:
        return dict(counts)
    try:
        import opendp.prelude as dp
    except ImportError:
        raise ConfigError("--epsilon needs opendp: pip install 'prodsim[privacy]'") from None
    dp.enable_features("contrib")
    space = dp.atom_domain(T=int), dp.absolute_distance(T=int)
    mechanism = dp.m.make_geometric(*space, scale=sensitivity / epsilon)
    return {pair: int(mechanism(count)) for pair, count in counts.items()}
