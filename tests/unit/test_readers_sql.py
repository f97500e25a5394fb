"""SQL databases as sources, on SQLite; tests/integration/test_sql_sources.py has PostgreSQL."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from prodsim.loaders.reading.readers import ReadOptions, open_sources, read_rows
from prodsim.plugin.errors import ProdsimError, UsageError

pytest.importorskip("sqlalchemy")
QUERY = "SELECT * FROM products ORDER BY sku"


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE products (sku TEXT, title TEXT, price REAL, stock INTEGER, picture BLOB)")
        database.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?, ?)",
            [("A1", "Grüner Tee", 9.99, 3, b"\xff\x00"), ("A2", "100% Tea :ok", None, 0, None)],
        )
        database.commit()
    return f"sqlite:///{tmp_path}/shop.db"


def refusal(url: str, query: str | None = QUERY) -> str:
    with pytest.raises(ProdsimError) as caught:
        list(read_rows(url, options=ReadOptions(query=query)))
    message = str(caught.value)
    assert "\n" not in message
    assert "sqlalche.me" not in message
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return message


def test_a_query_gives_its_rows(shop: str) -> None:
    source = read_rows(shop, options=ReadOptions(query=QUERY))
    assert (source.name, source.format) == (shop, "sql")
    assert source.header == ("sku", "title", "price", "stock", "picture")
    first, second = source
    assert first.line == 1
    assert first.values == {"sku": "A1", "title": "Grüner Tee", "price": 9.99, "stock": 3, "picture": b"\xff\x00"}
    assert second.values == {"sku": "A2", "title": "100% Tea :ok", "price": None, "stock": 0, "picture": None}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT sku FROM products WHERE title LIKE '100%'",
        "SELECT sku FROM products WHERE title LIKE '%:ok' ;\n",
        "WITH x AS (SELECT * FROM products WHERE stock = 0) SELECT sku FROM x",
    ],
)
def test_a_query_is_taken_as_it_stands(shop: str, query: str) -> None:
    assert [row.values for row in read_rows(shop, options=ReadOptions(query=query))] == [{"sku": "A2"}]


def test_text_that_is_no_utf8_costs_no_other_row(shop: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("INSERT INTO products (sku, title) VALUES ('A3', CAST(x'FF41' AS TEXT))")
        database.commit()
    assert [row.values["title"] for row in read_rows(shop, options=ReadOptions(query=QUERY))][1:] == [
        "100% Tea :ok",
        b"\xffA",
    ]


def test_nothing_is_written_to_the_database(shop: str) -> None:
    for query in ("DELETE FROM products", "DELETE FROM products RETURNING sku", "DROP TABLE products"):
        assert refusal(shop, query).endswith("attempt to write a readonly database")
    assert len(list(read_rows(shop, options=ReadOptions(query=QUERY)))) == 2


def test_a_cell_of_20_mb_costs_its_row_only(shop: str) -> None:
    query = "SELECT 'B1' AS sku, replace(hex(zeroblob(10485760)), '00', 'xx') AS title UNION ALL SELECT 'B2', 'x'"
    long, other = read_rows(shop, options=ReadOptions(query=query))
    assert long.problem == "title has 20,971,520 characters, and a row may have 16 MiB: shorten it"
    assert other.values["sku"] == "B2"


def test_what_can_not_be_read_is_said_in_one_line(shop: str, tmp_path: Path) -> None:
    assert refusal(shop, "SELECT * FROM gone").endswith("shop.db: no such table: gone")
    assert refusal(shop, "SELEKT 1").endswith('shop.db: near "SELEKT": syntax error')
    assert refusal(shop, "SELECT sku FROM products WHERE 0").endswith("shop.db holds no rows")
    assert "the query names a column twice ('sku'): rename one of them with AS" in refusal(
        shop, "SELECT sku, title AS sku FROM products"
    )
    assert "is a database: say what to read with a query" in refusal(shop, None)
    assert "say what to read with a query" in refusal(shop, "  ")
    (tmp_path / "text.db").write_text("no database at all" * 100)
    assert "file is not a database" in refusal(f"sqlite:///{tmp_path}/text.db")


def test_a_database_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert "does not exist: there is no file" in refusal(f"sqlite:///{tmp_path}/gone.db")
    assert not (tmp_path / "gone.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://shop:S3CRET@127.0.0.1:1/erp", "postgresql://shop@127.0.0.1:1/erp: connection"),
        ("postgresql://shop:S3CRET@127.0.0.1:x/erp", "is no database URL: write it as dialect://user:password@host"),
        ("nosql://shop:S3CRET@db/erp", "nosql://shop@db/erp: SQLAlchemy knows no database 'nosql'"),
        ("mysql+pymysql://shop:S3CRET@db/erp", "the Python driver pymysql of mysql+pymysql is not installed"),
        ("https://shop:S3CRET@host/products.csv", "https://shop@host/products.csv: SQLAlchemy knows no database"),
    ],
)
def test_a_database_that_can_not_be_reached_is_named_without_its_password(url: str, message: str) -> None:
    said = refusal(url)
    assert message in said
    assert "S3CRET" not in said


def test_several_databases_can_be_read_with_one_query(shop: str) -> None:
    rows = [row for source in open_sources([shop, shop], ReadOptions(query=QUERY)) for row in source]
    assert len(rows) == 2  # named twice, read once
    with pytest.raises(UsageError, match="is no database, and takes no query"):
        open_sources([shop, __file__], ReadOptions(query=QUERY))


def test_a_missing_extra_is_named(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert refusal(shop).endswith("for which SQLAlchemy is missing: pip install 'prodsim[sql]'")
