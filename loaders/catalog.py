"""Which column of a source feeds which product field: a catalog.yaml, or columns named as the fields are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from prodsim.plugin.errors import CatalogError, ConfigError

from .catalog_spec import PRODUCT_FIELDS, REQUIRED_FIELDS, FieldSpec, problems_of
from .checks import CATEGORY_SEPARATOR, TAG_SEPARATOR, is_blank
from .closest import closest
from .columns import ABSENT, column_names, lookup
from .readers import Source
from .source import SourceRow

ATTRIBUTE_PREFIX = "attributes."
SAMPLE_ROWS = 1_000
TELLING_ROWS = 100  # a column that so many rows lack is missing, unless the catalog.yaml says that it is optional
SEPARATORS = {"category": CATEGORY_SEPARATOR, "tags": TAG_SEPARATOR}


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

    def uses(self) -> list[Use]:
        """Every column that is read, once for each field that it feeds."""
        named = [*self.fields.items(), *((f"{ATTRIBUTE_PREFIX}{name}", spec) for name, spec in self.attributes.items())]
        return [Use(column, field, spec.optional) for field, spec in named for column in spec.column]

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

    def product_values(self, row: Mapping[str, object]) -> dict[str, object]:
        """The values of one row by product field, as `to_product` takes them; None where the row has none."""
        values = {name: field_value(spec, row, SEPARATORS.get(name)) for name, spec in self.fields.items()}
        attributes = {name: field_value(spec, row) for name, spec in self.attributes.items()}
        if self.path is None:
            attributes = {
                name.removeprefix(ATTRIBUTE_PREFIX): value
                for name, value in row.items()
                if name.startswith(ATTRIBUTE_PREFIX)
            }
        whole = values.get("attributes")
        if attributes and is_blank(whole):
            values["attributes"] = attributes
        elif attributes and isinstance(whole, dict):
            values["attributes"] = {**whole, **attributes}
        return values


def field_value(spec: FieldSpec, row: Mapping[str, object], separator: str | None = None) -> object:
    """One field's value in a row; of several columns a list, in which texts are split where there is a separator."""
    if spec.value is not None:
        return spec.value
    found = [value for column in spec.column if not is_blank(value := lookup(row, column)) and value is not ABSENT]
    if not found:
        return spec.default
    if len(spec.column) == 1 and spec.split is None:
        return found[0]
    return [part for value in found for part in parts_of(value, spec.split or separator)]


def parts_of(value: object, separator: str | None) -> list[object]:
    if isinstance(value, str) and separator is not None:
        return list(value.split(separator))
    return value if isinstance(value, list) else [value]


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
    from .yaml_rows import NamesOnce, load_yaml

    path = Path(path)
    try:
        content = load_yaml(path, NamesOnce)
    except CatalogError as error:
        raise ConfigError(str(error)) from None
    spec, problems = problems_of(content)
    if spec is None or problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")
    return Catalog(spec.fields, spec.attributes, path)


def checked_rows(catalog: Catalog, source: Source) -> Iterator[SourceRow]:
    """The source's rows, once its columns are known to be those that the catalog reads.

    A header is checked whole; without one, what the first SAMPLE_ROWS rows hold is.

    Raises:
        CatalogError: as `Catalog.check_columns`.
    """
    if source.header is not None:
        catalog.check_columns(source.header, source.path)
        return source
    sample = list(islice(source, SAMPLE_ROWS))
    rows = [row.values for row in sample if row.problem is None]
    if rows:
        reached = [use.column for use in catalog.uses() if any(lookup(row, use.column) is not ABSENT for row in rows)]
        catalog.check_columns([*dict.fromkeys([*column_names(rows), *reached])], source.path, len(rows))
    return chain(sample, source)
