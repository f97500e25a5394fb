"""An index made the same as another while others write to it, on each version of the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from prodsim.loaders.bulk.writer import BulkWriter, index_write
from prodsim.loaders.sync.asking import Asking
from prodsim.loaders.sync.changes import changed_since, stands
from prodsim.loaders.sync.moved import Moved
from prodsim.loaders.sync.stale import mend
from prodsim.loaders.sync.sync import Route, Sync
from prodsim.loaders.waiting import Waiting
from prodsim.plugin.building import new_index
from prodsim.plugin.config import Settings
from prodsim.plugin.moving import hold
from prodsim.plugin.moving.switching import writes_in_hand
from prodsim.plugin.shop import Shop
from tests.catalog_files import no_line
from tests.conftest import open_shop
from tests.filled_catalog import contents, fill, made_up
from tests.steady_writer import as_lists

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(params=["2.19.1", "3.5.0"])
def any_shop(request: pytest.FixtureRequest, settings_for: Callable[..., Settings], alias: str) -> Iterator[Shop]:
    """An alias of its own on each version."""
    others = {"engine_url": request.getfixturevalue("engine_3_url")} if request.param == "3.5.0" else {}
    with open_shop(settings_for(alias, **others)) as opened:
        yield opened


def unsettled(checkpoints: Mapping[str, int], moved: Moved) -> None:
    """For syncs whose checkpoints nobody keeps."""


@contextmanager
def route(shop: Shop, source: str, target: str) -> Iterator[Route]:
    with BulkWriter(shop.client, target) as writer, Asking(shop.client) as asking:
        yield Route(source, shop.target(target), writer, asking, Waiting(30, no_line))


@contextmanager
def synced(shop: Shop, count: int) -> Iterator[tuple[str, Sync]]:
    """(the target's name, a sync from the alias's index to it, one round done)."""
    source = fill(shop, count)
    target = new_index(shop)
    with route(shop, source, target) as chosen:
        sync = Sync(chosen, {}, unsettled)
        assert sync.round().copied == count
        yield target, sync


def same(shop: Shop, target: str) -> bool:
    return contents(shop) == contents(shop, target)


def plain(shop: Shop, method: str, sku: str, body: dict[str, Any] | None = None) -> Any:
    """A write by somebody who knows nothing of prodsim, past the pipeline's embedding."""
    call = getattr(shop.client, method)
    more = {"body": body} if body is not None else {}
    return call(index=shop.settings.alias, id=sku, **more, **({} if method == "delete" else PAST_PIPELINE))


PAST_PIPELINE = {"params": {"pipeline": "_none"}}


def test_everything_is_copied_with_its_vectors_and_none_is_embedded(any_shop: Shop) -> None:
    with synced(any_shop, 250) as (target, sync):
        assert same(any_shop, target)
        again = sync.round()
        assert (again.copied, again.embedded) == (0, 0)


def test_updates_deletes_and_recreations_by_others_are_carried_over(any_shop: Shop) -> None:
    with synced(any_shop, 60) as (target, sync):
        plain(any_shop, "index", "p1", made_up(any_shop, 1, price=99.0) | {"text_vector_384": [1.0] + [0.0] * 383})
        any_shop.client.update(index=any_shop.settings.alias, id="p2", body={"doc": {"stock": 4711}})
        plain(any_shop, "delete", "p3")
        plain(any_shop, "delete", "p4")
        plain(any_shop, "index", "p4", as_lists(made_up(any_shop, 4, title="Made anew")))
        plain(any_shop, "index", "p900", as_lists(made_up(any_shop, 900)))
        sync.round()
        sync.remove_gone()
        assert same(any_shop, target)
        assert "p3" not in contents(any_shop, target)


def test_a_product_made_anew_after_the_engine_forgot_its_deletion_is_carried_over(any_shop: Shop) -> None:
    alias = any_shop.settings.alias
    with synced(any_shop, 10) as (target, sync):
        for price in range(5):
            any_shop.client.update(index=alias, id="p1", body={"doc": {"price": price}})
        sync.round()
        any_shop.client.indices.put_settings(index=alias, body={"index.gc_deletes": "0s"})
        plain(any_shop, "delete", "p1")
        time.sleep(0.6)
        any_shop.client.indices.refresh(index=alias)
        plain(any_shop, "index", "p1", as_lists(made_up(any_shop, 1, title="Made anew")))
        assert any_shop.client.get(index=alias, id="p1")["_version"] == 1
        sync.round()
        assert same(any_shop, target)
        any_shop.client.update(index=alias, id="p1", body={"doc": {"price": 77}})
        sync.round()
        assert same(any_shop, target)


def test_products_written_while_pages_are_read_are_caught(any_shop: Shop) -> None:
    with synced(any_shop, 450) as (target, sync):
        alias = any_shop.settings.alias
        for number in range(0, 90, 3):
            any_shop.client.update(index=alias, id=f"p{number}", body={"doc": {"stock": 1}})
        seen: list[str] = []
        upto = {shard: stand.checkpoint for shard, stand in stands(any_shop.client, sync.route.source).items()}
        any_shop.client.indices.refresh(index=alias)
        for page in changed_since(sync.route.asking, sync.route.source, {}, upto):
            if not seen:
                any_shop.client.update(index=alias, id="p449", body={"doc": {"stock": 2}}, refresh=True)
            seen += [one.sku for one in page.documents]
        assert len(seen) == len(set(seen))
        sync.round()
        assert same(any_shop, target)


