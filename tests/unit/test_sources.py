"""What a person can name as sources, in which order they are read, and what is said about names that don't work."""

from __future__ import annotations

import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from prodsim.loaders.reading.readers import (
    ReadOptions,
    Source,
    fingerprint,
    open_sources,
    read_rows,
    size_bytes,
    sources_of,
)
from prodsim.plugin.errors import CatalogError, UsageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "c.csv"):
        Path(name).write_text(f"sku,title\n{name[0]}1,x\n{name[0]}2,y\n")
    return tmp_path


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def skus(*names: str, **options: str) -> list[object]:
    return [row.values["sku"] for source in open_sources(names, ReadOptions(**options)) for row in source]


def test_several_files_are_read_in_the_order_of_their_names(folder: Path) -> None:
    assert skus("c.csv", "a.csv") == ["c1", "c2", "a1", "a2"]
    assert [source.name for source in map(read_through, open_sources(["c.csv", "a.csv"]))] == ["c.csv", "a.csv"]


def read_through(source: Source) -> Source:
    list(source)
    return source


def test_a_pattern_is_read_in_sorted_order(folder: Path) -> None:
    assert skus("*.csv") == ["a1", "a2", "b1", "b2", "c1", "c2"]
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "d.csv").write_text("sku\nd1\n")
    assert sources_of(["c.csv", "**/*.csv"]) == ["c.csv", "a.csv", "b.csv", "deep/er/d.csv"]


def test_a_source_that_is_named_twice_is_read_once(folder: Path) -> None:
    (folder / "link.csv").symlink_to("a.csv")
    assert sources_of(["b.csv", "*.csv", "./b.csv", str(folder / "c.csv"), "link.csv"]) == ["b.csv", "a.csv", "c.csv"]


def test_a_pattern_leaves_out_folders_and_rejects(folder: Path) -> None:
    (folder / "z.csv").mkdir()
    (folder / "a.rejects.ndjson").write_text("{}")
    (folder / "n.ndjson").write_text("{}")
    assert sources_of(["*"]) == ["a.csv", "b.csv", "c.csv", "n.ndjson"]


def test_a_name_with_pattern_characters_is_a_file_where_there_is_one(folder: Path) -> None:
    (folder / "a[1].csv").write_text("sku\nx\n")
    assert skus("a[1].csv") == ["x"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.csv", "gone.csv"], "gone.csv does not exist: check the name, relative to"),
        (["a.csv", "*.tsv"], r"no file matches \*.tsv: check the pattern, relative to"),
        (["a.csv", "."], "is a folder: name the files in it"),
        (["a.csv", "notes.txt"], "notes.txt has an unknown suffix .txt"),
        (["a.csv", "a\0b"], "can't be a file's name: it holds a NUL"),
    ],
)
def test_every_name_is_checked_before_the_first_row(folder: Path, names: list[str], message: str) -> None:
    (folder / "notes.txt").write_text("x")
    with pytest.raises(CatalogError, match=message):
        open_sources(names)


def test_options_that_do_not_fit_the_sources_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="no source is named"):
        open_sources([])
    with pytest.raises(UsageError, match=r"a\.csv is no database, and takes no query"):
        open_sources(["a.csv"], ReadOptions(query="SELECT 1"))
    with pytest.raises(UsageError, match=r"sqlite:///shop\.db is a database: say what to read with a query"):
        open_sources(["sqlite:///shop.db"])
    with pytest.raises(CatalogError, match="unknown format 'exel'"):
        open_sources(["a.csv"], ReadOptions(format="exel"))
    for options in ({"delimiter": ";;"}, {"delimiter": ""}, {"quote": "<<"}, {"delimiter": "\n"}):
        with pytest.raises(UsageError, match="it is one character, such as"):
            ReadOptions(**options)
    with pytest.raises(UsageError, match="can't be both delimiter and quote"):
        ReadOptions(delimiter="'", quote="'")


def test_delimiter_and_quote_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("sku^title\n1^~a^b~\n2^'c'\n")
    rows = list(read_rows(path, options=ReadOptions(delimiter="^", quote="~")))
    assert [row.values["title"] for row in rows] == ["a^b", "'c'"]
    path.write_text('sku\ttitle\n1\t"a\n2\tb"\n')
    rows = list(read_rows(path, options=ReadOptions(delimiter="tab", quote="")))
    assert [row.values["title"] for row in rows] == ['"a', 'b"']


