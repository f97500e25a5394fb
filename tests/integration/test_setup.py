"""Setup, status, doctor and uninstall against real engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from prodsim.plugin import ml
from prodsim.plugin.doctor import doctor
from prodsim.plugin.errors import EngineError
from prodsim.plugin.indexes import swap
from prodsim.plugin.resources import installed_resources
from prodsim.plugin.setup import setup
from prodsim.plugin.status import status
from prodsim.plugin.uninstall import uninstall

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.shop import Shop


def everything(client: OpenSearch) -> dict[str, Any]:
    """All that a cluster keeps beside its indexes' documents."""
    names = [(kind, found.name) for kind in ("connectors", "models", "model_groups") for found in ml.find(client, kind)]
    return {
        "resources": installed_resources(client),
        "ml": sorted(names),
        "component templates": client.cluster.get_component_template(ignore=[404]).get("component_templates", []),
        "settings": client.cluster.get_settings(flat_settings=True),
        "aliases": client.indices.get_alias(index="*,-.*"),
    }


def pending(changes: list[Any]) -> list[str]:
    return [f"{change.action} {change.kind} {change.name}" for change in changes if change.action != "unchanged"]


def test_setup_twice_changes_nothing_the_second_time(shop: Shop) -> None:
    setup(shop.client, shop.settings, shop.model)
    before = everything(shop.client)
    assert pending(setup(shop.client, shop.settings, shop.model)) == []
    assert everything(shop.client) == before


def test_a_dry_run_shows_the_difference_and_changes_nothing(shop: Shop) -> None:
    before = everything(shop.client)
    changes = setup(shop.client, shop.settings, shop.model, dry_run=True)
    assert f"create index template prodsim-{shop.settings.alias}" in pending(changes)
    assert everything(shop.client) == before

    setup(shop.client, shop.settings, shop.model)
    shop.client.put_script(id="prodsim-search", body={"script": {"lang": "mustache", "source": '{"size": 1}'}})
    [stale] = [change for change in setup(shop.client, shop.settings, shop.model, dry_run=True) if change.diff]
    assert stale.name == "prodsim-search"
    assert '-{"size": 1}' in stale.diff
    setup(shop.client, shop.settings, shop.model)


def test_uninstall_leaves_nothing_but_the_indexes_which_stay_searchable(example: Shop) -> None:
    client = example.client
    try:
        uninstall(client)
        left = everything(client)
        assert left["resources"] == []
        assert left["ml"] == []
        assert left["component templates"] == []
        assert left["settings"] == {"persistent": {}, "transient": {}}
        assert client.count(index="example")["count"] == 689
        assert client.search(index="example", body={"query": {"match": {"title": "jacket"}}})["hits"]["hits"]
        client.index(index="example", id="written-after", body={"title": "x"}, refresh=True)
        client.delete(index="example", id="written-after", refresh=True)
        assert uninstall(client) == []
    finally:
        setup(client, example.settings, example.model)
    assert pending(setup(client, example.settings, example.model)) == []


def test_settings_that_a_shop_had_before_come_back(example: Shop) -> None:
    client = example.client
    logger = "logger.org.opensearch.ml.processor.MLInferenceSearchRequestProcessor"
    try:
        uninstall(client)
        client.cluster.put_settings(body={"persistent": {logger: "WARN"}})
        setup(client, example.settings, example.model)
        assert client.cluster.get_settings(flat_settings=True)["persistent"][logger] == "OFF"
        uninstall(client)
        assert client.cluster.get_settings(flat_settings=True)["persistent"] == {logger: "WARN"}
    finally:
        client.cluster.put_settings(body={"persistent": {logger: None}})
        setup(client, example.settings, example.model)


def test_status_and_doctor_find_a_healthy_catalog_healthy(example: Shop) -> None:
    setup(example.client, example.settings, example.model)
    state = status(example.client, example.settings, example.embedder)
    assert state["engine"]["mode"] == "engine"
    assert state["embedder"]["model"] == "all-minilm-l6-v2"
    assert state["bundle"]["state"] == "current"
    [catalog] = [found for found in state["catalogs"] if "example" in found["aliases"]]
    assert (catalog["products"], catalog["without_vector"], catalog["vectors"]) == (689, 0, "current")
    findings = doctor(example.client, example.settings, example.embedder)
    # tests before this one may have had the embedder fail, and the indexes of some want replicas
    assert {finding.check for finding in findings if finding.state != "ok"} <= {"cluster", "fallbacks"}
    [similar] = [finding for finding in findings if finding.check == "similar"]
    assert similar.message == "the engine reaches its own stored vectors"


def test_doctor_says_what_is_missing_and_how_to_mend_it(shop: Shop) -> None:
    shop.client.delete_script(id="prodsim-similar", ignore=[404])
    findings = doctor(shop.client, shop.settings, shop.embedder)
    [bundle] = [finding for finding in findings if finding.check == "bundle"]
    assert "prodsim-similar" in bundle.message
    assert f"prodsim-admin setup --alias {shop.settings.alias}" in bundle.message
    [catalog] = [finding for finding in findings if finding.check == "catalog"]
    assert "prodsim-admin load" in catalog.message
    setup(shop.client, shop.settings, shop.model)


def test_an_alias_on_two_indexes_is_refused_with_both_names(shop: Shop) -> None:
    alias = shop.settings.alias
    for name in (f"{alias}-000001", f"{alias}-000002"):
        shop.client.indices.create(index=name)
    shop.client.indices.put_alias(index=f"{alias}-0*", name=alias)
    with pytest.raises(EngineError, match=f"{alias}-000001, {alias}-000002"):
        setup(shop.client, shop.settings, shop.model)


def test_a_name_that_is_an_index_already_is_refused(shop: Shop) -> None:
    shop.client.indices.create(index=shop.settings.alias)
    try:
        with pytest.raises(EngineError, match="is an index and not an alias"):
            setup(shop.client, shop.settings, shop.model)
    finally:
        shop.client.indices.delete(index=shop.settings.alias)


def test_an_index_that_others_made_is_left_alone(shop: Shop) -> None:
    alias = shop.settings.alias
    shop.client.indices.create(index=f"{alias}-000001")
    swap(shop.client, alias, f"{alias}-000001")
    with pytest.raises(EngineError, match="which prodsim did not make"):
        setup(shop.client, shop.settings, shop.model)


def test_without_ml_commons_the_bundle_is_installed_for_callers_that_bring_the_vector(example_3: Shop) -> None:
    assert pending(setup(example_3.client, example_3.settings, example_3.model)) == []
    state = status(example_3.client, example_3.settings, example_3.embedder)
    assert state["engine"]["mode"] == "client"
    assert state["bundle"]["state"] == "current"
    findings = doctor(example_3.client, example_3.settings, example_3.embedder)
    assert [finding.check for finding in findings if finding.state == "fail"] == []
    assert any("params.vector" in finding.message for finding in findings)
