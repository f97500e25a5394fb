"""The command line without an engine: exit codes, and errors of one line."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from prodsim.plugin.cli.main import run
from prodsim.plugin.errors import ExitCode

Admin = Callable[..., tuple[int, str, str]]
Answers = dict[str, tuple[int, str, str]]
Serve = Callable[[Answers], str]


@pytest.fixture(autouse=True)
def clean_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PRODSIM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRODSIM_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def admin(capsys: pytest.CaptureFixture[str]) -> Admin:
    """Runs a command; returns exit code, stdout, stderr. An exception that gets out of it fails the test."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
    return port


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives the answer (status, content type, body) named for each path, else 404."""
    servers = []

    def start(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, kind, body = answers.get(self.path.split("?")[0], (404, "application/json", "{}"))
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_HEAD(self) -> None:
                self.send_response(404)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def as_json(value: Any, status: int = 200) -> tuple[int, str, str]:
    return status, "application/json", json.dumps(value)


def engine(number: str = "2.19.1", plugins: tuple[str, ...] = ("opensearch-knn",), **about: str) -> Answers:
    """What an OpenSearch says of itself, and nothing more."""
    version = {"number": number, "distribution": "opensearch"} | about
    node = {"roles": ["data"], "plugins": [{"name": name} for name in plugins]}
    return {
        "/": as_json({"cluster_name": "shop", "version": version}),
        "/_nodes/plugins": as_json({"nodes": {"a": node}}),
    }


READY_EMBEDDER: Answers = {
    "/readyz": as_json({"status": "ready"}),
    "/v1/models": as_json({"data": [{"id": "m", "dimension": 4, "revision": "1", "max_tokens": 256, "max_items": 16}]}),
}


def products_file(folder: Path) -> str:
    path = folder / "products.csv"
    path.write_text("sku,title,price\na,Lamp,3\n", encoding="utf-8")
    return str(path)


def one_line(errors: str) -> str:
    """The one line of an error."""
    [line] = errors.splitlines()
    assert line.startswith("prodsim-admin: ")
    assert "Traceback" not in line
    return line


def test_an_unknown_setting_in_the_environment_is_a_usage_error(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODSIM_ENGINE_ULR", "http://x")
    for command in (["status"], ["load", "x.csv"], ["search", "x"], ["engine", "status"], ["embedder", "status"]):
        code, out, err = admin(*command)
        assert (code, out) == (ExitCode.USAGE, "")
        assert "PRODSIM_ENGINE_ULR" in one_line(err)
        assert "PRODSIM_ENGINE_URL" in err


def test_an_unknown_setting_in_prodsim_yaml_is_a_usage_error(admin: Admin, clean_folder: Path) -> None:
    (clean_folder / "prodsim.yaml").write_text("aliass: x\n")
    code, out, err = admin("status")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "unknown setting aliass in prodsim.yaml" in one_line(err)


@pytest.mark.parametrize(
    "command",
    [
        ["setup"],
        ["setup", "--dry-run", "--json"],
        ["status"],
        ["uninstall", "--yes"],
        ["load", "products.csv"],
        ["search", "x"],
        ["similar", "x"],
        ["reindex"],
        ["reindex", "--rollback"],
    ],
    ids=" ".join,
)
def test_without_an_engine_a_command_says_where_it_looked_and_what_to_do(
    admin: Admin, clean_folder: Path, closed_port: int, command: list[str]
) -> None:
    products_file(clean_folder)
    code, out, err = admin(*command, "--engine-url", f"http://127.0.0.1:{closed_port}")
    assert (code, out) == (ExitCode.FAILED, "")
    line = one_line(err)
    assert "127.0.0.1" in line
    assert str(closed_port) in line
    assert "prodsim-admin engine up" in line
    assert "engine_url" in line


def test_doctor_without_an_engine_reports_that_check_as_failed(admin: Admin, closed_port: int) -> None:
    code, out, err = admin("doctor", "--engine-url", f"http://127.0.0.1:{closed_port}", "--json")
    assert code == ExitCode.CHECK_FAILED
    [finding] = json.loads(out)
    assert (finding["check"], finding["state"]) == ("engine", "fail")
    assert "engine" in one_line(err)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/": (200, "text/html", "<html>a router's login page</html>")}, "not OpenSearch"),
        ({"/": (200, "application/json", "{broken")}, "not OpenSearch"),
        ({"/": as_json([1, 2])}, "not OpenSearch"),
        (engine("8.17.0", distribution=""), "not OpenSearch but Elasticsearch 8.17.0; check engine_url"),
        (engine("1.3.20"), "OpenSearch 1.3.20 is too old: prodsim needs 2.19 or newer"),
        (engine(plugins=("opensearch-ml",)), "no k-NN plugin on every node: install opensearch-knn"),
        ({"/": as_json({"error": "no"}, 401)}, "wants a login; set engine_username and engine_password"),
    ],
    ids=["web page", "broken", "list", "elasticsearch", "old", "no k-NN", "login"],
)
def test_an_engine_that_prodsim_cant_use_is_refused_with_the_reason(
    admin: Admin, serve: Serve, answers: Answers, words: str
) -> None:
    for command in ("status", "setup"):
        code, out, err = admin(command, "--engine-url", serve(answers))
        assert (code, out) == (ExitCode.FAILED, "")
        assert words in one_line(err)


@pytest.mark.parametrize("command", [["setup"], ["load", "products.csv"], ["reindex"]], ids=" ".join)
def test_without_an_embedder_nothing_is_installed_or_loaded(
    admin: Admin, clean_folder: Path, serve: Serve, closed_port: int, command: list[str]
) -> None:
    products_file(clean_folder)
    embedder_url = f"http://127.0.0.1:{closed_port}"
    code, out, err = admin(*command, "--engine-url", serve(engine()), "--embedder-url", embedder_url)
    assert (code, out) == (ExitCode.FAILED, "")
    line = one_line(err)
    assert embedder_url in line
    assert "prodsim-admin embedder up" in line


def test_an_embedder_that_still_loads_its_model_is_named_as_such(admin: Admin, serve: Serve) -> None:
    loading = serve({"/readyz": as_json({"error": {"message": "model m is loading"}}, 503)})
    code, _, err = admin("setup", "--engine-url", serve(engine()), "--embedder-url", loading)
    assert code == ExitCode.FAILED
    assert f"{loading} is not ready: model m is loading" in one_line(err)


def test_a_model_that_the_embedder_does_not_serve_is_refused_with_those_that_it_does(
    admin: Admin, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODSIM_MODEL", "other")
    code, _, err = admin("setup", "--engine-url", serve(engine()), "--embedder-url", serve(READY_EMBEDDER))
    assert code == ExitCode.FAILED
    assert "does not serve model 'other': there is m" in one_line(err)


@pytest.mark.parametrize("alias", ["Shop", "a b", "_x", "ü", "a,b", "a*"])
def test_an_alias_that_the_engine_would_refuse_is_a_usage_error(admin: Admin, alias: str) -> None:
    code, out, err = admin("reindex", "--rollback", "--alias", alias)
    assert (code, out) == (ExitCode.USAGE, "")
    assert f"'{alias}' can't be an alias: use lower-case letters" in one_line(err)


@pytest.mark.parametrize("command", [["setup"], ["load", "products.csv"], ["reindex", "--dry-run"]], ids=" ".join)
def test_no_command_sends_anything_for_an_alias_that_is_not_allowed(
    admin: Admin, clean_folder: Path, serve: Serve, command: list[str]
) -> None:
    products_file(clean_folder)
    where = ["--engine-url", serve(engine()), "--embedder-url", serve(READY_EMBEDDER)]
    code, out, err = admin(*command, "--alias", "Shop", *where)
    assert (code, out) == (ExitCode.USAGE, "")
    assert "can't be an alias" in one_line(err)


@pytest.mark.parametrize("extra", [[], ["--dry-run"]], ids=["load", "dry run"])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.csv", None, "missing.csv does not exist"),
        ("empty.csv", "", "empty.csv holds no rows"),
        ("empty.ndjson", "", "empty.ndjson holds no rows"),
        ("header.csv", "sku,title\n", "header.csv holds no rows"),
        (".", None, ". is a folder"),
        ("products.xls", "x", "unknown suffix .xls: known are .csv"),
        ("products", "x", "products has no suffix"),
        ("broken.json", "{", "broken.json"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0", "picture.csv is"),
    ],
)
def test_a_file_that_cant_be_read_ends_in_one_line_before_anything_is_sent(
    admin: Admin, clean_folder: Path, extra: list[str], name: str, content: str | bytes | None, words: str
) -> None:
    if content is not None:
        (clean_folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = admin("load", name, *extra)
    assert (code, out) == (ExitCode.FAILED, "")
    assert words in one_line(err)


def test_a_folder_with_a_files_name_is_refused(admin: Admin, clean_folder: Path) -> None:
    (clean_folder / "export.csv").mkdir()
    code, _, err = admin("load", "export.csv")
    assert code == ExitCode.FAILED
    assert "export.csv is a folder: name the files in it" in one_line(err)


def test_a_file_that_breaks_off_while_it_is_read_is_named(admin: Admin) -> None:
    code, _, err = admin("load", "/proc/self/mem", "--format", "csv", "--dry-run")
    assert code == ExitCode.FAILED
    assert "/proc/self/mem can't be read: Input/output error" in one_line(err)


def test_an_unknown_format_is_refused_with_those_there_are(admin: Admin, clean_folder: Path) -> None:
    code, _, err = admin("load", products_file(clean_folder), "--format", "cvs", "--dry-run")
    assert code == ExitCode.FAILED
    assert "unknown format 'cvs'" in one_line(err)


def test_a_missing_column_is_named_with_the_nearest_there_is(admin: Admin, clean_folder: Path) -> None:
    (clean_folder / "shop.csv").write_text("skuu,title\na,Lamp\n")
    code, out, err = admin("load", "shop.csv", "--dry-run")
    assert (code, out) == (ExitCode.FAILED, "")
    assert "shop.csv has no column 'sku' for sku (did you mean 'skuu'?)" in one_line(err)
    assert "catalog.yaml" in err


def test_a_missing_catalog_yaml_is_a_usage_error(admin: Admin, clean_folder: Path) -> None:
    code, _, err = admin("load", products_file(clean_folder), "--catalog", "nowhere.yaml")
    assert code == ExitCode.USAGE
    assert "nowhere.yaml does not exist" in one_line(err)


def test_all_that_is_wrong_with_a_catalog_yaml_is_said_at_once(admin: Admin, clean_folder: Path) -> None:
    (clean_folder / "catalog.yaml").write_text("fields:\n  sku: id\n  titel: name\n  price: [a, b]\n")
    code, _, err = admin("load", products_file(clean_folder), "--catalog", "catalog.yaml", "--dry-run")
    assert code == ExitCode.USAGE
    line = one_line(err)
    for words in ("no product field 'titel'", "title is missing", "price: is read from one"):
        assert words in line


def test_a_dry_run_says_what_would_be_loaded_and_why_rows_would_be_rejected(admin: Admin, clean_folder: Path) -> None:
    (clean_folder / "shop.csv").write_text("sku,title,price\na,Lamp,3\nb,,4\n")
    code, out, err = admin("load", "shop.csv", "--dry-run")
    assert (code, err) == (ExitCode.DONE, "")
    assert "2 rows, 1 products, 1 would be rejected" in out
    code, out, _ = admin("load", "shop.csv", "--dry-run", "--json")
    assert json.loads(out)["rejected"] == 1
    assert not list(clean_folder.glob("*.rejects.ndjson"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reindex", "--rollback", "x.csv"], "--rollback and FILE can't be asked for at once"),
        (["engine", "down", "--all", "--port", "9999"], "--all and --port exclude each other"),
        (["search", "x", "--engine-url", "localhost:9200"], "engine_url"),
        (["search", "x", "--embedder-url", "ftp://x"], "embedder_url"),
    ],
)
def test_options_that_dont_go_together_are_a_usage_error(admin: Admin, arguments: list[str], words: str) -> None:
    code, out, err = admin(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert words in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "x", "--sort", "price:up"], "the order is asc or desc"),
        (["search", "x", "--size", "0"], "--size"),
        (["search"], "TEXT"),
        (["similar"], "SKU"),
        (["load", "x.csv", "--colour", "x"], "--colour"),
        (["laod"], "laod"),
    ],
)
def test_a_wrong_call_shows_the_usage(admin: Admin, arguments: list[str], words: str) -> None:
    code, out, err = admin(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("Usage: prodsim-admin")
    assert words in err
    assert "Traceback" not in err


def test_an_embedder_that_cant_start_says_why_in_one_line(admin: Admin, closed_port: int) -> None:
    code, _, err = admin("embedder", "serve", "--model", "./nowhere", "--port", closed_port)
    assert code == ExitCode.FAILED
    assert "no model at ./nowhere" in one_line(err)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = admin("embedder", "serve", "--model", "fake-8", "--port", port)
    assert code == ExitCode.FAILED
    assert f"can't listen on 127.0.0.1 port {port}" in one_line(err)


def test_where_nothing_runs_the_commands_of_engine_and_embedder_say_so(
    admin: Admin, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("PRODSIM_EMBEDDER_URL", url)
    assert "none started with" in admin("embedder", "status")[1]
    assert json.loads(admin("embedder", "status", "--json")[1])["ready"] is False
    assert admin("embedder", "down")[:2] == (0, "no embedder of `up` is running\n")
    assert admin("embedder", "logs")[:2] == (0, "")
    assert json.loads(admin("engine", "status", "--json")[1]) == []
    code, out, err = admin("engine", "down", "--port", str(closed_port))
    assert (code, out, err) == (0, "", f"no engine is running on port {closed_port}\n")
