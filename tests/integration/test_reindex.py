"""A catalog moved to a new index, resumed, given up and taken back, on the real engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opensearchpy.exceptions import AuthorizationException, NotFoundError

from prodsim.loaders.load import Options as LoadOptions
from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.loaders.request import Request
from prodsim.plugin import indexes, loads
from prodsim.plugin.cli.moving import describe
from prodsim.plugin.doctor import doctor
from prodsim.plugin.errors import CheckFailed, EngineError, LeaseHeld, LeaseLost, NotFound, UsageError
from prodsim.plugin.moving import audit, hold, lease, machine, store
from prodsim.plugin.moving.ending import remove_index
from prodsim.plugin.moving.preflight import find_problems, incompatible
from prodsim.plugin.moving.record import Operation, Options
from prodsim.plugin.moving.surroundings import Move
from prodsim.plugin.ranking.applying import apply_profile
from prodsim.plugin.ranking.applying import rollback as go_back
from prodsim.plugin.ranking.files import default_profile
from prodsim.plugin.shop import Shop
from tests.catalog_files import no_line, no_report
from tests.filled_catalog import contents, fill, made_up, unwatched
from tests.steady_writer import SteadyWriter, as_lists

if TYPE_CHECKING:
    from prodsim.embedder.client import EmbedderClient


class NoEmbedder:
    """Answers what a move asks before it begins, and counts everything else."""

    def __init__(self, real: EmbedderClient) -> None:
        self.real = real
        self.texts = 0

    def embed(self, texts: list[str], **others: Any) -> Any:
        self.texts += len(texts)
        return self.real.embed(texts, **others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def reindex(shop: Shop, **options: Any) -> Operation:
    return machine.start(shop, "reindex", Options(**options), unwatched, no_line)


def behind(shop: Shop) -> list[str]:
    return indexes.indexes_behind(shop.client, shop.settings.alias)


def existing(shop: Shop) -> list[str]:
    return [index.name for index in indexes.product_indexes(shop.client, shop.settings.alias)]


def stopped_at(shop: Shop, phase: str, kind: str = "reindex") -> Operation:
    """A move that stopped before that phase, its lease given back."""

    class Stopped(Exception):
        pass

    def stop(move: Move) -> None:
        raise Stopped

    before = machine.STEPS[phase]  # type: ignore[index]  # a phase by name
    machine.STEPS[phase] = stop  # type: ignore[index]
    try:
        with suppress(Stopped):
            machine.start(shop, kind, Options(), unwatched, no_line)  # type: ignore[arg-type]
    finally:
        machine.STEPS[phase] = before  # type: ignore[index]
    found = machine.status(shop.client, shop.settings.alias)
    assert found is not None
    assert found.phase == phase
    return found


def test_a_reindex_with_the_same_model_copies_all_and_asks_the_embedder_for_nothing(shop: Shop) -> None:
    fill(shop, 250)
    before = contents(shop)
    counting = NoEmbedder(shop.embedder)
    operation = reindex(replace(shop, embedder=counting))  # type: ignore[arg-type]
    assert (operation.phase, operation.tally.copied, operation.tally.embedded) == ("done", 250, 0)
    assert counting.texts == 1  # preflight asks whether it is ready
    assert behind(shop) == [operation.target]
    assert contents(shop) == before
    settings = shop.client.indices.get_settings(index=operation.target)[operation.target]["settings"]["index"]
    assert settings.get("refresh_interval") != "-1"
    assert not {"gc_deletes", "write", "routing"} & set(settings)
    aliases = shop.client.indices.get_alias(index=operation.target)[operation.target]["aliases"]
    assert set(aliases) == {shop.settings.alias}
    actions = [entry["action"] for entry in audit.entries(shop.client, shop.settings.alias)]
    assert {"start reindex", "swap"} <= set(actions)


def test_writes_during_a_reindex_and_a_rollback_are_all_there(shop: Shop) -> None:
    source = fill(shop, 200)
    with SteadyWriter(shop) as writer:
        wait_until(lambda: writer.writes > 20)
        assert reindex(shop).phase == "done"
        seen = writer.writes
        wait_until(lambda: writer.writes > seen + 20)
        assert machine.rollback(shop, unwatched, no_line).phase == "rolled_back"
        assert behind(shop) == [source]
        seen = writer.writes
        wait_until(lambda: writer.writes > seen + 20)
        writer.check(200)


def test_the_old_index_takes_no_writes_after_the_move_and_is_removed_by_retire(shop: Shop) -> None:
    source = fill(shop, 50)
    reindex(shop)
    with pytest.raises(AuthorizationException, match="block"):
        shop.client.index(index=source, id="late", body={"title": "late"})
    assert machine.retire(shop.client, shop.settings.alias, no_line) == source
    assert source not in existing(shop)
    with pytest.raises(NotFound, match="nothing to go back to"):
        machine.rollback(shop, unwatched, no_line)


@pytest.mark.parametrize("phase", ["create", "backfill", "catch_up", "validate", "warm_up", "swap", "drain"])
def test_a_move_that_stopped_goes_on_from_any_phase(shop: Shop, phase: str) -> None:
    fill(shop, 40)
    before = contents(shop)
    stopped_at(shop, phase)
    with pytest.raises(UsageError, match="--resume"):
        reindex(shop)
    assert machine.resume(shop, unwatched, no_line).phase == "done"
    assert contents(shop) == before


@pytest.mark.parametrize("phase", ["create", "backfill", "validate", "swap"])
def test_a_move_that_is_given_up_leaves_the_alias_as_it_was_and_nothing_behind(shop: Shop, phase: str) -> None:
    source = fill(shop, 40)
    stopped = stopped_at(shop, phase)
    assert machine.abort(shop.client, shop.settings.alias, no_line).phase == "aborted"
    assert behind(shop) == [source]
    assert existing(shop) == [source]
    with pytest.raises(NotFoundError):
        shop.client.ingest.get_pipeline(id=f"prodsim-{stopped.target}")
    assert reindex(shop).phase == "done"


def test_a_move_that_stopped_at_the_swap_keeps_writers_waiting_and_says_so(shop: Shop) -> None:
    fill(shop, 20)
    stopped = stopped_at(shop, "drain")
    with ThreadPoolExecutor(1) as service:
        written = service.submit(
            shop.client.index, index=shop.settings.alias, id="p3", body=as_lists(made_up(shop, 3, price=77.0))
        )
        assert wait([written], timeout=1.0).done == set()
        [finding] = [one for one in doctor(shop.client, shop.settings, shop.embedder) if one.check == "moves"]
        assert finding.state == "fail"
        assert "WAITING" in finding.message
        assert "reindex --alias" in finding.message
        assert any("WAIT" in line for line in describe(stopped))
        assert machine.resume(shop, unwatched, no_line).phase == "done"
        written.result(timeout=10)
    assert contents(shop)["p3"]["price"] == 77.0
    assert not [one for one in doctor(shop.client, shop.settings, shop.embedder) if one.check == "moves"]


def test_a_move_that_stopped_just_after_it_let_the_writers_through_keeps_what_they_wrote(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def let_through_and_stop(client: Any, index: str, before: Any) -> None:
        release(client, index, before)
        raise Killed

    release = hold.release
    fill(shop, 20)
    monkeypatch.setattr(hold, "release", let_through_and_stop)
    with pytest.raises(Killed):
        reindex(shop)
    monkeypatch.setattr(hold, "release", release)
    shop.client.index(index=shop.settings.alias, id="new", body=as_lists(made_up(shop, 500, sku="new")))
    shop.client.update(index=shop.settings.alias, id="p3", body={"doc": {"price": 77.0}})
    assert machine.resume(shop, unwatched, no_line).phase == "done"
    found = contents(shop)
    assert "new" in found
    assert found["p3"]["price"] == 77.0


def test_a_move_that_has_swapped_is_not_given_up(shop: Shop) -> None:
    fill(shop, 20)
    stopped_at(shop, "drain")
    with pytest.raises(UsageError, match="--rollback"):
        machine.abort(shop.client, shop.settings.alias, no_line)


def test_a_rollout_rests_until_it_is_promoted(shop: Shop) -> None:
    source = fill(shop, 100)
    operation = machine.start(shop, "rollout", Options(), unwatched, no_line)
    assert operation.phase == "ready"
    assert behind(shop) == [source]
    shop.client.update(index=shop.settings.alias, id="p7", body={"doc": {"price": 4.25}})
    shop.client.delete(index=shop.settings.alias, id="p8")
    assert machine.resume(shop, unwatched, no_line).phase == "ready"
    assert machine.promote(shop, unwatched, no_line).phase == "done"
    assert behind(shop) == [operation.target]
    found = contents(shop)
    assert found["p7"]["price"] == 4.25
    assert "p8" not in found


def test_a_failed_validation_stops_before_the_swap_unless_forced(shop: Shop) -> None:
    source = fill(shop, 60)
    stopped = stopped_at(shop, "validate")
    broken = contents(shop, stopped.target)["p5"] | {"title": "Not what the source holds"}
    shop.client.index(index=stopped.target, id="p5", body=broken, params={"pipeline": "_none"})
    with pytest.raises(CheckFailed, match=r"contents.*p5"):
        machine.resume(shop, unwatched, no_line)
    assert behind(shop) == [source]
    machine.resume(shop, unwatched, no_line, Options(force="it is a test"))
    assert behind(shop) == [stopped.target]
    [forced] = [entry for entry in audit.entries(shop.client, shop.settings.alias) if entry["action"] == "force"]
    assert forced["reason"] == "it is a test"


def test_synonyms_of_a_profile_count_after_a_reindex_that_asks_the_embedder_for_nothing(shop: Shop) -> None:
    def found(words: str) -> int:
        query = {"match": {"title": {"query": words, "operator": "and"}}}
        return int(shop.client.count(index=shop.settings.alias, body={"query": query})["count"])

    fill(shop, 30)
    rules = ("Gizmo, WIDGET => product", "whole number, number")
    profile = default_profile().model_copy(update={"name": "ours", "synonyms": rules})
    applied = apply_profile(shop.client, shop.settings.alias, profile)
    try:
        assert f"reindex --alias {shop.settings.alias}" in applied.warnings[0]
        assert found("gizmo") == 0
        assert reindex(shop).tally.embedded == 0
        assert found("gizmo") == found("Widget") == 30
        assert found("whole number 7") == 1
        assert found("whole") == 0
        assert apply_profile(shop.client, shop.settings.alias, profile).warnings == []
        body = {"id": "prodsim-search", "params": {"q": "gizmo whole number 7", "fields": ["*"]}}
        assert shop.client.search_template(index=shop.settings.alias, body=body)["hits"]["hits"][0]["_id"] == "p7"
    finally:
        go_back(shop.client)
    assert reindex(shop).phase == "done"
    assert found("gizmo") == 0


def test_preflight_tells_everything_that_is_wrong_at_once(shop: Shop) -> None:
    source = fill(shop, 5)
    shop.client.indices.put_settings(index=source, body={"index.blocks.read_only_allow_delete": False})
    shop.client.index(index=source, id="routed", body=as_lists(made_up(shop, 99)), params={"routing": "x"})
    shop.client.indices.refresh(index=source)
    shop.client.indices.put_settings(index=source, body={"index.blocks.write": True})
    problems = list(find_problems(shop, indexes.serving_index(shop.client, shop.settings.alias)))
    assert len(problems) == 2
    assert any("routing" in problem for problem in problems)
    assert any("blocked" in problem for problem in problems)
    with pytest.raises(CheckFailed, match=r"blocked.*routing"):
        reindex(shop)
    assert existing(shop) == [source]
    assert list(incompatible({"a": {"type": "text"}}, {"a": {"type": "long"}})) == [
        "field a is text and becomes long, which refuses such values"
    ]


def test_no_index_behind_an_alias_and_none_of_others_is_removed(shop: Shop) -> None:
    source = fill(shop, 5)
    alias = shop.settings.alias
    with pytest.raises(EngineError, match="behind alias"):
        remove_index(shop.client, alias, source)
    foreign = f"{alias}-000009"
    shop.client.indices.create(index=foreign, body={"mappings": {"_meta": {"prodsim": {}}}})
    if indexes.as_product_index(foreign, shop.client.indices.get(index=foreign)[foreign]) is None:
        with pytest.raises(EngineError, match="not made by prodsim"):
            remove_index(shop.client, alias, foreign)
    assert shop.client.indices.exists(index=source)


def test_of_two_moves_at_once_one_works_and_the_other_says_who_holds_the_lease(shop: Shop) -> None:
    fill(shop, 100)
    outcomes: list[Any] = []

    def move() -> None:
        try:
            outcomes.append(reindex(shop).phase)
        except (LeaseHeld, UsageError) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=move) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "done" in outcomes
    [refused] = [outcome for outcome in outcomes if outcome != "done"]
    assert isinstance(refused, LeaseHeld)
    assert f"process {os.getpid()}" in str(refused)


def test_a_lease_that_ran_out_is_taken_over_and_its_owner_can_write_no_more(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shop, 40)
    stopped = stopped_at(shop, "catch_up")
    client, alias = shop.client, shop.settings.alias
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    first = lease.take(client, alias, as_it_is)  # never renewed, as a process that is stopped
    first.adopt(stopped.target)
    move = Move(first, shop, unwatched, no_line)
    with move.route(stopped.source, stopped.target) as route:
        second = lease.take(client, alias, as_it_is, wait_s=5)
        second.adopt(stopped.target)
        from prodsim.loaders.bulk.writer import index_write

        with pytest.raises(LeaseLost):
            route.writer.write([index_write(made_up(shop, 1, price=666.0), None)])
    assert contents(shop, stopped.target)["p1"]["price"] != 666.0
    with pytest.raises(LeaseLost):
        first.update(phase="swap")
    fence = first.fenced_name(stopped.target)
    assert not first.change_aliases(
        [
            {"remove": {"index": stopped.target, "alias": fence, "must_exist": True}},
            {"add": {"index": stopped.target, "alias": alias}},
        ]
    )
    assert behind(shop) == [stopped.source]
    second.close()


def test_a_stopped_process_that_wakes_after_its_lease_ran_out_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(shop, 1500)
    before = contents(shop)
    monkeypatch.setattr(lease, "LEASE_S", 2.0)
    names = ("alias", "home", "engine_url", "embedder_url")
    environment = {f"PRODSIM_{name.upper()}": str(getattr(shop.settings, name)) for name in names}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("prodsim-admin")), "reindex", "--max-docs-per-second", "100"],
        env={**os.environ, **environment, "PRODSIM_LEASE_S": "2"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(lambda: copied(shop) > 200)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        done = machine.resume(shop, unwatched, no_line, Options(max_docs_per_s=0))
        assert done.phase == "done"
        moved_to = behind(shop)
        process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "took over" in printed
    assert behind(shop) == moved_to
    assert contents(shop) == before
    found = store.find(shop.client, shop.settings.alias)
    assert found is not None
    assert found.operation.phase == "done"


def test_a_load_that_runs_through_a_move_goes_on_in_the_new_index(shop: Shop, tmp_path: Path) -> None:
    fill(shop, 10)
    file = tmp_path / "more.csv"
    rows = [f"n{number},Load number {number},{number}" for number in range(2000)]
    file.write_text("\n".join(["sku,title,price", *rows]) + "\n", encoding="utf-8")
    said: list[str] = []
    asked = Request([str(file)], load_catalog(None), tmp_path / "x.rejects.ndjson", options=LoadOptions())
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(loads.load(shop, asked, no_report, said.append)))
    thread.start()
    wait_until(lambda: shop.client.count(index=shop.settings.alias)["count"] > 10)
    operation = reindex(shop)
    thread.join()
    assert outcomes[0].account.indexed == 2000
    shop.client.indices.refresh(index=shop.settings.alias)
    assert set(contents(shop)) >= {f"n{number}" for number in range(2000)}
    assert behind(shop) == [operation.target]


def as_it_is(before: Operation | None) -> Operation:
    assert before is not None
    return before


def copied(shop: Shop) -> int:
    found = store.find(shop.client, shop.settings.alias)
    return found.operation.tally.copied if found else 0


def wait_until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
