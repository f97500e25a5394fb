"""A catalog.yaml for a source that has none: columns by their names in several languages, and by what they hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from .column_profile import ColumnProfile
from .vocabulary import vocabulary

NAME_MATCHES = 1.0
NAME_HOLDS = 0.6
LEAST_SCORE = 0.45
IMAGE = re.compile(r"\.(?:jpe?g|png|webp|gif|avif)(?:[?#]|$)", re.IGNORECASE)
PATH_MARKS = (" > ", " / ", " | ", ">", "|", "/", "::")
TAG_MARKS = (";", "|", ",")
ATTRIBUTES_FILLED, ATTRIBUTE_LENGTH = 0.02, 60
TEXTS = ("text", "long text", "HTML", "path")
# most telling first: a column feeds one field
IN_ORDER = (
    "sku", "gtin", "price", "list_price", "currency", "stock", "rating_count", "rating", "popularity", "created_at",
    "updated_at", "image_url", "variant_group", "identifiers", "category", "brand", "tags", "title", "description",
)  # fmt: skip
OF_MANY = ("category", "description")


@dataclass
class Draft:
    """Which columns feed which field; `named` says whether a column's name told it or only what it holds."""

    fields: dict[str, list[ColumnProfile]] = field(default_factory=dict)
    attributes: dict[str, ColumnProfile] = field(default_factory=dict)
    guessed: set[str] = field(default_factory=set)

    @property
    def taken(self) -> set[str]:
        return {column.name for columns in self.fields.values() for column in columns}


def draft(columns: list[ColumnProfile], rows: int) -> Draft:
    made = Draft()
    scored = [
        (score, -PRODUCT_ORDER[name], -place, name, column)
        for place, column in enumerate(columns)
        for name in IN_ORDER
        if (score := name_score(name, column) * FITS[name](column)) >= LEAST_SCORE
    ]
    for _, _, _, name, column in sorted(scored, key=lambda one: one[:3], reverse=True):
        if column.name in made.taken or (name in made.fields and name not in OF_MANY):
            continue
        made.fields.setdefault(name, []).append(column)
    for name in OF_MANY:
        if name in made.fields:  # in the order of the file, which for categories is root first
            made.fields[name].sort(key=columns.index)
    by_content(made, columns)
    for column in columns:
        if column.name not in made.taken and is_attribute(column, rows):
            made.attributes.setdefault(attribute_name(column.name), column)
    return made


def by_content(made: Draft, columns: list[ColumnProfile]) -> None:
    """Fills what no name told."""

    def take(name: str, choices: list[ColumnProfile], best: Callable[[ColumnProfile], float]) -> None:
        free = [column for column in choices if column.name not in made.taken]
        if name not in made.fields and free:
            made.fields[name] = [max(free, key=best)]
            made.guessed.add(name)

    order = {column.name: -place for place, column in enumerate(columns)}
    unique = [one for one in columns if one.unique_share > 0.99 and one.missing_share < 0.01 and one.mean_length <= 40]
    take(
        "sku",
        [one for one in unique if one.kind in ("text", "whole number", "EAN or UPC")],
        lambda one: order[one.name],
    )
    take("gtin", [one for one in columns if one.kind == "EAN or UPC"], lambda one: order[one.name])
    take("price", [one for one in columns if one.kind == "price"], lambda one: order[one.name])
    take("image_url", [one for one in columns if any(map(IMAGE.search, one.examples))], lambda one: order[one.name])
    take("category", [one for one in columns if one.kind == "path"], lambda one: order[one.name])
    wordy = [one for one in columns if one.kind in TEXTS and " " in "".join(one.examples) and one.mean_length <= 150]
    take("title", wordy, lambda one: one.unique_share * (1 - one.missing_share) * min(one.mean_length, 40))
    take("description", [one for one in columns if one.kind in ("long text", "HTML")], lambda one: one.mean_length)
    take("sku", [one for one in columns if one.kind != "nothing"], lambda one: one.unique_share - one.missing_share)
    if "title" not in made.fields:
        texts = [one for one in columns if one.kind in TEXTS and one.name not in made.taken]
        made.fields["title"] = [max(texts, key=lambda one: one.unique_share)] if texts else made.fields.get("sku", [])
        made.guessed.add("title")


def name_score(name: str, column: ColumnProfile) -> float:
    """How much a column's name tells of a field, from 0 to 1; the last part of a nested one counts nearly as much."""
    whole = plain_name(column.name)
    last = plain_name(column.name.rpartition(".")[2])
    known: list[str] = [plain_name(one) for one in (name, *vocabulary()["columns"][name])]
    if whole in known:
        return NAME_MATCHES - 0.01 * min(known.index(whole), 9)
    if last in known and "." in column.name:
        return 0.9 - 0.01 * min(known.index(last), 9)
    held = [word for word in known if len(word) > 2 and f" {word} " in f" {whole} "]
    return NAME_HOLDS + 0.002 * max(map(len, held)) if held else 0.0


