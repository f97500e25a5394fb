"""The commands as a person types them, on the real engine and embedder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prodsim.mappings.bundle import TextModel, index_body
from prodsim.plugin.cli import progress
from prodsim.plugin.cli.main import run
from prodsim.plugin.client import connect
from prodsim.plugin.errors import ExitCode
from prodsim.plugin.indexes import indexes_behind, product_indexes
from tests.conftest import ROOT
from tests.documented_runs import DEFAULT_EMBEDDER, DEFAULT_ENGINE, matches, replay

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.config import Settings
    from prodsim.plugin.shop import Shop

Admin = Callable[..., tuple[int, str, str]]
PRODUCTS = [
    {"sku": "a", "title": "Desk lamp with a clamp", "price": 39.9, "stock": 3},
    {"sku": "b", "title": "Floor lamp, linen shade", "price": 89, "stock": 1},
    {"sku": "c", "title": "Mountain bike", "price": 700, "stock": 2},
]


@pytest.fixture
def client(settings_for: Callable[..., Settings], alias: str) -> OpenSearch:
    return connect(settings_for(alias))


def forget(client: OpenSearch, alias: str) -> None:
    """Removes an alias's indexes with all that was installed for it."""
    client.indices.delete(index=f"{alias}-0*", ignore=[404])
    client.indices.delete_index_template(name=f"prodsim-{alias}", ignore=[404])
    for path in ("/_ingest/pipeline", "/_search/pipeline"):
        client.transport.perform_request("DELETE", f"{path}/prodsim-{alias}-0*", params={"ignore": (404,)})


@pytest.fixture
def in_shell(
    settings_for: Callable[..., Settings],
    alias: str,
    client: OpenSearch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Path]:
    """A folder to stand in, with settings in the environment and an alias of its own."""
    settings = settings_for(alias)
    monkeypatch.chdir(tmp_path)
    for name in ("alias", "home", "engine_url", "embedder_url"):
        monkeypatch.setenv(f"PRODSIM_{name.upper()}", str(getattr(settings, name)))
    yield tmp_path
    forget(client, alias)


