"""What a merchandiser decides product by product: boosts, pins, buries and hides, by query or category, with dates."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from .section import LARGEST_FACTOR, Section


def as_list(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def normal_query(text: str) -> str:
    """A query as rules compare it: small letters, single spaces. The compiled templates do the same."""
    return " ".join(text.lower().split())


def in_utc(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


Texts = Annotated[tuple[str, ...], BeforeValidator(as_list)]
Queries = Annotated[tuple[Annotated[str, AfterValidator(normal_query)], ...], BeforeValidator(as_list)]
Moment = Annotated[dt.datetime, AfterValidator(in_utc)]


class When(Section):
    """When a rule holds: for these queries or in these categories (any), from a day on, until a day.

    Queries are whole queries, whatever their case and spaces. A day alone is its beginning, in UTC; `until` is the
    first moment at which the rule no longer holds.
    """

    queries: Queries = ()
    categories: Texts = ()
    from_: Moment | None = Field(default=None, alias="from")
    until: Moment | None = None

    @model_validator(mode="after")
    def ends_after_it_begins(self) -> When:
        if self.from_ and self.until and self.until <= self.from_:
            raise ValueError(f"until {self.until.isoformat()} is not after from {self.from_.isoformat()}")
        return self

    @property
    def conditional(self) -> bool:
        return bool(self.queries or self.categories or self.from_ or self.until)

    @property
    def condition(self) -> dict[str, object]:
        """The parameters of `condition.painless`; times in milliseconds since 1970."""
        return {
            "queries": list(self.queries),
            "categories": list(self.categories),
            "from": milliseconds(self.from_),
            "until": milliseconds(self.until),
        }


def milliseconds(moment: dt.datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None


class Chosen(When):
    """A rule for the products `skus`, or those with one of `values` in `field`."""

    skus: Texts = ()
    field: str | None = None
    values: Texts = ()

    @model_validator(mode="after")
    def names_products(self) -> Chosen:
        if bool(self.skus) == bool(self.field):
            raise ValueError("name products by skus, or by field and values")
        if bool(self.field) != bool(self.values):
            raise ValueError("field and values go together")
        return self


class Pin(When):
    """`skus` stand first, in this order, whether they match or not; filters and hides hold for them too."""

    skus: Annotated[Texts, Field(min_length=1)]

    @model_validator(mode="after")
    def has_a_place(self) -> Pin:
        if not self.queries and not self.categories:
            raise ValueError("a pin needs queries or categories")
        return self


class Boost(Chosen):
    """The products' scores times `factor`."""

    factor: float = Field(ge=0, le=LARGEST_FACTOR)


class Bury(Chosen):
    """The products' scores times a small `factor`: behind all that match alike."""

    factor: float = Field(default=0.05, ge=0, le=1)


class Hide(Chosen):
    """The products are no hits."""
