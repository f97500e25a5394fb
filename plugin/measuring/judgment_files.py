"""Judgment lists from files, in the shapes that they come in.

- rows (CSV, NDJSON, Parquet, YAML, JSON list): one judgment a row; columns are found by their usual names. The ESCI
  data set is of this shape, with the labels E, S, C, I.
- TREC qrels: `query iteration product grade` on each line; the texts of the queries in a topics file.
- OpenSearch's search-relevance: `{"judgmentRatings": [{"query": …, "ratings": [{"docId": …, "rating": …}]}]}`, also as
  its API returns it, inside of hits. (https://docs.opensearch.org/docs/search-plugins/search-relevance/judgments)
- prodsim's own: `{"queries": [{"query": …, "group": …, "ratings": {SKU: grade}}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prodsim.loaders.closest import did_you_mean
from prodsim.loaders.reading.readers import SUFFIXES, read_rows
from prodsim.loaders.reading.source import read_text
from prodsim.plugin.errors import CatalogError, UsageError

from .judgments import Judged, JudgmentList, collect, refusal

FORMATS = ("rows", "trec", "json")
TREC_SUFFIXES = (".qrels", ".qrel", ".trec", ".txt")
NAMES = {
    "query": ("query", "query_text", "querytext", "q", "search_term", "keyword", "keywords", "query_id", "qid"),
    "sku": ("sku", "product_id", "docid", "doc_id", "document_id", "product", "item_id", "asin", "id"),
    "grade": ("grade", "rating", "relevance", "esci_label", "label", "gain", "judgment", "score"),
    "group": ("group", "query_group", "segment"),
}
# The gains that the ESCI task itself counts with: Reddy et al. 2022, "Shopping Queries Dataset", section 4.1.
ESCI_GRADES = {
    "e": 1.0, "s": 0.1, "c": 0.01, "i": 0.0,
    "exact": 1.0, "substitute": 0.1, "complement": 0.01, "irrelevant": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How to read a judgment file, where finding out is not wanted.

    `columns` is query, sku, grade or group to a column's name; `grades` is a label or number as the file has it to a
    grade; `where` is a column to the one value of the rows to take; `topics` is a file of query ids and texts.
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    grades: Mapping[str, float] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    topics: Path | None = None

    def grade(self, value: object) -> float:
        """The grade that a value of the file stands for.

        Raises:
            ValueError: none.
        """
        text = str(value).strip()
        if text in self.grades:
            return self.grades[text]
        try:
            number = float(text)
        except ValueError:
            return ESCI_GRADES[text.lower()] if not self.grades and text.lower() in ESCI_GRADES else refuse(text)
        for label, grade in self.grades.items():
            try:
                if float(label) == number:
                    return grade
            except ValueError:
                continue
        return refuse(text) if self.grades else number


def refuse(text: str) -> float:
    raise ValueError(f"{text!r} is no grade: use numbers or E, S, C, I, or say what it stands for with --grades")


def read_judgments(path: str | Path, reading: Reading | None = None) -> JudgmentList:
    """The judgment list in a file, packed or not.

    Raises:
        CatalogError: the file can't be read, is of no known shape, or contradicts itself.
        UsageError: a column or format is asked for that there is not.
    """
    reading = reading or Reading()
    path = Path(path)
    if unknown := set(reading.columns) - set(NAMES):
        raise UsageError(f"--columns names {', '.join(sorted(unknown))}: known are {', '.join(NAMES)}")
    kind = reading.format or kind_of(path)
    if kind not in FORMATS:
        raise UsageError(f"unknown format {kind!r} of judgments{did_you_mean(kind, FORMATS)}")
    problems: list[str] = []
    found = {"rows": from_rows, "trec": from_trec, "json": from_json}[kind](path, reading, problems)
    texts = read_topics(reading.topics) if reading.topics else None
    rows = [row if texts is None else row._replace(query=text_of(row, texts, problems)) for row in found]
    if problems:
        raise CatalogError(refusal(str(path), problems))
    return collect(str(path), rows)


def kind_of(path: Path) -> str:
    bare = path.with_suffix("") if path.suffix.lower() in (".gz", ".zst", ".zstd") else path
    suffix = bare.suffix.lower()
    if suffix == ".json":
        return "json"
    return "trec" if suffix in TREC_SUFFIXES or suffix not in SUFFIXES else "rows"


def from_rows(path: Path, reading: Reading, problems: list[str]) -> Iterator[Judged]:
    source = read_rows(path)
    yield from rows_of(str(path), ((row.line, row.values, row.problem) for row in source), reading, problems)


def rows_of(
    name: str, rows: Iterator[tuple[int, dict[str, object], str | None]], reading: Reading, problems: list[str]
) -> Iterator[Judged]:
    columns: dict[str, str] | None = None
    for line, values, problem in rows:
        if problem:
            problems.append(f"line {line}: {problem}")
            continue
        if columns is None:
            columns = columns_of(name, values, reading)
        if any(str(values.get(column, "")).strip() != value for column, value in reading.where.items()):
            continue
        query, sku = (str(values.get(columns[part]) or "").strip() for part in ("query", "sku"))
        if not query or not sku:
            problems.append(f"line {line}: no {'query' if not query else 'product'}")
            continue
        group = values.get(columns["group"]) if "group" in columns else None
        try:
            # a list of pairs without grades says of each that it belongs together
            grade = reading.grade(values.get(columns["grade"], "")) if "grade" in columns else 1.0
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        yield Judged(line, query, sku, grade, None if group in (None, "") else str(group))


def columns_of(name: str, values: Mapping[str, object], reading: Reading) -> dict[str, str]:
    """Which column is which part: the one that was named, else the first with a usual name."""
    by_lower_case = {column.lower(): column for column in values}
    found: dict[str, str] = {}
    for part, usual in NAMES.items():
        if part in reading.columns:
            found[part] = reading.columns[part]
        else:
            found |= {part: by_lower_case[one] for one in usual[::-1] if one in by_lower_case}  # noqa: B035  # the first wins
    missing = [part for part in ("query", "sku") if part not in found]
    missing += [column for column in (*reading.columns.values(), *reading.where) if column not in values]
    if missing:
        raise CatalogError(
            f"{name} has no column for {', '.join(missing)}: its columns are {', '.join(values)}; "
            "say which is which with --columns query=…,sku=…,grade=…"
        )
    return found


def from_trec(path: Path, reading: Reading, problems: list[str]) -> Iterator[Judged]:
    for line, text in enumerate(read_text(path).splitlines(), 1):
        parts = text.split()
        if not parts:
            continue
        if len(parts) != 4:
            problems.append(f"line {line}: {len(parts)} columns, TREC qrels have query, iteration, product, grade")
            continue
        try:
            yield Judged(line, parts[0], parts[2], reading.grade(parts[3]))
        except ValueError as error:
            problems.append(f"line {line}: {error}")


def read_topics(path: Path) -> dict[str, str]:
    """Query id to text: `id<TAB>text` on each line, or rows with the columns query_id (or qid, id) and query
    (or text, title, name)."""
    if kind_of(path) == "trec":
        lines = (line.partition("\t") for line in read_text(path).splitlines() if line.strip())
        return {name.strip(): text.strip() for name, _, text in lines}
    texts: dict[str, str] = {}
    for row in read_rows(path):
        by_lower_case = {column.lower(): value for column, value in row.values.items()}
        name = next((by_lower_case[key] for key in ("query_id", "qid", "id") if key in by_lower_case), None)
        text = next((by_lower_case[key] for key in ("query", "text", "title", "name") if key in by_lower_case), None)
        if name is None or text is None:
            raise CatalogError(f"{path} line {row.line} has no query_id and query: topics need both columns")
        texts[str(name)] = str(text)
    return texts


def text_of(row: Judged, texts: Mapping[str, str], problems: list[str]) -> str:
    if row.query not in texts or not texts[row.query]:
        problems.append(f"line {row.line}: query {row.query} is not among the topics")
        return row.query
    return texts[row.query]


def from_json(path: Path, reading: Reading, problems: list[str]) -> Iterator[Judged]:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise CatalogError(f"{path} is not JSON: {error}") from None
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        yield from rows_of(str(path), ((place, row, None) for place, row in enumerate(content, 1)), reading, problems)
        return
    entries = entries_of(content)
    if entries is None:
        raise CatalogError(
            f"{path} is no judgment list: expected a list of rows, or an object with 'judgmentRatings' or 'queries'"
        )
    for place, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("query"), str):
            problems.append(f"entry {place}: no query")
            continue
        group = entry.get("group")
        for sku, value in ratings_of(entry.get("ratings")):
            if sku is None:
                problems.append(f"entry {place}: a rating without docId")
                continue
            try:
                yield Judged(place, entry["query"].strip(), sku, reading.grade(value), str(group) if group else None)
            except ValueError as error:
                problems.append(f"entry {place}: {error}")


def entries_of(content: Any) -> list[Any] | None:
    """The queries with their ratings, wherever the shape keeps them."""
    if not isinstance(content, dict):
        return None
    for name in ("judgmentRatings", "queries"):
        if isinstance(content.get(name), list):
            return list(content[name])
    hits = content.get("hits")
    inner = hits.get("hits") if isinstance(hits, dict) else None
    if isinstance(inner, list):
        found = [entries_of(hit.get("_source")) or [] for hit in inner if isinstance(hit, dict)]
        return [entry for entries in found for entry in entries]
    return None


def ratings_of(ratings: Any) -> Iterator[tuple[str | None, object]]:
    if isinstance(ratings, dict):
        yield from ((str(sku), value) for sku, value in ratings.items())
    elif isinstance(ratings, list):
        for rating in ratings:
            if isinstance(rating, dict):
                sku = next((rating[name] for name in ("docId", "doc_id", "sku", "id") if name in rating), None)
                yield None if sku is None else str(sku), rating.get("rating", rating.get("grade", "no rating"))


def read_queries(path: Path) -> list[str]:
    """Queries without judgments, one on each line, each once.

    Raises:
        CatalogError: the file can't be read, or holds none.
    """
    queries = list(dict.fromkeys(line.strip() for line in read_text(path).splitlines() if line.strip()))
    if not queries:
        raise CatalogError(f"{path} holds no queries: write one on each line")
    return queries