@pytest.fixture
def admin(in_shell: Path, capsys: pytest.CaptureFixture[str]) -> Admin:
    """Runs a command; returns exit code, stdout, stderr. An exception that gets out of it fails the test."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def write(folder: Path, products: list[dict[str, Any]]) -> str:
    file = folder / "shop.ndjson"
    file.write_text("".join(json.dumps(product) + "\n" for product in products), encoding="utf-8")
    return file.name


@pytest.fixture
def loaded(admin: Admin, in_shell: Path) -> str:
    """The name of a file that is loaded."""
    file = write(in_shell, PRODUCTS)
    code, out, err = admin("load", file)
    assert (code, err) == (0, "")
    assert "3 read = 3 indexed + 0 unchanged + 0 rejected" in out
    return file


def error_of(outcome: tuple[int, str, str], code: int) -> str:
    """The one line of a command that ended with that code."""
    assert (outcome[0], outcome[1]) == (code, "")
    [line] = outcome[2].splitlines()
    assert line.startswith("prodsim-admin: ")
    return line


def test_rejected_rows_end_in_exit_code_5_and_the_name_of_the_file_that_holds_them(
    admin: Admin, in_shell: Path
) -> None:
    file = write(in_shell, [*PRODUCTS, {"sku": "d", "title": ""}])
    code, out, err = admin("load", file, "--json")
    assert code == ExitCode.PARTLY_LOADED
    assert err == "1 rows were rejected: see shop.rejects.ndjson\n"
    report = json.loads(out)
    assert (report["read"], report["indexed"], report["rejected"]) == (4, 3, 1)
    assert report["rejects"] == "shop.rejects.ndjson"
    [rejected] = (in_shell / report["rejects"]).read_text(encoding="utf-8").splitlines()
    assert json.loads(rejected)["sku"] == "d"


def test_dry_runs_of_load_and_setup_leave_the_cluster_as_it_was(
    admin: Admin, in_shell: Path, client: OpenSearch, alias: str
) -> None:
    code, out, err = admin("load", write(in_shell, PRODUCTS), "--dry-run")
    assert (code, err) == (0, "")
    assert "3 rows, 3 products, 0 would be rejected" in out
    code, out, err = admin("setup", "--dry-run")
    assert (code, err) == (0, "")
    assert f"create     index template        prodsim-{alias}" in out
    assert indexes_behind(client, alias) == []
    assert not client.indices.exists_index_template(name=f"prodsim-{alias}")


def test_status_shows_the_catalog_for_people_and_as_json(admin: Admin, loaded: str, alias: str) -> None:
    code, out, err = admin("status", "--json")
    assert (code, err) == (0, "")
    state = json.loads(out)
    assert state["bundle"]["state"] == "current"
    [catalog] = [found for found in state["catalogs"] if found["index"] == f"{alias}-000001"]
    assert (catalog["aliases"], catalog["products"], catalog["without_vector"]) == ([alias], 3, 0)
    assert f"{alias}-000001" in admin("status")[1]


def test_doctor_finds_nothing_wrong_with_what_was_just_loaded(admin: Admin, loaded: str) -> None:
    code, out, err = admin("doctor", "--json")
    assert (code, err) == (0, "")
    assert {finding["check"] for finding in json.loads(out) if finding["state"] != "ok"} <= {"cluster"}  # yellow


def test_a_search_answers_by_meaning(admin: Admin, loaded: str) -> None:
    code, out, _ = admin("search", "two wheels for the hills", "--json")
    assert code == 0
    assert json.loads(out)["hits"][0]["sku"] == "c"
    code, out, err = admin("search", "lamp", "--price-max", "50", "--facets")
    assert code == 0
    assert "Desk lamp with a clamp" in out
    assert "Floor lamp" not in out
    assert err.startswith("1 of 1 hits in ")


def test_a_field_that_nothing_can_be_sorted_by_is_named(admin: Admin, loaded: str) -> None:
    assert "colour" in error_of(admin("search", "lamp", "--sort", "colour"), ExitCode.FAILED)


def test_similar_products_leave_the_product_itself_out(admin: Admin, loaded: str) -> None:
    code, out, _ = admin("similar", "a", "--json")
    assert code == 0
    skus = [hit["sku"] for hit in json.loads(out)["hits"]]
    assert skus[0] == "b"
    assert "a" not in skus


def test_an_unknown_sku_and_an_unknown_catalog_are_not_found(admin: Admin, loaded: str, alias: str) -> None:
    assert f"there is no product nope in {alias}" in error_of(admin("similar", "nope"), ExitCode.NOT_FOUND)
    commands = (["search", "x"], ["similar", "x"], ["reindex"], ["reindex", "--dry-run"], ["reindex", "--rollback"])
    for command in commands:
        line = error_of(admin(*command, "--alias", f"{alias}-other"), ExitCode.NOT_FOUND)
        assert f"there is no catalog {alias}-other" in line


def test_reindex_and_rollback_move_the_alias_and_their_dry_runs_do_not(
    admin: Admin, loaded: str, client: OpenSearch, alias: str
) -> None:
    first, second = f"{alias}-000001", f"{alias}-000002"
    code, out, _ = admin("reindex", "--dry-run")
    assert code == 0
    assert f"would build {second}" in out
    assert f"copying 3 products of {first}" in out
    assert [index.name for index in product_indexes(client, alias)] == [first]

    code, out, _ = admin("reindex")
    assert code == 0
    assert f"before: {first}, kept for 'prodsim-admin reindex --alias {alias} --rollback'" in out
    assert indexes_behind(client, alias) == [second]

    assert admin("reindex", "--rollback", "--dry-run")[0] == 0
    assert indexes_behind(client, alias) == [second]
    code, out, _ = admin("reindex", "--rollback")
    assert (code, out.splitlines()[0]) == (0, f"{alias}: reindex {first} -> {second} back: rolled_back")
    assert indexes_behind(client, alias) == [first]
    assert "no earlier index" in error_of(admin("reindex", "--rollback"), ExitCode.NOT_FOUND)


def test_reindex_from_a_file_replaces_the_catalog(admin: Admin, loaded: str, in_shell: Path) -> None:
    code, out, err = admin("reindex", write(in_shell, [*PRODUCTS[:1], {"sku": "d", "title": ""}]), "--json")
    assert (code, json.loads(out)["indexed"]) == (ExitCode.PARTLY_LOADED, 1)
    assert "shop.rejects.ndjson" in err
    assert json.loads(admin("search", "", "--json")[1])["total"] == 1


def test_uninstall_asks_first_and_a_no_or_a_dry_run_changes_nothing(
    admin: Admin, loaded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = admin("uninstall", "--dry-run")
    assert code == 0
    assert "delete     search template       prodsim-search" in out
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    code, out, err = admin("uninstall")
    assert code == ExitCode.FAILED
    assert "Remove all of this?" in err
    assert json.loads(admin("status", "--json")[1])["bundle"]["state"] == "current"


def test_an_alias_on_two_indexes_is_refused_by_every_command_that_would_write(
    admin: Admin, in_shell: Path, client: OpenSearch, alias: str
) -> None:
    names = [f"{alias}-000001", f"{alias}-000002"]
    for name in names:
        client.indices.create(index=name)
    client.indices.put_alias(index=f"{alias}-0*", name=alias)
    for command in (["setup"], ["load", write(in_shell, PRODUCTS)], ["reindex"], ["reindex", "--rollback"]):
        assert ", ".join(names) in error_of(admin(*command), ExitCode.FAILED)


def test_an_index_with_vectors_of_another_length_is_refused_with_both_models(
    admin: Admin, in_shell: Path, client: OpenSearch, alias: str
) -> None:
    client.indices.create(index=f"{alias}-000001", body=index_body(TextModel("other", "1", 512)))
    client.indices.put_alias(index=f"{alias}-000001", name=alias)
    for command in (["setup"], ["setup", "--dry-run"], ["load", write(in_shell, PRODUCTS)]):
        line = error_of(admin(*command), ExitCode.FAILED)
        for words in (f"{alias}-000001", "other", "512-d", "all-minilm-l6-v2", "384-d", "reindex"):
            assert words in line


def test_a_load_that_no_row_survives_fails_and_leaves_no_catalog(
    admin: Admin, in_shell: Path, client: OpenSearch, alias: str
) -> None:
    outcome = admin("load", write(in_shell, [{"sku": "a", "title": ""}]))
    assert "none of the 1 rows became a product" in error_of(outcome, ExitCode.FAILED)
    assert indexes_behind(client, alias) == []
    assert (in_shell / "shop.rejects.ndjson").exists()


def test_the_runs_in_the_documentation_print_what_it_shows(
    example: Shop, in_shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_shell / "examples").symlink_to(ROOT / "examples")
    monkeypatch.delenv("PRODSIM_ALIAS")
    monkeypatch.setattr(progress, "LINE_EVERY_S", 3600)  # on a slow day a load says how far it is
    settings = example.settings
    page = ROOT / "docs" / "commands.md"
    runs = replay(page, {DEFAULT_ENGINE: settings.engine_url, DEFAULT_EMBEDDER: settings.embedder_url})
    try:
        different = [f"$ {shown.command}\n{printed}" for shown, printed in runs if not matches(shown.output, printed)]
    finally:
        for alias in ("products", "lamps"):
            forget(example.client, alias)
    if different:
        pytest.fail("docs/commands.md shows something else than:\n" + "\n".join(different), pytrace=False)
