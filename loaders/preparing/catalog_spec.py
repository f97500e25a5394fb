"""What a catalog.yaml may say, as pydantic models; all that is wrong with one is said at once.

```yaml
decimal: ","                                 # the mark before the fraction in every number of the file
date: day-first                              # how 03/04/2024 is read
fields:
  sku: article_number                        # a column
  title: {template: "{brand} {model}"}       # made of several columns
  description: [bullet_points, description]  # several columns: each on lines of its own, blank ones skipped
  category: [department, style]              # several columns: the levels of one path, root first
  tags: {column: keywords, split: ";"}       # where a text is split; else tags are at ",", categories at " > "
  image_url: images.0.url                    # a path into nested values (JSON, YAML)
  currency: {value: EUR}                     # the same for every product
  price: {compute: net * 1.19}               # + - * / over columns
  stock: {column: on_hand, map: {in stock: 10, sold out: 0}, other: reject, default: 0}
  rating: {column: stars, optional: true}    # a column that some files lack
  gtin: {column: ean, invalid: drop}         # a value that can't be used is left out instead of rejecting the row
  attributes: specs                          # a column that holds an object: each name in it becomes an attribute
attributes:                                  # further columns, kept as attributes.<name>
  color: colour
  weight: {column: weight, unit: g}
  waterproof: {column: wp, boolean: true}
```

A column that holds a list gives it as it is: for `category` a list is one path, root first.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from prodsim.loaders.closest import closest, did_you_mean

from .formula import parse_formula, template_columns
from .notation import Decimal
from .product import Product
from .time_formats import check_date_format
from .units import KIND_OF, unit_named

PRODUCT_FIELDS = tuple(Product.model_fields)
REQUIRED_FIELDS = ("sku", "title")
FIELDS_OF_SEVERAL_COLUMNS = frozenset({"title", "description", "category", "tags", "identifiers", "gtin", "measures"})
FIELDS_THAT_SPLIT = FIELDS_OF_SEVERAL_COLUMNS - {"title", "description"}
PRICE_FIELDS = ("price", "list_price")
COUNT_FIELDS = ("stock", "rating_count")
NUMBER_FIELDS = frozenset({*PRICE_FIELDS, *COUNT_FIELDS, "rating", "popularity", "margin"})
TIME_FIELDS = frozenset({"created_at", "updated_at"})
TEXT_FIELDS = frozenset({"title", "description", "brand", "category", "tags", "attributes"})
SOURCES = ("column", "value", "template", "compute")


class FieldSpec(BaseModel):
    """Where one field's value comes from, and what is done with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: list[str] = Field(default_factory=list)
    value: Any = None
    template: str | None = None
    compute: str | None = None
    round: int | None = Field(default=None, ge=0, le=9)
    join: str | None = None
    split: str | None = Field(default=None, min_length=1)
    map: dict[str, Any] | None = None
    other: Any = None
    decimal: Decimal | None = None
    date: list[str] | None = None
    unit: str | None = None
    boolean: bool = False
    html: bool = True
    default: Any = None
    optional: bool = False
    invalid: Literal["reject", "drop"] = "reject"

    @model_validator(mode="before")
    @classmethod
    def written_short(cls, spec: Any) -> Any:
        if isinstance(spec, str | list):
            spec = {"column": spec}
        if not isinstance(spec, dict):
            raise PydanticCustomError("spec", "should name a column, list columns, or be {{column: …}} or {{value: …}}")
        if isinstance(spec.get("column"), str):
            spec = {**spec, "column": [spec["column"]]}
        if not (spec.keys() - FieldSpec.model_fields.keys()) and sum(source in spec for source in SOURCES) != 1:
            raise PydanticCustomError("spec", "needs a column or a value, and not both: or a template, or compute")
        return spec

    @field_validator("map", mode="before")
    @classmethod
    def by_text(cls, words: Any) -> Any:
        if isinstance(words, dict):
            return {("" if word is None else str(word)): value for word, value in words.items()}
        return words

    @field_validator("date", mode="before")
    @classmethod
    def formats(cls, written: Any) -> Any:
        return listed_formats(written)

    @field_validator("unit")
    @classmethod
    def known_unit(cls, name: str | None) -> str | None:
        if name is None:
            return None
        unit = unit_named(name)
        if unit is None:
            raise PydanticCustomError(
                "unit", "{message}", {"message": f"no unit {name!r}{did_you_mean(name, KIND_OF)}"}
            )
        return unit

    @model_validator(mode="after")
    def names_columns(self) -> FieldSpec:
        made = self.template is not None or self.compute is not None or self.value is not None
        if not made and not all(name.strip() for name in self.column or [""]):
            raise PydanticCustomError("spec", "needs a column or a value, and neither may be blank")
        if self.template is not None and not template_columns(self.template):
            raise PydanticCustomError("spec", "its template names no column in braces, such as {{brand}}")
        if self.compute is not None:
            try:
                parse_formula(self.compute)
            except ValueError as error:
                raise PydanticCustomError("spec", "{message}", {"message": f"its formula {error}"}) from None
        if self.value is not None and self.model_fields_set - {"value", "column"}:
            raise PydanticCustomError("spec", "a value is the same for every product: nothing else goes with it")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read for it."""
        if self.template is not None:
            return template_columns(self.template)
        return parse_formula(self.compute).columns if self.compute is not None else tuple(self.column)


class CatalogSpec(BaseModel):
    """A catalog.yaml: product fields and attributes, each with where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, FieldSpec]
    attributes: dict[str, FieldSpec] = Field(default_factory=dict)
    decimal: Decimal | None = None
    date: list[str] | None = None

    @field_validator("date", mode="before")
    @classmethod
    def formats(cls, written: Any) -> Any:
        return listed_formats(written)


