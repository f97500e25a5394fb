"""PostgreSQL as a source: a real server, in a temporary folder and on a free port."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from prodsim.loaders.preparing.catalog import checked_rows, load_catalog
from prodsim.loaders.reading.readers import ReadOptions, read_rows
from prodsim.plugin.errors import CatalogError

psycopg = pytest.importorskip("psycopg")
PASSWORD = "p@ss/w:rd%S3CRET"
USER = "postgres"


def server_programs() -> Path:
    """The folder of PostgreSQL's own programs, installed from Debian's packages where they are missing."""
    for install in (False, True):
        if install:
            if os.geteuid() != 0 or shutil.which("apt-get") is None:
                pytest.skip("PostgreSQL is not installed, and only root on Debian can install it: postgresql")
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            command = ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]
            subprocess.run(["apt-get", "update"], env=environment, capture_output=True, check=False)
            done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
            if done.returncode:
                pytest.skip(f"PostgreSQL could not be installed: {done.stderr.strip().splitlines()[-1:]}")
        if found := sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
            return found[-1].parent
        if (alone := shutil.which("postgres")) and shutil.which("initdb"):
            return Path(alone).resolve().parent
    pytest.skip("PostgreSQL is not to be found after its installation")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a database; the server refuses to run as root, so root starts it as PostgreSQL's own user."""
    programs = server_programs()
    owner = USER if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="prodsim-postgres-"))
    process = None
    try:
        (folder / "password").write_text(PASSWORD)
        if owner:
            shutil.chown(folder, USER, USER)
            shutil.chown(folder / "password", USER, USER)
        port = free_port()
        made = f"{programs}/initdb -D data -U shop --auth scram-sha-256 --pwfile password --encoding UTF8 --locale C"
        settings = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        started = f"{programs}/postgres -D data -p {port} {settings}"
        subprocess.run(made.split(), check=True, capture_output=True, cwd=folder, user=owner, group=owner)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(started.split(), stdout=log, stderr=log, cwd=folder, user=owner, group=owner)
        wait_until_up(process, port, folder / "log")
        yield f"postgresql://shop:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connect(port).close()
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"PostgreSQL does not start: {log.read_text()[-2_000:]}")


def connect(port: int) -> Any:
    return psycopg.connect(host="127.0.0.1", port=port, user="shop", password=PASSWORD, dbname="postgres")


@pytest.fixture(scope="module")
def shop(server: str) -> str:
    with connect(int(server.rpartition(":")[2].partition("/")[0])) as database:
        database.execute(
            "CREATE TABLE products (sku text PRIMARY KEY, title text, price numeric(12, 2), on_hand bigint, added date,"
            " changed timestamptz, tags text[], attributes jsonb, code uuid, picture bytea, sold boolean)"
        )
        database.execute(
            "INSERT INTO products VALUES ('A1', 'Grüner Tee 100%', 1299.90, 3, '2024-01-31', '2024-01-31 12:30:00+00',"
            """ '{bio,tea}', '{"color": "green", "size": {"g": 500}}', '12345678-1234-5678-1234-567812345678',"""
            " '\\xff00', true), ('A2', 'Tea :ok', NULL, 0, NULL, NULL, '{}', NULL, NULL, NULL, false)"
        )
        database.execute(
            "CREATE TABLE many AS SELECT 'M' || n AS sku, 'Product ' || n || repeat('x', 200) AS title"
            " FROM generate_series(1, 60000) n"
        )
    return server


def rows_of(url: str, query: str) -> list[dict[str, object]]:
    return [row.values for row in read_rows(url, options=ReadOptions(query=query))]


def refusal(url: str, query: str) -> str:
    with pytest.raises(CatalogError) as caught:
        rows_of(url, query)
    message = str(caught.value)
    assert "S3CRET" not in message
    assert "\n" not in message
    return message


def test_values_come_as_json_would_hold_them(shop: str) -> None:
    source = read_rows(shop, options=ReadOptions(query="SELECT * FROM products ORDER BY sku"))
    assert source.name == shop.replace(quote(PASSWORD, safe=""), "").replace("shop:@", "shop@")
    assert source.header is None  # a column holds objects, whose names are in the rows
    first, second = source
    assert first.line == 1
    assert first.values == {
        "sku": "A1",
        "title": "Grüner Tee 100%",
        "price": 1299.9,
        "on_hand": 3,
        "added": "2024-01-31",
        "changed": "2024-01-31T12:30:00+00:00",
        "tags": ["bio", "tea"],
        "attributes": {"color": "green", "size": {"g": 500}},
        "code": "12345678-1234-5678-1234-567812345678",
        "picture": b"\xff\x00",
        "sold": True,
    }
    assert second.values["price"] is None


