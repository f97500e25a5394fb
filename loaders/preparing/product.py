"""The product document: what the index holds for each SKU, and what makes a row one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

from . import checks
from .checks import is_blank, optional, required
from .derive import derived
from .gtin import declared_gtin
from .identifiers import declared_identifier
from .measures import declared_measure
from .numeric import whole_number
from .problem import Problem
from .timestamps import timestamp

__all__ = ["Problem", "Product", "to_product"]

OptionalLine = Annotated[str | None, PlainValidator(optional(checks.line))]
Amount = Annotated[float | None, PlainValidator(checks.amount)]
Count = Annotated[int | None, PlainValidator(whole_number)]
Time = Annotated[str | None, PlainValidator(timestamp)]
Attribute = Annotated[str | list[str], PlainValidator(checks.attribute)]
Attributes = Annotated[dict[str, Attribute], BeforeValidator(checks.named_values), AfterValidator(checks.without_empty)]


class Product(BaseModel):
    """One product, valid and clean.

    `category` holds the path of every ancestor, root first. `price` and `list_price` are in `currency`. `rating` is
    from 0 to 5, `margin` the share of the price that the shop keeps, up to 1. `created_at` and `updated_at` are ISO
    8601 in UTC. `variant_group` is the SKU where none is given.

    `identifiers` are model and part numbers in capitals and digits alone, `gtin` EAN, UPC and ISBN with 14 digits,
    `measures` sizes, capacities and counts such as `capacity:1000GB`: the declared ones, then those that title,
    description and attributes name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sku: Annotated[str, PlainValidator(required(checks.identifier))]
    title: Annotated[str, PlainValidator(required(checks.title))]
    description: Annotated[str | None, PlainValidator(optional(checks.description))] = None
    brand: OptionalLine = None
    category: Annotated[list[str], PlainValidator(checks.category_paths)] = Field(default_factory=list)
    tags: Annotated[list[str], PlainValidator(checks.tags)] = Field(default_factory=list)
    attributes: Attributes = Field(default_factory=dict)
    price: Amount = None
    list_price: Amount = None
    currency: Annotated[str | None, PlainValidator(checks.currency)] = None
    stock: Count = None
    rating: Annotated[float | None, PlainValidator(checks.rating)] = None
    rating_count: Count = None
    popularity: Amount = None
    margin: Annotated[float | None, PlainValidator(checks.share)] = None
    created_at: Time = None
    updated_at: Time = None
    image_url: Annotated[str | None, PlainValidator(optional(checks.address))] = None
    identifiers: Annotated[list[str], PlainValidator(checks.each(declared_identifier))] = Field(default_factory=list)
    gtin: Annotated[list[str], PlainValidator(checks.each(declared_gtin))] = Field(default_factory=list)
    measures: Annotated[list[str], PlainValidator(checks.each(declared_measure))] = Field(default_factory=list)
    variant_group: Annotated[str | None, PlainValidator(optional(checks.identifier))] = None

    def document(self) -> dict[str, Any]:
        """What the index stores: JSON values only, absent fields left out."""
        return {name: value for name, value in self.__dict__.items() if value not in (None, [], {})}


def to_product(values: Mapping[str, object], known: Iterable[Problem] = ()) -> Product | list[Problem]:
    """The product that the values of a row make, or everything that keeps them from being one.

    `values` is keyed by product field. Null and blank text mean absent. `known` are problems that were found before: of
    their fields nothing more is said. A rating of 0 out of 0 ratings means not rated, and is left out.

    Problem codes: missing_sku, missing_title, bad_sku, bad_text, bad_number, ambiguous_number, not_whole, out_of_range,
    bad_currency, bad_time, ambiguous_time, bad_category, bad_attributes, bad_gtin, bad_identifier, bad_measure,
    too_long and unknown_field; those of what is read before are told where it is.
    """
    problems = list(known)
    try:
        product = Product.model_validate(
            {name: value for name, value in values.items() if value is not None and not is_blank(value)}
        )
    except ValidationError as error:
        told = {problem.field for problem in problems}
        found = (describe(one) for one in error.errors(include_url=False, include_input=False))
        problems += [problem for problem in found if problem.field not in told]
    if problems:
        return sorted(problems, key=lambda problem: PLACES.get(problem.field.partition(".")[0], len(PLACES)))
    implied: dict[str, object] = derived(product)
    if product.variant_group is None:
        implied["variant_group"] = product.sku
    if product.rating == 0 and product.rating_count == 0:
        implied["rating"] = None
    product.__dict__.update(implied)  # it is nobody else's yet, and model_copy takes as long as the validation
    return product


PLACES = {name: place for place, name in enumerate(Product.model_fields)}


def describe(problem: Any) -> Problem:
    field = ".".join(map(str, problem["loc"]))
    match problem["type"]:
        case "missing":
            return Problem(field, f"missing_{field}", f"{field}: missing")
        case "extra_forbidden":
            return Problem(field, "unknown_field", f"{field}: there is no such product field")
        case code:
            return Problem(field, code, f"{field}: {problem['msg']}")