def plain_name(name: str) -> str:
    """Small letters without accents, words parted by single spaces: "ArtikelNr." is "artikel nr"."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    bare = "".join(one for one in unicodedata.normalize("NFKD", parted.casefold()) if not unicodedata.combining(one))
    return " ".join(re.findall(r"[^\W_]+", bare))


def fits_sku(column: ColumnProfile) -> float:
    if column.kind in ("nothing", "object", "list", "long text", "HTML", "price", "date", "web address"):
        return 0.0
    unique = 1.0 if column.unique_share > 0.95 else 0.5 if column.unique_share > 0.8 else 0.2
    return unique * (1 - column.missing_share)


def fits_number(column: ColumnProfile) -> float:
    return column.share if column.numeric else 0.0


def fits_stock(column: ColumnProfile) -> float:
    if column.kind in ("whole number", "number", "yes or no"):
        return 1.0
    return 0.8 if column.kind == "text" and 0 < len(column.distinct) <= 12 else 0.0


def fits_text(column: ColumnProfile) -> float:
    return 1.0 if column.kind in ("text", "whole number", "EAN or UPC") else 0.7 if column.kind in TEXTS else 0.0


def fits_lists(column: ColumnProfile) -> float:
    return 1.0 if column.kind in ("text", "path", "list", "long text") else 0.0


def fits_rating(column: ColumnProfile) -> float:
    numbers = [float(one.replace(",", ".")) for one in column.examples if re.fullmatch(r"[0-9]+(?:[.,][0-9]+)?", one)]
    return 1.0 if column.numeric and all(number <= 5 for number in numbers) else 0.0


def fits_currency(column: ColumnProfile) -> float:
    return float(bool(column.examples) and all(re.fullmatch("[A-Za-z]{3}", one) for one in column.examples))


def fits_image(column: ColumnProfile) -> float:
    return 1.0 if column.kind == "web address" or any(map(IMAGE.search, column.examples)) else 0.0


def fits_title(column: ColumnProfile) -> float:
    return 1.0 if column.kind in TEXTS and column.mean_length < 250 else 0.5 if column.kind in TEXTS else 0.0


FITS: dict[str, Callable[[ColumnProfile], float]] = {
    "sku": fits_sku,
    "gtin": lambda column: float(column.kind == "EAN or UPC" and column.share > 0.5),
    "price": fits_number,
    "list_price": fits_number,
    "currency": fits_currency,
    "stock": fits_stock,
    "rating": fits_rating,
    "rating_count": lambda column: float(column.kind == "whole number"),
    "popularity": fits_number,
    "created_at": lambda column: float(column.kind == "date"),
    "updated_at": lambda column: float(column.kind == "date"),
    "image_url": fits_image,
    "variant_group": fits_text,
    "identifiers": fits_text,
    "category": fits_lists,
    "brand": fits_text,
    "tags": fits_lists,
    "title": fits_title,
    "description": lambda column: 1.0 if column.kind in (*TEXTS, "list") else 0.0,
}
PRODUCT_ORDER = {name: place for place, name in enumerate(IN_ORDER)}


def is_attribute(column: ColumnProfile, rows: int) -> bool:
    """Whether a left-over column is worth keeping as an attribute: short, filled now and then, not one of a kind."""
    if column.kind in ("nothing", "object", "web address", "HTML", "long text", "date"):
        return False
    if 1 - column.missing_share < ATTRIBUTES_FILLED or column.mean_length > ATTRIBUTE_LENGTH:
        return False
    return column.unique_share < 0.9 or rows < 20 or "." in column.name


def attribute_name(column: str) -> str:
    name = "_".join(re.findall(r"[^\W_]+", column.rpartition(".")[2])).lower()
    return name or "attribute"


def path_mark(column: ColumnProfile) -> str | None:
    """What parts the levels of the paths that a column holds; None where most values have one level."""
    texts = texts_of(column)
    return next((mark for mark in PATH_MARKS if sum(mark in one for one in texts) * 2 > len(texts)), None)


def tag_mark(column: ColumnProfile) -> str | None:
    return next((mark for mark in TAG_MARKS if any(mark in one for one in texts_of(column))), None)


def texts_of(column: ColumnProfile) -> list[str]:
    return list(column.distinct) or column.examples
