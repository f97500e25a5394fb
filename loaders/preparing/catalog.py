"""Which column of a source feeds which product field: a catalog.yaml, or columns named as the fields are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from pydantic_core import PydanticCustomError

from prodsim.loaders.closest import closest
from prodsim.loaders.reading.readers import Source
from prodsim.loaders.reading.source import SourceRow
from prodsim.plugin.errors import CatalogError, ConfigError

from .catalog_spec import PRICE_FIELDS, PRODUCT_FIELDS, REQUIRED_FIELDS, FieldSpec, problems_of
from .checks import identifier, is_blank
from .columns import ABSENT, column_names, lookup
from .notation import Decimal
from .prices import Money
from .problem import Problem
from .product import Product, to_product
from .steps import Reader, reader

ATTRIBUTE_PREFIX = "attributes."
SAMPLE_ROWS = 1_000
TELLING_ROWS = 100  # a column that so many rows lack is missing, unless the catalog.yaml says that it is optional
PREPARATION = 1  # raised whenever the same row and catalog.yaml make another product than before


class Use(NamedTuple):
    """A column that feeds a field (`title`, `attributes.color`)."""

    column: str
    field: str
    optional: bool


@dataclass(frozen=True)
class Catalog:
    """How the rows of a source become product values.

    `path` is its catalog.yaml, None where columns are named as the fields are.
    """

    fields: Mapping[str, FieldSpec]
    attributes: Mapping[str, FieldSpec]
    path: Path | None = None
    decimal: Decimal | None = None
    date: tuple[str, ...] = ()

    def prepare(self, row: Mapping[str, object]) -> Product | list[Problem]:
        """The product that a row makes, or everything that keeps it from being one; it never raises."""
        values, problems = self.read(row)
        outcome = to_product(values, problems)
        if isinstance(outcome, list) and self.droppable and any(one.field in self.droppable for one in outcome):
            dropped = {one.field for one in outcome} & self.droppable
            kept = without(values, dropped)
            outcome = to_product(kept, [problem for problem in problems if problem.field not in dropped])
        return outcome

    def read(self, row: Mapping[str, object]) -> tuple[dict[str, object], list[Problem]]:
        """The values of one row by product field, None where it has none, and what is wrong with those left out."""
        values: dict[str, object] = {}
        problems: list[Problem] = []
        for name, read in self.readers:
            try:
                values[name] = read(row)
            except PydanticCustomError as error:
                values[name] = None
                problems.append(Problem(name, error.type, f"{name}: {error.message()}"))
        attributes: dict[str, object] = {}
        for name, read in self.attribute_readers(row):
            try:
                attributes[name] = read(row)
            except PydanticCustomError as error:
                field = f"{ATTRIBUTE_PREFIX}{name}"
                problems.append(Problem(field, error.type, f"{field}: {error.message()}"))
        if attributes:
            whole = values.get("attributes")
            if is_blank(whole):
                values["attributes"] = attributes
            elif isinstance(whole, dict):
                values["attributes"] = {**whole, **attributes}
        settle_money(values, problems)
        return values, problems

    def product_values(self, row: Mapping[str, object]) -> dict[str, object]:
        """The values of one row by product field, as `to_product` takes them; None where the row has none."""
        return self.read(row)[0]

    def sku_of(self, row: Mapping[str, object]) -> str | None:
        """The SKU as far as the row tells it, for people who look for the row; None where it tells none."""
        read = dict(self.readers).get("sku")
        try:
            value = read(row) if read else None
            return None if value is None else identifier(value) or None
        except PydanticCustomError:
            return None

    @property
    def fingerprint(self) -> str:
        """A hash of all that makes the same row the same product: what is declared, and the way it is carried out."""
        declared = {
            "preparation": PREPARATION,
            "decimal": self.decimal,
            "date": self.date,
            "fields": {name: spec.model_dump() for name, spec in self.fields.items()},
            "attributes": {name: spec.model_dump() for name, spec in self.attributes.items()},
            "named_as_fields": self.path is None,
        }
        return hashlib.sha256(json.dumps(declared, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def readers(self) -> list[tuple[str, Reader]]:
        return [(name, reader(name, spec, self.decimal, self.date)) for name, spec in self.fields.items()]

    @cached_property
    def declared_attributes(self) -> list[tuple[str, Reader]]:
        return [(name, reader(None, spec, self.decimal, self.date)) for name, spec in self.attributes.items()]

    def attribute_readers(self, row: Mapping[str, object]) -> list[tuple[str, Reader]]:
        """Without a catalog.yaml also the columns that are named as attributes are."""
        if self.path is not None:
            return self.declared_attributes
        spare = [name for name in row if name.startswith(ATTRIBUTE_PREFIX)]
        return [
            *self.declared_attributes,
            *(
                (name.removeprefix(ATTRIBUTE_PREFIX), reader(None, FieldSpec(column=[name]), None, None))
                for name in spare
            ),
        ]

    @cached_property
    def droppable(self) -> frozenset[str]:
        named = [*self.fields.items(), *((f"{ATTRIBUTE_PREFIX}{name}", spec) for name, spec in self.attributes.items())]
        return frozenset(name for name, spec in named if spec.invalid == "drop")

    def uses(self) -> list[Use]:
        """Every column that is read, once for each field that it feeds."""
        named = [*self.fields.items(), *((f"{ATTRIBUTE_PREFIX}{name}", spec) for name, spec in self.attributes.items())]
        return [Use(column, field, spec.optional) for field, spec in named for column in spec.columns]

    def unused_columns(self, columns: Collection[str]) -> list[str]:
        """Those of a source's columns that feed no field; an object is used where a part of it is."""
        read = [use.column for use in self.uses()]
        return [name for name in columns if not any(within(name, column) or within(column, name) for column in read)]

    def check_columns(
        self, columns: Collection[str], source: str | Path = "the source", rows: int | None = None
    ) -> None:
        """Refuses a source that lacks a column which the catalog reads.

        `columns` are the source's column names, those of nested objects with dots. `rows` is how many rows they were
        gathered from, None where a header lists them all. What few rows lack proves little: then a column is missing
        only where every product needs it, or where a column that feeds nothing has nearly its name.

        Raises:
            CatalogError: all missing columns, each with the nearest that there is.
        """
        spare = self.unused_columns(columns)
        missing = []
        for column, field, optional in self.uses():
            if optional or any(within(name, column) for name in columns):
                continue
            near = closest(column, spare) or closest(column, columns)
            proven = rows is None or rows >= TELLING_ROWS or field in REQUIRED_FIELDS
            if proven or closest(column, spare):
                missing.append(f"{column!r} for {field}" + (f" (did you mean {near!r}?)" if near else ""))
        if missing:
            advice = (
                f"correct {self.path}, or mark what some files lack with 'optional: true'"
                if self.path
                else "name the columns that hold them in a catalog.yaml"
            )
            raise CatalogError(
                f"{source} has no column {', '.join(missing)}: {advice}. Its columns: {some_of(columns)}"
            )


