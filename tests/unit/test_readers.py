"""What a person can hand to the loader, and what is said about what can't be read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsim.loaders.reading.readers import FORMATS, SourceRow, format_of, read_rows
from prodsim.plugin.errors import CatalogError

SHOES = [{"sku": "A1", "title": "Boot"}, {"sku": "A2", "title": "Shoe"}]
CONTENT = {
    "csv": "sku,title\nA1,Boot\nA2,Shoe\n",
    "tsv": "sku\ttitle\nA1\tBoot\nA2\tShoe\n",
    "ndjson": "\n".join(map(json.dumps, SHOES)),
    "jsonl": "\n".join(map(json.dumps, SHOES)) + "\n",
    "json": json.dumps(SHOES),
    "yaml": "- {sku: A1, title: Boot}\n- sku: A2\n  title: Shoe\n",
    "yml": "products:\n- {sku: A1, title: Boot}\n- {sku: A2, title: Shoe}\n",
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def values(path: Path, format: str | None = None) -> list[dict[str, object]]:
    return [row.values for row in read_rows(path, format)]


def refusal(path: Path, format: str | None = None) -> str:
    with pytest.raises(CatalogError) as caught:
        list(read_rows(path, format))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", CONTENT)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", [False, True], ids=["", "byte order mark"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str, packed: bool, mark: bool) -> None:
    content = (b"\xef\xbb\xbf" if mark else b"") + CONTENT[suffix].encode()
    name = f"shoes.{suffix}" + (".gz" if packed else "")
    assert values(write(tmp_path, name, gzip.compress(content) if packed else content)) == SHOES


def test_gzip_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    assert values(write(tmp_path, "unnoticed.csv", gzip.compress(CONTENT["csv"].encode()))) == SHOES
    assert values(write(tmp_path, "unpacked.csv.gz", CONTENT["csv"])) == SHOES


def test_a_named_format_overrides_the_suffix(tmp_path: Path) -> None:
    assert values(write(tmp_path, "export.txt", CONTENT["ndjson"]), "ndjson") == SHOES
    assert format_of(Path("Shop.V2.CSV.GZ")) == "csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_even_where_others_occur_in_the_text(tmp_path: Path, delimiter: str) -> None:
    rows = [["sku", "name, long", "price"], ["1", "a;b,c | d", "1.5"], ["2", "e,f;g|h\tx", "2,5"], ["3", "i", ""]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    source = read_rows(write(tmp_path, "shop.csv", out.getvalue()))
    assert source.header == ("sku", "name, long", "price")
    assert [list(row.values.values()) for row in source] == rows[1:]


def test_decimal_commas_do_not_pass_for_a_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path, "shop.csv", "sku;price, EUR;title\n1;12,50;Boot\n2;13,00;Shoe\n")
    assert values(path)[0] == {"sku": "1", "price, EUR": "12,50", "title": "Boot"}


def test_a_csv_of_one_column_is_read_whole(tmp_path: Path) -> None:
    assert values(write(tmp_path, "skus.csv", "sku\nA,1\nB2\n"), "csv")[1] == {"sku": "B2"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_rows_are_numbered_by_the_line_they_start_on(tmp_path: Path, end: str) -> None:
    lines = ["sku,title", "1,Boot", '2,"Two', 'lines"', "", "3,Shoe"]
    rows = list(read_rows(write(tmp_path, "shop.csv", end.join(lines))))
    assert [row.line for row in rows] == [2, 3, 6]
    assert rows[1].values["title"] == f"Two{end}lines"


def test_a_row_with_too_many_cells_is_a_problem_and_the_rest_is_read(tmp_path: Path) -> None:
    first, second, third = read_rows(write(tmp_path, "shop.csv", "sku,title\n1,Boots, brown\n2,Shoe,,\n3\n"))
    assert first == SourceRow(2, {}, first.problem, "1,Boots, brown")
    assert first.problem == "3 cells under 2 columns: quote the cell that holds the delimiter"
    assert second.values == {"sku": "2", "title": "Shoe"}
    assert third.values == {"sku": "3"}


def test_a_quote_left_open_costs_its_own_line_and_no_other(tmp_path: Path) -> None:
    content = (
        'sku,title\n1,Boot\n2,"Screen 12\n3,Shoe\n4,"Quoted, well"\n5,"Cut" off\n6,12" screen\n7,"To the end\n8,Last\n'
    )
    rows = list(read_rows(write(tmp_path, "shop.csv", content)))
    assert [(row.line, row.values.get("sku")) for row in rows if row.problem is None] == [
        (2, "1"),
        (4, "3"),
        (5, "4"),
        (7, "6"),
        (9, "8"),
    ]
    broken = {row.text: row.problem for row in rows if row.problem}
    assert list(broken) == ['2,"Screen 12', '5,"Cut" off', '7,"To the end']
    assert all("quote" in str(problem) for problem in broken.values())


def test_large_cells_and_nul_bytes_are_read(tmp_path: Path) -> None:
    row = values(write(tmp_path, "shop.csv", f"sku,title\nA\x00B,{'x' * 500_000}\n"))[0]
    assert row["sku"] == "A\x00B"
    assert len(str(row["title"])) == 500_000


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], delimiter: str
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["sku", "title", "price"], *table])
    path = write(tmp_path_factory.getbasetemp(), "round.csv", out.getvalue())
    expected = [dict(zip(("sku", "title", "price"), row, strict=True)) for row in table if any(map(str.strip, row))]
    if expected:
        assert values(path) == expected


@given(st.binary(max_size=60) | st.text(alphabet="[]{}:,\"'-&* \n\r\ta1\x00", max_size=60).map(str.encode))
def test_any_bytes_are_rows_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), "any", content)
    for format in FORMATS:
        try:
            rows = list(read_rows(path, format))
        except CatalogError as error:
            rows, message = [], str(error)
        else:
            message = ""
        assert bool(rows) != bool(message)
        assert "\n" not in message
        assert not any(row.problem and row.values for row in rows)


def test_a_broken_json_line_is_a_problem_and_the_rest_is_read(tmp_path: Path) -> None:
    content = '{"sku": 1}\n\n{"sku": 2,}\n[3]\n{"sku": 4, "price": NaN}\n' + "[" * 100_000 + '\n{"sku": 5}'
    rows = list(read_rows(write(tmp_path, "shop.ndjson", content)))
    assert [(row.line, row.values.get("sku")) for row in rows if row.problem is None] == [(1, 1), (5, 4), (7, 5)]
    trailing, listed, deep = (row for row in rows if row.problem)
    assert str(trailing.problem).startswith("not valid JSON at column ")
    assert listed.problem == "a list, where an object of names and values should be"
    assert deep.problem == "not valid JSON: nested too deeply"
    assert trailing.text == '{"sku": 2,}'


def test_a_broken_item_of_json_or_yaml_is_a_problem_and_the_rest_is_read(tmp_path: Path) -> None:
    content = (
        '{"shop": "A", "items": [{"sku": 1},\n {"sku": },\n {"sku": "\\ud800", "price": NaN}, {"a": {"b": [{}]}}]}'
    )
    first, broken, odd, deep = read_rows(write(tmp_path, "shop.json", content))
    assert broken == SourceRow(2, {}, "not valid JSON at column 9: Expecting value", '{"sku": }')
    assert [row.problem for row in (first, odd, deep)] == [None, None, None]
    assert deep == SourceRow(4, {"a": {"b": [{}]}})
    content = "- sku: 1\n- !!python/object:os.system {}\n- !!int x\n- a\x01b: 1\n- sku: 5\n"
    rows = list(read_rows(write(tmp_path, "shop.yaml", content)))
    assert [row.values.get("sku") for row in rows if row.problem is None] == ["1", "5"]
    assert [str(row.problem).partition(":")[0] for row in rows[1:4]] == [
        "not valid YAML",
        "not valid YAML",
        "not UTF-8, or a control character, near 'a\ufffdb'",
    ]
    assert "os.system" in str(rows[1].text)


def test_a_list_within_an_object_is_found_wherever_it_stands(tmp_path: Path) -> None:
    for name, content in (
        ("a.json", '{"page": {"of": [1, [2]]}, "items": [{"sku": "A1"}], "next": null}'),
        ("a.yaml", "page: {of: [1, [2]]}\nitems:\n- sku: A1\nnext:\n"),
    ):
        assert values(write(tmp_path, name, content)) == [{"sku": "A1"}]


def test_several_lists_are_refused_before_the_first_row(tmp_path: Path) -> None:
    for name, content in (
        ("a.json", '{"items": [{"sku": 1}], "errors": []}'),
        ("a.yaml", "items: [{sku: 1}]\nerrors: []\n"),
    ):
        with pytest.raises(CatalogError, match=r"holds several lists \(items, errors\)"):
            read_rows(write(tmp_path, name, content))


def test_yaml_merges_that_multiply_cost_their_row_only(tmp_path: Path) -> None:
    levels = ["- &a0 {" + ", ".join(f"k{n}: 1" for n in range(10)) + "}"]
    levels += [f"- &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    rows = list(read_rows(write(tmp_path, "bomb.yaml", "\n".join([*levels, "- sku: 1"]))))
    assert rows[-1].values == {"sku": "1"}
    assert rows[-2].problem == "not valid YAML: merges bring more than 10,000 names together"


def test_items_of_json_and_yaml_are_numbered_and_a_wrong_one_is_a_problem(tmp_path: Path) -> None:
    for name, content in (("a.json", '[{"sku": 1}, 2, {"sku": 3}]'), ("a.yaml", "- sku: 1\n- 2\n- sku: 3\n")):
        rows = list(read_rows(write(tmp_path, name, content)))
        assert [row.line for row in rows] == [1, 2, 3]
        assert "where an object of names and values should be" in str(rows[1].problem)
        assert [row.problem is None for row in rows] == [True, False, True]


def test_yaml_values_stay_as_they_are_written(tmp_path: Path) -> None:
    content = "- {sku: 0123, no: yes, price: 12.50, at: 12:30, day: 2024-01-31, none: , tilde: ~, quoted: 'null'}\n"
    assert values(write(tmp_path, "shop.yaml", content)) == [
        {
            "sku": "0123",
            "no": "yes",
            "price": "12.50",
            "at": "12:30",
            "day": "2024-01-31",
            "none": None,
            "tilde": None,
            "quoted": "null",
        }
    ]


def test_yaml_anchors_and_merges_work(tmp_path: Path) -> None:
    content = "- &boot {sku: 1, brand: Acme}\n- {<<: *boot, sku: 2}\n"
    assert values(write(tmp_path, "shop.yaml", content))[1] == {"sku": "2", "brand": "Acme"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "empty.csv holds no rows"),
        ("header.csv", "sku,title\n", "header.csv holds no rows"),
        ("blank.csv", "\n , \n\n", "blank.csv holds no rows"),
        ("empty.ndjson", "\n\n", "empty.ndjson holds no rows"),
        ("empty.json", "[]", "empty.json holds no rows"),
        ("nothing.json", "", "nothing.json holds no rows"),
        ("empty.yaml", "# none\n", "empty.yaml holds no rows"),
        ("shop.xlsx", "x", "shop.xlsx has an unknown suffix .xlsx: known are .csv, .tsv, .ndjson"),
        ("shop", "x", "shop has no suffix: known are .csv"),
        ("shop.gz", "x", "shop.gz has no suffix: known are .csv"),
        ("twice.csv", "sku,title,sku\n1,2,3\n", "twice.csv line 1 names a column twice ('sku')"),
        ("cut.json", '[{"sku": 1},\n {"sku": 2', "cut.json is cut off: what starts at line 2 has no end"),
        ("open.json", '[{"sku": 1},\n', "open.json is cut off: it ends at line 2 within the list of products"),
        ("comma.json", '[{"sku": 1}\n {"sku": 2}]', "comma.json line 2 column 2 is not valid JSON: '{' where , or ]"),
        ("brace.json", '[{"sku": [1}]', "brace.json line 1 is not valid JSON: what is opened there with '['"),
        ("after.json", '[{"sku": 1}] x', "after.json line 1 column 14 is not valid JSON: it goes on after its end"),
        ("bare.json", "hello", "bare.json line 1 column 1 is not valid JSON: 'hello' is no value"),
        ("lines.json", '{"sku": 1}\n{"sku": 2}', "lines.json line 2 column 1: a second JSON value starts: read it as"),
        ("one.json", '{"sku": 1}', "one.json holds one object with no list in it"),
        ("text.json", '"sku"', "text.json holds text: it should hold a list of products"),
        ("two.json", '{"items": [], "facets": []}', "two.json holds several lists (items, facets)"),
        ("deep.json", "[" * 100_000, "deep.json is nested too deeply"),
        ("broken.yaml", "- sku: 1\n- title: 'Boot\n", "broken.yaml line 3 is not valid YAML"),
        ("two.yaml", "- sku: 1\n---\n- sku: 2\n", "two.yaml line 2 is not valid YAML: expected a single document"),
        (
            "deep.yaml",
            "[" * 100_000 + "]" * 100_000,
            "deep.yaml line 1 is not valid YAML: nested more than 100 levels deep",
        ),
    ],
)
def test_a_file_that_is_no_list_of_rows_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    assert message in refusal(write(tmp_path, name, content))


def test_a_path_that_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    assert "gone.csv does not exist: check the name" in refusal(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "folder.csv is a folder: name the files in it" in refusal(tmp_path / "folder.csv")
    assert "File name too long" in refusal(tmp_path / ("x" * 300 + ".csv"))
    assert "unknown format 'jsn': did you mean 'json'?" in refusal(tmp_path / "gone.csv", "jsn")


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "json", "yaml"])
def test_a_gzip_that_is_cut_off_or_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = random.Random(7)
    skus = [f"{noise.getrandbits(200):x}" for _ in range(3_000)]
    rows = {
        "csv": "sku,title\n" + "".join(f"{sku},Boot\n" for sku in skus),
        "ndjson": "".join(f'{{"sku": "{sku}"}}\n' for sku in skus),
        "json": json.dumps([{"sku": sku} for sku in skus]),
        "yaml": "".join(f"- sku: {sku}\n" for sku in skus),
    }
    packed = gzip.compress(rows[suffix].encode())
    assert "is a gzip file that is cut off: copy" in refusal(write(tmp_path, f"cut.{suffix}.gz", packed[:-20]))
    damaged = packed[: len(packed) // 2] + bytes(50) + packed[len(packed) // 2 + 50 :]
    assert "is a damaged gzip file" in refusal(write(tmp_path, f"bad.{suffix}.gz", damaged))