def test_an_older_loader_run_is_refused_in_the_target_as_it_was_in_the_source(shop: Shop) -> None:
    high = 1 << 50
    source = fill(shop, 20, versions=range(high, high + 20))
    target = new_index(shop)
    with route(shop, source, target) as chosen:
        Sync(chosen, {}, unsettled).round()
    with BulkWriter(shop.client, target) as writer:
        [older] = writer.write([index_write(made_up(shop, 5, price=1.5), high - 7)])
        [newer] = writer.write([index_write(made_up(shop, 6, price=2.5), high + 100)])
    assert (older.status, newer.status) == ("superseded", "written")
    assert contents(shop, target)["p6"]["price"] == 2.5


def test_only_what_lacks_a_right_vector_is_embedded(shop: Shop) -> None:
    with synced(shop, 30) as (target, sync):
        alias = shop.settings.alias
        wrong_text = as_lists(made_up(shop, 40, title="Its hash is of another text"))
        wrong_text["prodsim"]["text_hash"] = "0" * 64
        plain(shop, "index", "p40", wrong_text)
        no_vector = as_lists(made_up(shop, 41))
        del no_vector["text_vector_384"], no_vector["prodsim"]
        plain(shop, "index", "p41", no_vector)
        other_model = as_lists(made_up(shop, 42))
        other_model["prodsim"]["model"] = "other@1"
        other_model["text_vector_64"] = [0.5] * 64
        plain(shop, "index", "p42", other_model)
        moved = sync.round()
        assert (moved.copied, moved.embedded) == (3, 3)
        found = contents(shop, target)
        for sku in ("p40", "p41", "p42"):
            assert found[sku]["prodsim"]["model"] == shop.model.stamp
            assert len(found[sku]["text_vector_384"]) == 384
            assert "text_vector_64" not in found[sku]
        assert contents(shop, alias)["p42"]["prodsim"]["model"] == "other@1"


def test_stale_products_are_mended_where_they_are(shop: Shop) -> None:
    index = fill(shop, 20)
    stale = as_lists(made_up(shop, 3))
    stale["prodsim"]["text_hash"] = "0" * 64
    plain(shop, "index", "p3", stale)
    with route(shop, index, index) as chosen:
        told: list[dict[str, int]] = []
        moved = mend(chosen, {}, lambda checkpoints, _: told.append(dict(checkpoints)))
        assert (moved.copied, moved.embedded, moved.kept) == (1, 1, 0)
        assert mend(chosen, told[-1], unsettled).copied == 0


def test_writers_who_are_kept_waiting_see_no_error_and_build_on_what_came_first(any_shop: Shop) -> None:
    """What the swap and the drain rely on: an index holds its writers up, and lets a chosen one pass."""
    client, alias = any_shop.client, any_shop.settings.alias
    index = fill(any_shop, 5)
    before = hold.settings_before(client, index)
    hold.hold(client, index, before)
    with ThreadPoolExecutor(4) as services:
        waiting = [
            services.submit(client.index, index=alias, id="p7", body=as_lists(made_up(any_shop, 7))),
            services.submit(client.delete, index=alias, id="p2"),
            services.submit(client.update, index=alias, id="p3", body={"doc": {"price": 33}}),
            services.submit(client.bulk, index=alias, body=[{"update": {"_id": "p1"}}, {"doc": {"title": "Later"}}]),
        ]
        assert wait(waiting, timeout=1.0).done == set()
        with BulkWriter(client, index, first=True) as writer:
            [done] = writer.write([index_write(made_up(any_shop, 1, price=11.0), None)])
        assert done.status == "written"
        assert writes_in_hand(client, index) > 0
        assert wait(waiting, timeout=0.5).done == set()
        hold.release(client, index, before)
        answers = [one.result(timeout=10) for one in waiting]
    assert not answers[-1]["errors"]
    found = contents(any_shop, index)
    assert (found["p1"]["price"], found["p1"]["title"]) == (11.0, "Later")
    assert "p2" not in found
    assert found["p3"]["price"] == 33
    assert "p7" in found
    assert hold.settings_before(client, index) == before
    assert writes_in_hand(client, index) == 0


def test_without_embedding_a_changed_text_leaves_its_old_vector_behind(any_shop: Shop) -> None:
    with synced(any_shop, 4) as (target, sync):
        stale = as_lists(made_up(any_shop, 1))
        plain(any_shop, "index", "p1", stale | {"title": "Another title"})
        plain(any_shop, "index", "p2", as_lists(made_up(any_shop, 2, price=3.5)))
        quick = Sync(sync.route, sync.checkpoints, unsettled, embeds=False)
        moved = quick.round()
        assert (moved.copied, moved.embedded) == (2, 0)
        vector = f"text_vector_{any_shop.model.dimension}"
        found = contents(any_shop, target)
        assert vector not in found["p1"]
        assert found["p2"]["price"] == 3.5
        assert vector in found["p2"]