def settle_money(values: dict[str, object], problems: list[Problem]) -> None:
    """Puts amounts where prices were read, and the currency that they share where none is given."""
    prices = {name: money for name in PRICE_FIELDS if isinstance(money := values.get(name), Money)}
    given = values.get("currency")
    code = given.strip().upper() if isinstance(given, str) else ""
    shared: tuple[str | None, ...] = (code,) if code else ()
    for name, money in prices.items():
        values[name] = money.amount
        if not money.currencies:
            continue
        meant = tuple(one for one in shared if one in money.currencies) if shared else money.currencies
        if meant:
            shared = meant
        else:
            named, other = (next(one for one in several if one) for several in (money.currencies, shared))
            problems.append(
                Problem(name, "bad_currency", f"{name}: is in {named}, but the product's currency is {other}")
            )
    if shared and is_blank(given):
        values["currency"] = shared[0]


def without(values: Mapping[str, object], dropped: Collection[str]) -> dict[str, object]:
    kept = {name: value for name, value in values.items() if name not in dropped}
    attributes = kept.get("attributes")
    if isinstance(attributes, dict):
        kept["attributes"] = {
            name: value for name, value in attributes.items() if f"{ATTRIBUTE_PREFIX}{name}" not in dropped
        }
    return kept


def within(name: str, column: str) -> bool:
    return name == column or name.startswith(f"{column}.")


def some_of(columns: Collection[str], most: int = 40) -> str:
    listed = ", ".join(list(columns)[:most])
    return f"{listed} and {len(columns) - most} more" if len(columns) > most else listed


def load_catalog(path: str | Path | None) -> Catalog:
    """The catalog that a catalog.yaml describes; without one, columns named as the product fields are.

    Raises:
        ConfigError: the file can't be read, or everything that is wrong with it.
    """
    if path is None:
        fields = {name: FieldSpec(column=[name], optional=name not in REQUIRED_FIELDS) for name in PRODUCT_FIELDS}
        return Catalog(fields, {})
    from prodsim.loaders.reading.yaml_rows import NamesOnce, load_yaml

    path = Path(path)
    try:
        content = load_yaml(path, NamesOnce)
    except CatalogError as error:
        raise ConfigError(str(error)) from None
    spec, problems = problems_of(content)
    if spec is None or problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")
    return Catalog(spec.fields, spec.attributes, path, spec.decimal, tuple(spec.date or ()))


def checked_rows(catalog: Catalog, source: Source) -> Iterator[SourceRow]:
    """The source's rows, once its columns are known to be those that the catalog reads.

    A header is checked whole; without one, what the first SAMPLE_ROWS rows hold is.

    Raises:
        CatalogError: as `Catalog.check_columns`.
    """
    if source.header is not None:
        catalog.check_columns(source.header, source.name)
        return source
    sample = list(islice(source, SAMPLE_ROWS))
    rows = [row.values for row in sample if row.problem is None]
    if rows:
        reached = [use.column for use in catalog.uses() if any(lookup(row, use.column) is not ABSENT for row in rows)]
        catalog.check_columns([*dict.fromkeys([*column_names(rows), *reached])], source.name, len(rows))
    return chain(sample, source)