def listed_formats(written: Any) -> Any:
    formats = [written] if isinstance(written, str) else written
    if isinstance(formats, list):
        for one in formats:
            if isinstance(one, str) and (problem := check_date_format(one)):
                raise PydanticCustomError("date", "{message}", {"message": problem})
    return formats


def problems_of(content: object) -> tuple[CatalogSpec | None, list[str]]:
    """The spec, and everything that is wrong with it; without a spec where it can't be read at all."""
    try:
        spec = CatalogSpec.model_validate(content)
    except ValidationError as error:
        written = content.get("fields") if isinstance(content, dict) else None
        named = problems_of_names(written) if isinstance(written, dict) else []
        return None, named + [describe(problem) for problem in error.errors(include_url=False)]
    problems = problems_of_names(spec.fields)
    for name, field in spec.fields.items():
        if name in PRODUCT_FIELDS:
            problems += [f"fields.{name}: {problem}" for problem in misfits(name, field)]
    for name, field in spec.attributes.items():
        if not name.strip() or "." in name:
            problems.append(f"attributes.{name}: a name may not be blank or hold a dot")
        problems += [f"attributes.{name}: {problem}" for problem in misfits(None, field)]
    return spec, problems


def misfits(name: str | None, spec: FieldSpec) -> list[str]:
    """What a field (None: an attribute) declares that means nothing there."""
    attribute = name is None
    readings = [key for key in ("date", "unit", "boolean", "compute") if getattr(spec, key)]
    checks = (
        (
            not attribute and len(spec.column) > 1 and name not in FIELDS_OF_SEVERAL_COLUMNS and spec.join is None,
            f"is read from one column, not {len(spec.column)}"
            + (": or say how to 'join' them" if name == "brand" else ""),
        ),
        (spec.split and not attribute and name not in FIELDS_THAT_SPLIT, "holds one value, so it can't be split"),
        (spec.join is not None and len(spec.column) < 2 and not spec.split, "'join' needs several columns"),
        (spec.decimal and name not in NUMBER_FIELDS and not (attribute and spec.compute), "'decimal' is for numbers"),
        (spec.date and name not in TIME_FIELDS and not attribute, "'date' is for times and attributes"),
        (spec.unit and not attribute, "'unit' is for attributes"),
        (spec.boolean and not attribute, "'boolean' is for attributes: 'map' gives its words values"),
        (spec.compute and name not in NUMBER_FIELDS and not attribute, "'compute' is for numbers"),
        (not spec.html and name not in TEXT_FIELDS and not attribute, "'html' is for text"),
        (spec.other is not None and spec.map is None, "'other' needs a 'map'"),
        (spec.round is not None and spec.compute is None, "'round' needs 'compute'"),
        (spec.invalid == "drop" and name in REQUIRED_FIELDS, "every product needs it, so it can't be dropped"),
        (len(readings) > 1, f"can't be {' and '.join(map(repr, readings))} at once"),
        (spec.map is not None and (spec.compute is not None), "'map' is for columns and templates"),
    )
    return [problem for wrong, problem in checks if wrong]


def problems_of_names(fields: dict[Any, Any]) -> list[str]:
    unknown = [str(name) for name in fields if name not in PRODUCT_FIELDS]
    problems = [f"fields: no product field {name!r}{nearest_field(name)}" for name in unknown]
    return problems + [f"fields: {name} is missing" for name in REQUIRED_FIELDS if name not in fields]


def nearest_field(name: str) -> str:
    return did_you_mean(name, PRODUCT_FIELDS) + (
        "" if closest(name, PRODUCT_FIELDS) else "; others go under attributes"
    )


def describe(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    match problem["type"]:
        case "extra_forbidden":
            above, _, key = place.rpartition(".")
            known = FieldSpec.model_fields if above else CatalogSpec.model_fields
            return f"{above + ': ' if above else ''}unknown key {key!r}{did_you_mean(key, known)}"
        case "missing":
            return f"{place} is missing"
        case "model_type" | "dict_type":
            return (
                f"{place}: should hold 'name: column' lines" if place else "it should hold 'fields:' at its top level"
            )
        case _:
            return f"{place}: {problem['msg']}"