def test_a_delimiter_that_can_not_be_told_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("sku;title,x\n1;2,5\n")
    with pytest.raises(CatalogError, match="name the delimiter"):
        read_rows(path)
    assert [row.values for row in read_rows(path, options=ReadOptions(delimiter=";"))] == [
        {"sku": "1", "title,x": "2,5"}
    ]


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (b"sku,title\nA1,Boot\n", "csv"),
        ("sku;title\nA1;Größe\n".encode("utf-16"), "csv"),
        (b'{"sku": "A1"}\n{"sku": "A2"}\n', "ndjson"),
        (b'[\n {"sku": "A1"}]', "json"),
        (b'{\n "items": [{"sku": "A1"}]}', "json"),
        (b"- sku: A1\n", "yaml"),
        (b"---\nitems:\n- sku: A1\n", "yaml"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_format_of_stdin_is_told_by_its_start(
    monkeypatch: pytest.MonkeyPatch, content: bytes, format: str, packed: bool
) -> None:
    pipe_in(monkeypatch, gzip.compress(content) if packed else content)
    source = read_rows("-")
    assert (source.name, source.format) == ("stdin", format)
    assert next(source).values["sku"] == "A1"


def test_parquet_comes_through_stdin_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"sku": ["A1"]}), tmp_path / "shop.parquet")
    pipe_in(monkeypatch, (tmp_path / "shop.parquet").read_bytes())
    assert [row.values for row in read_rows("-")] == [{"sku": "A1"}]


def test_a_named_format_is_taken_for_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"sku\nA1\n")
    assert skus("-", format="csv") == ["A1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "stdin holds no rows"), (b"hello", "stdin is of no format that its start tells: name it, one of csv,")],
)
def test_stdin_that_tells_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, content: bytes, message: str) -> None:
    pipe_in(monkeypatch, content)
    with pytest.raises(CatalogError, match=message):
        read_rows("-")


def test_stdin_that_no_one_fills_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, other_end = os.openpty()
    with os.fdopen(other_end) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(CatalogError, match="stdin is a terminal: pipe a file in, or name one"):
            read_rows("-")
    os.close(terminal)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CatalogError, match="stdin is closed"):
        read_rows("-")


def test_stdin_longer_than_its_look_ahead_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"sku,title\n" + b"".join(b"%d,%s\n" % (number, b"x" * 100) for number in range(30_000)))
    assert [row.values["sku"] for row in read_rows("-")] == [str(number) for number in range(30_000)]


def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "shop.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=("sku;title\n1;Größe\n".encode(),))
    writer.start()
    assert [row.values["title"] for row in read_rows(pipe)] == ["Größe"]
    writer.join()
    assert fingerprint(str(pipe), ReadOptions()) is None
    assert size_bytes(str(pipe)) is None


def test_a_fingerprint_changes_with_the_file_and_with_how_it_is_read(folder: Path) -> None:
    path = folder / "a.csv"
    first = fingerprint("a.csv", ReadOptions())
    assert first == fingerprint(str(path), ReadOptions())
    assert first != fingerprint("a.csv", ReadOptions(delimiter=";"))
    status = path.stat()
    path.write_text("sku,title\na1,x\na2,Y\n")  # as long as before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert first != fingerprint("a.csv", ReadOptions())
    path.write_text("sku,title\na1,x\na2,y\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert first != fingerprint("a.csv", ReadOptions())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert first == fingerprint("a.csv", ReadOptions())
    path.rename("d.csv")
    assert first != fingerprint("d.csv", ReadOptions())


def test_stdin_and_databases_have_no_fingerprint() -> None:
    for name in ("-", "sqlite:///shop.db"):
        assert fingerprint(name, ReadOptions()) is None
        assert size_bytes(name) is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (
            "postgresql://shop:S3CRET@db:5432/erp?sslpassword=S3CRET&host=/run/pg",
            "postgresql://shop@db:5432/erp?host=/run/pg",
        ),
        ("postgresql+psycopg://shop:S3/CR:E?T@db/erp", "postgresql+psycopg://shop@db/erp"),
        ("postgresql://shop:S3CRET@x@db/erp", "postgresql://shop:…"),
        ("postgresql://shop:S3CRET", "postgresql://shop:…"),
        ("postgresql:///erp?password=S3CRET@x", "postgresql:///erp"),
        ("postgresql://db:5432/erp", "postgresql://db:5432/erp"),
        ("mysql+pymysql://:S3CRET@[::1]/erp", "mysql+pymysql://@[::1]/erp"),
        ("sqlite:////data/shop.db", "sqlite:////data/shop.db"),
    ],
)
def test_a_database_is_shown_without_its_password(url: str, name: str) -> None:
    assert sources_of([url]) == [name]
    with pytest.raises(UsageError) as caught:
        open_sources([url])
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", ["postgresql//shop:S3CRET@db/erp", "//shop:S3:C/RET@x@db/erp*", "shop//a:S3CRET@b.csv"]
)
def test_a_url_with_a_typing_error_does_not_give_its_password_away(wrong: str) -> None:
    for call in (sources_of, open_sources, lambda names: read_rows(names[0])):
        with pytest.raises(CatalogError) as caught:
            call([wrong])
        assert "S3" not in str(caught.value)
