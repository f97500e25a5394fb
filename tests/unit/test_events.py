"""Views and purchases without customers in them."""

from __future__ import annotations

import math
from pathlib import Path

import orjson
import pytest

from prodsim.plugin.errors import ConfigError
from prodsim.plugin.events import forget, ingest, pseudonym, published_counts

KEY = "a key of thirty-two bytes or more"


def write(path: Path, *events: object) -> Path:
    path.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    return path


def view(customer: str, sku: str = "A-1", **others: object) -> dict[str, object]:
    return {"customer": customer, "type": "view", "sku": sku, **others}


def test_nothing_that_names_a_customer_is_stored(tmp_path: Path) -> None:
    event = view(
        "maria@example.com", email="maria@example.com", ip="10.1.2.3", time="2026-05-01T10:11:12Z", query="lamp"
    )
    store = tmp_path / "store"
    done = ingest(write(tmp_path / "events", event, {"type": "view"}, "x", view("  ")), store, KEY)
    assert (done.read, done.stored, done.rejected) == (4, 1, 3)
    [kept] = [orjson.loads(line) for line in store.read_bytes().splitlines()]
    assert kept == {
        "customer": pseudonym("maria@example.com", KEY),
        "type": "view",
        "sku": "A-1",
        "query": "lamp",
        "day": "2026-05-01",
    }
    assert b"maria" not in store.read_bytes()
    assert store.stat().st_mode & 0o077 == 0


def test_a_pseudonym_depends_on_the_key_and_a_short_key_is_refused() -> None:
    assert pseudonym("c-1", KEY) == pseudonym(" c-1 ", KEY)
    assert len({pseudonym("c-1", KEY), pseudonym("c-2", KEY), pseudonym("c-1", KEY + "x")}) == 3
    with pytest.raises(ConfigError, match="shorter than 16 bytes"):
        pseudonym("c-1", "short")


def test_a_forgotten_customer_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    stores = [tmp_path / "one", tmp_path / "two"]
    for store in stores:
        ingest(write(tmp_path / "events", view("c-1"), view("c-2"), view("c-1", "B-2")), store, KEY)
    assert forget("c-1", stores, KEY, dry_run=True).removed == 4
    done = forget("c-1", stores, KEY)
    assert done.files == {str(store): 2 for store in stores}
    for store in stores:
        assert pseudonym("c-1", KEY).encode() not in store.read_bytes()
        assert store.read_bytes().count(b"\n") == 1
    assert forget("c-1", stores, KEY).removed == 0


def test_small_groups_are_left_out(tmp_path: Path) -> None:
    store = tmp_path / "store"
    many = [view(f"c-{number}") for number in range(10)]
    loud = [view("c-1", "B-2") for _ in range(50)]  # one customer, however often
    ingest(write(tmp_path / "events", *many, *loud), store, KEY)
    assert published_counts(store, k=10) == {"A-1": {"view": 10}}
    assert published_counts(store, k=11) == {}


def test_private_counts_are_noisy_about_the_truth_and_bound_each_customer(tmp_path: Path) -> None:
    pytest.importorskip("opendp")
    store = tmp_path / "store"
    ingest(write(tmp_path / "events", *(view(f"c-{n}") for n in range(400) for _ in range(3))), store, KEY)
    found = [published_counts(store, 10, epsilon=1.0, per_customer=1)["A-1"]["view"] for _ in range(200)]
    mean = sum(found) / len(found)
    spread = math.sqrt(sum((number - mean) ** 2 for number in found) / len(found))
    assert abs(mean - 400) < 1  # customers, not events; 9 standard errors
    assert 0.7 < spread < 2.2  # the two-sided geometric of scale 1 has 1.36
    one = write(tmp_path / "one", *(view("c-1", f"S-{n}") for n in range(100)))
    greedy = tmp_path / "greedy"
    ingest(one, greedy, KEY)
    assert sum(len(types) for types in published_counts(greedy, -(10**9), 1.0, per_customer=5).values()) == 5
