"""The harness itself: on a catalog that nothing moves it finds nothing wrong, and it finds what was broken."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.plugin.indexes import serving_index
from tests.live.checks import check, differences, vector_problems
from tests.live.ledger import Ledger
from tests.live.traffic import Traffic

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

pytestmark = pytest.mark.timeout(900)


def test_on_a_calm_catalog_nothing_is_wrong_and_what_is_broken_is_found(
    client: OpenSearch, embedder: EmbedderClient, alias: str, load_shop: Callable[[int, int], Ledger]
) -> None:
    ledger = load_shop(600, 1)
    with Traffic(client, alias, ledger, seed=1, writes_per_s=40, reads_per_s=20) as traffic:
        time.sleep(10)
    print(traffic.describe())  # noqa: T201  figures of a run
    check(traffic.problems(), "seen by services and customers")
    check(differences(client, alias, ledger), "index and ledger")
    check(vector_problems(client, alias, embedder, all_fresh=False), "vectors")
    assert traffic.writes > 100

    lost, back, changed = sorted(ledger.products)[-3:]
    index = serving_index(client, alias).name
    client.delete(index=index, id=lost)
    ledger.gone(back)
    client.update(index=index, id=changed, body={"doc": {"price": 0.5}})
    client.index(index=index, id="stranger", body={"title": "Chair"})
    found = differences(client, alias, ledger)
    assert {line.split(" has ")[0] for line in found} == {
        f"{lost} is lost",
        f"{back} is back from the dead",
        "stranger came from nowhere",
        changed,
    }
    client.update(index=index, id="anchor-1", body={"doc": {"text_vector_384": [0.05] * 384}})
    client.index(
        index=index,
        id="anchor-2",
        body={"title": "x", "prodsim": {"model": "other@1", "text_hash": ""}},
        params={"pipeline": "_none"},
    )
    wrong = vector_problems(client, alias, embedder, all_fresh=True)
    assert any(line.startswith("anchor-2 has no vector") for line in wrong)
