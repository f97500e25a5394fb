"""What a catalog.yaml may say, as pydantic models; all that is wrong with one is said at once.

```yaml
fields:
  sku: article_number                        # a column
  title: name
  description: [bullet_points, description]  # several columns: each on lines of its own, blank ones skipped
  category: [department, style]              # several columns: the levels of one path, root first
  tags: {column: keywords, split: ";"}       # where a text is split; else tags are at ",", categories at " > "
  image_url: images.0.url                    # a path into nested values (JSON, YAML)
  currency: {value: EUR}                     # the same for every product
  stock: {column: on_hand, default: 0}       # where the column is blank
  rating: {column: stars, optional: true}    # a column that some files lack
  attributes: specs                          # a column that holds an object: each name in it becomes an attribute
attributes:                                  # further columns, kept as attributes.<name>
  color: colour
```

A column that holds a list gives it as it is: for `category` a list is one path, root first.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from .closest import did_you_mean
from .product import Product

PRODUCT_FIELDS = tuple(Product.model_fields)
REQUIRED_FIELDS = ("sku", "title")
FIELDS_OF_SEVERAL_COLUMNS = frozenset({"title", "description", "category", "tags"})
FIELDS_THAT_SPLIT = frozenset({"category", "tags"})


class FieldSpec(BaseModel):
    """Where one field's value comes from: the columns, or the `value` that every product gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: list[str] = Field(default_factory=list)
    value: Any = None
    split: str | None = Field(default=None, min_length=1)
    default: Any = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def written_short(cls, spec: Any) -> Any:
        if isinstance(spec, str | list):
            spec = {"column": spec}
        if not isinstance(spec, dict):
            raise PydanticCustomError("spec", "should name a column, list columns, or be {{column: …}} or {{value: …}}")
        if isinstance(spec.get("column"), str):
            spec = {**spec, "column": [spec["column"]]}
        if not (spec.keys() - FieldSpec.model_fields.keys()) and ("column" in spec) == ("value" in spec):
            raise PydanticCustomError("spec", "needs a column or a value, and not both")
        return spec

    @model_validator(mode="after")
    def names_columns(self) -> FieldSpec:
        if self.value is None and not all(name.strip() for name in self.column or [""]):
            raise PydanticCustomError("spec", "needs a column or a value, and neither may be blank")
        if self.value is not None and (self.split or self.optional or self.default is not None):
            raise PydanticCustomError("spec", "a value is the same for every product: nothing else goes with it")
        return self


class CatalogSpec(BaseModel):
    """A catalog.yaml: product fields and attributes, each with where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, FieldSpec]
    attributes: dict[str, FieldSpec] = Field(default_factory=dict)


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
        if name in PRODUCT_FIELDS and len(field.column) > 1 and name not in FIELDS_OF_SEVERAL_COLUMNS:
            problems.append(f"fields.{name}: is read from one column, not {len(field.column)}")
        if name in PRODUCT_FIELDS and field.split and name not in FIELDS_THAT_SPLIT:
            problems.append(f"fields.{name}: holds one value, so it can't be split")
    problems += [
        f"attributes.{name}: a name may not be blank or hold a dot"
        for name in spec.attributes
        if not name.strip() or "." in name
    ]
    return spec, problems


def problems_of_names(fields: dict[Any, Any]) -> list[str]:
    unknown = [str(name) for name in fields if name not in PRODUCT_FIELDS]
    problems = [f"fields: no product field {name!r}{did_you_mean(name, PRODUCT_FIELDS)}" for name in unknown]
    return problems + [f"fields: {name} is missing" for name in REQUIRED_FIELDS if name not in fields]


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
