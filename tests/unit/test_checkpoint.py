"""The checkpoint: what it says of a load holds, in whatever order batches end and wherever it was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsim.loaders.account import Account
from prodsim.loaders.checkpoint import Checkpoint, Duplicate, Run, Settled, SettledAs, new_version
from prodsim.plugin.errors import CatalogError

RUN = Run(version=new_version(), index="products-000001", made_index=True, last_writes={"0": 41})
IDENTITY = {"mode": "upsert", "sources": {"a.csv": "123"}}


def settle(checkpoint: Checkpoint, batch: int, rows: list[Settled]) -> Account:
    rejected = sum(row.outcome == "rejected" for row in rows)
    return checkpoint.settle(batch, len(rows), rows, [], 0, 0, 0, rejected)


def test_it_is_what_it_was_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "loads" / "products.checkpoint"
    with Checkpoint.begin(path, IDENTITY, RUN) as checkpoint:
        checkpoint.settle(0, 3, [Settled("a", 1, 2, "indexed"), Settled("b", 2, 3, "rejected")], [], 1, 0, 99, 2)
        checkpoint.settle(4, 1, [Settled("c", 9, 10, "unchanged")], [], 0, 0, 120, 0)
    reopened = Checkpoint.reopen(path)
    assert reopened is not None
    with reopened:
        assert (reopened.run, reopened.identity) == (RUN, IDENTITY)
        assert reopened.batches_done == {0, 4}
        assert reopened.rejects_bytes == 120
        assert reopened.account == Account(read=4, indexed=1, unchanged=1, rejected=2, embedded=1)
        assert reopened.among(["a", "b", "c", "d"]) == {"a", "b", "c"}
        reopened.finish()
    assert Checkpoint.reopen(path) is None
    assert list(path.parent.iterdir()) == []


@given(
    skus=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30),
    outcomes=st.lists(st.sampled_from(["indexed", "unchanged", "rejected"]), min_size=30, max_size=30),
    order=st.randoms(),
)
def test_the_account_adds_up_and_the_last_row_of_a_sku_counts_in_whatever_order_batches_end(
    skus: list[str], outcomes: list[SettledAs], order: object
) -> None:
    rows = [
        Settled(sku, position, position + 1, outcome)
        for position, (sku, outcome) in enumerate(zip(skus, outcomes, strict=False), start=1)
    ]
    batches = list(enumerate(rows))
    order.shuffle(batches)  # type: ignore[attr-defined]  # a random.Random
    with Checkpoint.begin(None, IDENTITY, RUN) as checkpoint:
        for number, row in batches:
            account = settle(checkpoint, number, [row])
            assert account.adds_up
    valid = [row for row in rows if row.outcome != "rejected"]
    last = {row.sku: row for row in valid}
    assert account.read == len(rows)
    assert account.rejected == len(rows) - len(valid)
    assert account.duplicates == len(valid) - len(last)
    assert account.indexed == sum(row.outcome == "indexed" for row in last.values())


def test_a_row_that_a_later_one_replaced_is_listed_with_the_line_that_counts(tmp_path: Path) -> None:
    with Checkpoint.begin(None, IDENTITY, RUN) as checkpoint:
        settle(checkpoint, 1, [Settled("a", 600, 601, "indexed")])
        settle(checkpoint, 0, [Settled("a", 3, 4, "unchanged")])
        settle(checkpoint, 2, [Settled("a", 1200, 1201, "indexed")])
        assert checkpoint.duplicates(10) == [Duplicate("a", 4, 601), Duplicate("a", 601, 1201)]


@pytest.mark.parametrize("damage", [b"", b"not a database" * 500, "half", "table", "page"])
def test_a_damaged_one_is_refused_and_never_half_believed(tmp_path: Path, damage: bytes | str) -> None:
    path = tmp_path / "products.checkpoint"
    with Checkpoint.begin(path, IDENTITY, RUN) as checkpoint:
        for batch in range(50):
            settle(checkpoint, batch, [Settled(f"sku-{batch}-{n}", batch * 20 + n, n, "indexed") for n in range(20)])
        if damage == "table":
            checkpoint.connection.execute("DROP TABLE seen")
    content = path.read_bytes()
    match damage:
        case "half":
            path.write_bytes(content[: len(content) // 2])
        case "page":
            path.write_bytes(content[:4096] + b"\xff" * 8192 + content[12288:])
        case bytes():
            path.write_bytes(damage)
    with pytest.raises(CatalogError, match="is damaged"):
        Checkpoint.reopen(path)
    with Checkpoint.begin(path, IDENTITY, RUN) as fresh:
        assert fresh.account == Account()


def test_versions_of_a_later_run_are_above_all_rows_of_an_earlier_one() -> None:
    assert new_version() + 900_000 < new_version() + (2 << 20)
    assert new_version() + 10**12 < 2**63
