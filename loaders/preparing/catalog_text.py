"""The suggested catalog.yaml as text, ready to save, tried on the sample before it is suggested."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .catalog import Catalog, some_of
from .catalog_spec import PRODUCT_FIELDS, CatalogSpec
from .column_profile import ColumnProfile
from .product import Product
from .profile_source import SourceProfile
from .steps import SEPARATORS
from .suggest import Draft, draft, path_mark, plain_name, tag_mark
from .vocabulary import vocabulary, words

PLAIN = re.compile(r"[^\W\d][\w.]*(?:[ -][\w.]+)*")
TOO_MANY = 0.2  # share of rows that may not be lost to one field that products can do without
IN_STOCK, OUT_OF_STOCK = 1, 0
Spec = dict[str, Any]


def suggest_catalog(profile: SourceProfile) -> str:
    """A catalog.yaml for the source, as text; comments say what was guessed and what should be looked at.

    A field that more than TOO_MANY of the sampled rows would be rejected for is read with `invalid: drop`.
    """
    return text_of(profile, *parts_of(profile))


def suggested_catalog(profile: SourceProfile) -> Catalog:
    """The same, ready to use."""
    _, top, specs, attributes, _ = parts_of(profile)
    return catalog_of(top, specs, attributes)


def parts_of(profile: SourceProfile) -> tuple[Draft, Spec, dict[str, Spec], dict[str, Spec], list[str]]:
    made = draft(without_objects(profile), profile.rows)
    specs = {name: spec_of(name, columns, profile) for name, columns in made.fields.items()}
    objects = attribute_objects(profile)
    if objects:
        specs["attributes"] = {"column": objects[0]}
    attributes = {name: attribute_spec(column, profile) for name, column in made.attributes.items()}
    top = declared(made)
    return made, top, specs, attributes, drop_what_fails(top, specs, attributes, profile.sample)


def without_objects(profile: SourceProfile) -> list[ColumnProfile]:
    objects = attribute_objects(profile)
    return [column for column in profile.columns if not any(column.name.startswith(f"{name}.") for name in objects)]


def attribute_objects(profile: SourceProfile) -> list[str]:
    """Objects that are named as attributes are: each name in one becomes an attribute."""
    known = {plain_name(name) for name in vocabulary()["columns"]["attributes"]}
    above = dict.fromkeys(column.name.rpartition(".")[0] for column in profile.columns if "." in column.name)
    flat = {column.name.rpartition(".")[0] for column in profile.columns if column.name.count(".") == 1}
    return [name for name in above if name in flat and plain_name(name) in known and is_object(name, profile)]


def is_object(name: str, profile: SourceProfile) -> bool:
    return all(isinstance(row.get(name), Mapping) for row in profile.sample if row.get(name) is not None)


def spec_of(name: str, columns: list[ColumnProfile], profile: SourceProfile) -> Spec:
    column = columns[0]
    spec: Spec = {"column": column.name if len(columns) == 1 else [one.name for one in columns]}
    mark = path_mark(column) if name == "category" else tag_mark(column) if name == "tags" else None
    if mark and column.kind != "list" and mark != SEPARATORS.get(name):
        spec["split"] = mark
    if name == "stock":
        spec |= stock_words(column)
    if not profile.header and name not in ("sku", "title") and any(one.absent for one in columns):
        spec["optional"] = True
    return spec


def stock_words(column: ColumnProfile) -> Spec:
    """A map for words such as "in stock"; what no list knows is left to be looked at."""
    told = {word.casefold(): word for word in column.distinct if not word.replace(".", "").isdecimal()}
    known = {word: IN_STOCK for word in told if word in words("in_stock")}
    known |= {word: OUT_OF_STOCK for word in told if word in words("out_of_stock")}
    return {"map": {told[word]: value for word, value in known.items()}} if known else {}


def attribute_spec(column: ColumnProfile, profile: SourceProfile) -> Spec:
    spec: Spec = {"column": column.name}
    if column.kind == "yes or no" and column.share == 1:
        spec["boolean"] = True
    if not profile.header and column.absent:
        spec["optional"] = True
    return spec


def declared(made: Draft) -> Spec:
    """What holds for the whole file: the decimal mark and the order of dates, as far as the sample shows them."""
    numbers = [column for name in ("price", "list_price", "rating") for column in made.fields.get(name, [])]
    marks = Counter(mark for column in numbers for mark in column.decimals)
    dates = [column for name in ("created_at", "updated_at") for column in made.fields.get(name, [])]
    orders = {order for column in dates for order in column.orders}
    top: Spec = {}
    if set(marks) == {","}:
        top["decimal"] = ","
    if len(orders & {"day-first", "month-first"}) == 1:
        top["date"] = next(iter(orders & {"day-first", "month-first"}))
    elif "ambiguous" in orders and not orders & {"day-first", "month-first"}:
        dollars = any("USD" in column.currencies for column in numbers)
        top["date"] = "month-first" if dollars else "day-first"
    return top


def drop_what_fails(
    top: Spec, specs: dict[str, Spec], attributes: dict[str, Spec], sample: list[Mapping[str, object]]
) -> list[str]:
    """Marks fields that fail for too many rows with `invalid: drop`; the names of those."""
    failed: Counter[str] = Counter()
    catalog = catalog_of(top, specs, attributes)
    for row in sample:
        outcome = catalog.prepare(row)
        if not isinstance(outcome, Product):
            failed.update({problem.field for problem in outcome})
    dropped = [name for name, count in failed.items() if count > TOO_MANY * len(sample)]
    for name in dropped:
        prefix, _, attribute = name.partition(".")
        if name in specs and name not in ("sku", "title"):
            specs[name]["invalid"] = "drop"
        elif prefix == "attributes" and attribute in attributes:
            attributes[attribute]["invalid"] = "drop"
    return dropped


def catalog_of(top: Spec, specs: dict[str, Spec], attributes: dict[str, Spec]) -> Catalog:
    spec = CatalogSpec.model_validate({**top, "fields": specs, "attributes": attributes})
    return Catalog(spec.fields, spec.attributes, Path("catalog.yaml"), spec.decimal, tuple(spec.date or ()))


def text_of(
    profile: SourceProfile,
    made: Draft,
    top: Spec,
    specs: dict[str, Spec],
    attributes: dict[str, Spec],
    dropped: list[str],
) -> str:
    lines = [
        f"# Suggested for {printable(profile.name)} from {profile.rows:,} rows: look it over before you load with it"
    ]
    notes = {
        "decimal": "the mark before the fraction in all numbers",
        "date": "how 03/04/2024 is read" + ("" if proven(made) else "; a guess: no date in the sample tells"),
    }
    lines += [f"{key}: {scalar(value)}   # {notes[key]}" for key, value in top.items()]
    lines.append("fields:")
    by_name = {column.name: column for column in profile.columns}
    for name in (name for name in PRODUCT_FIELDS if name in specs):
        note = []
        if name in made.guessed:
            note.append("told by what it holds")
        if name in dropped:
            note.append(
                "many values can't be used and are left out" if "invalid" in specs[name] else "many rows lack it"
            )
        lines.append(entry(name, specs[name], note, by_name))
    if "currency" not in specs and "price" in specs and not made.fields["price"][0].currencies:
        lines.append("  # currency: {value: EUR}   # the same for every product")
    if attributes:
        lines.append("attributes:")
        lines += [entry(name, spec, [], by_name) for name, spec in attributes.items()]
    used = {*made.taken, *(column.name for column in made.attributes.values())}
    objects = attribute_objects(profile)
    inside = tuple(f"{name}." for name in objects)
    spare = [one.name for one in profile.columns if one.name not in used and not one.name.startswith(inside)]
    if spare:
        lines.append(f"# feeds nothing: {printable(some_of(spare))}")
    return "\n".join(lines) + "\n"


def proven(made: Draft) -> bool:
    columns = [column for name in ("created_at", "updated_at") for column in made.fields.get(name, [])]
    return any(column.orders & {"day-first", "month-first"} for column in columns)


def entry(name: str, spec: Spec, notes: list[str], columns: Mapping[str, ColumnProfile]) -> str:
    column = spec["column"]
    short = set(spec) == {"column"}
    value = scalar(column) if short else "{" + ", ".join(f"{key}: {scalar(part)}" for key, part in spec.items()) + "}"
    example = columns[column].examples[:1] if isinstance(column, str) and column in columns else []
    notes = [*notes, *(f"such as {printable(one)[:40]}" for one in example)]
    return f"  {scalar(name)}: {value}" + (f"   # {'; '.join(notes)}" if notes else "")


def scalar(value: object) -> str:
    """A value as YAML: text in quotes where it could be read as something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(scalar, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(part)}" for key, part in value.items()) + "}"
    text = str(value)
    plain = PLAIN.fullmatch(text) and text.lower() != "null"
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