def test_a_query_is_taken_as_it_stands(shop: str) -> None:
    assert rows_of(shop, "SELECT sku FROM products WHERE title LIKE '%100%'") == [{"sku": "A1"}]
    assert rows_of(shop, "WITH x AS (SELECT * FROM products) SELECT sku FROM x WHERE title ~ ':ok';") == [{"sku": "A2"}]
    assert rows_of(shop, "SELECT on_hand::text AS stock FROM products WHERE sku = 'A1'") == [{"stock": "3"}]
    source = read_rows(shop, options=ReadOptions(query="SELECT sku, title FROM products"))
    assert source.header == ("sku", "title")


def test_rows_stream_from_the_server(shop: str) -> None:
    rows_of(shop, "SELECT * FROM many LIMIT 5000")
    peaks = []
    for count in (5_000, 60_000):
        tracemalloc.start()
        source = read_rows(shop, options=ReadOptions(query=f"SELECT * FROM many LIMIT {count}"))
        assert sum(1 for _ in source) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 200_000


def test_the_first_rows_come_before_the_last_are_made(shop: str) -> None:
    begun = time.monotonic()
    slow = "SELECT n AS sku, pg_sleep(CASE WHEN n > 2000 THEN 5 ELSE 0 END)::text AS x FROM generate_series(1, 5000) n"
    assert next(read_rows(shop, options=ReadOptions(query=slow))).values["sku"] == 1
    assert time.monotonic() - begun < 5


def test_nothing_is_written_to_the_database(shop: str) -> None:
    for query in ("DELETE FROM products", "WITH gone AS (DELETE FROM products RETURNING sku) SELECT * FROM gone"):
        refusal(shop, query)
    assert len(rows_of(shop, "SELECT sku FROM products")) == 2


def test_what_can_not_be_read_is_said_in_one_line_without_the_password(shop: str) -> None:
    name = read_rows(shop, options=ReadOptions(query="SELECT 1 AS sku")).name
    assert refusal(shop, "SELECT * FROM gone") == f'{name}: relation "gone" does not exist'
    assert refusal(shop, "SELEKT 1").startswith(f'{name}: syntax error at or near "SELEKT"')
    assert refusal(shop, "SELECT sku FROM products WHERE false") == f"{name} holds no rows"
    assert "names a column twice" in refusal(shop, "SELECT sku, sku FROM products")
    assert "password authentication failed" in refusal(shop.replace("S3CRET", "S3CRETS"), "SELECT 1")
    assert 'database "gone" does not exist' in refusal(shop.replace("/postgres", "/gone"), "SELECT 1")


def test_a_connection_that_breaks_off_is_said_in_one_line(shop: str, capfd: pytest.CaptureFixture[str]) -> None:
    source = read_rows(shop, options=ReadOptions(query="SELECT sku, pg_backend_pid() AS pid FROM many"))
    first = next(source)
    rows_of(shop, f"SELECT pg_terminate_backend({first.values['pid']}) AS done")
    with pytest.raises(CatalogError, match=r"terminating connection due to administrator command|closed") as caught:
        list(source)
    assert str(caught.value).startswith(source.name)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_source_that_is_left_early_closes_its_connection_whatever_became_of_it(
    shop: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = read_rows(shop, options=ReadOptions(query="SELECT sku, pg_backend_pid() AS pid FROM many"))
    pid = next(source).values["pid"]
    assert rows_of(shop, f"SELECT pid FROM pg_stat_activity WHERE pid = {pid}")
    del source
    gc.collect()
    time.sleep(0.2)  # the server takes a moment to see it
    with pytest.raises(CatalogError, match="holds no rows"):
        rows_of(shop, f"SELECT pid FROM pg_stat_activity WHERE pid = {pid}")
    source = read_rows(shop, options=ReadOptions(query="SELECT sku, pg_backend_pid() AS pid FROM many"))
    rows_of(shop, f"SELECT pg_terminate_backend({next(source).values['pid']}) AS done")
    del source
    gc.collect()
    assert capfd.readouterr().err == ""


def test_a_catalog_can_be_checked_from_a_database(shop: str, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("fields:\n  sku: sku\n  title: title\n  price: price\n  stock: on_hand\n")
    source = read_rows(shop, options=ReadOptions(query="SELECT * FROM products ORDER BY sku"))
    rows = list(checked_rows(load_catalog(catalog), source))
    assert [row.values["sku"] for row in rows] == ["A1", "A2"]
