"""The signals of a profile: factors between 0 and 10 that the blended score is multiplied by.

Every signal is 1 for a product that lacks its fields, and none lowers a product when stock, rating or popularity rises.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .section import LARGEST_FACTOR, Section

Strength = Field(default=0.0, ge=0, le=LARGEST_FACTOR - 1)


class Stock(Section):
    """Products with stock 0 or less: hidden, multiplied by `factor`, or left as they are."""

    out: Literal["hide", "demote", "ignore"] = "demote"
    factor: float = Field(default=0.5, ge=0, le=1)


class Rating(Section):
    """1 + strength * (smoothed - prior) / 5, smoothed = (rating * count + prior * prior_count) / (count + prior_count).

    The Bayesian average: few ratings stay near `prior`. A rating without a count counts as one.
    """

    strength: float = Field(default=0.0, ge=0, le=1)
    prior: float = Field(default=3.5, ge=0, le=5)
    prior_count: float = Field(default=10.0, gt=0)


class Popularity(Section):
    """1 + strength * popularity / (popularity + pivot): half of the strength at the pivot."""

    strength: float = Strength
    pivot: float = Field(default=100.0, gt=0)


class Recency(Section):
    """1 + strength * 0.5 ^ (age / half life), the age in whole hours since `field`."""

    strength: float = Strength
    field: Literal["created_at", "updated_at"] = "created_at"
    half_life_days: float = Field(default=30.0, gt=0)


class Price(Section):
    """1 + strength * closeness, a number from 0 to 1.

    near: 0.5 ^ (|price - point| / scale). band: 1 from `low` to `high`, outside as near to the nearer end.
    cheaper: scale / (price + scale).
    """

    strength: float = Strength
    shape: Literal["near", "band", "cheaper"] = "cheaper"
    point: float | None = Field(default=None, ge=0)
    low: float | None = Field(default=None, ge=0)
    high: float | None = Field(default=None, ge=0)
    scale: float = Field(default=50.0, gt=0)

    @model_validator(mode="after")
    def has_what_its_shape_needs(self) -> Price:
        if self.shape == "near" and self.point is None:
            raise ValueError("a price signal of shape near needs its point")
        if self.shape == "band":
            if self.low is None or self.high is None:
                raise ValueError("a price signal of shape band needs low and high")
            if self.low > self.high:
                raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        return self


class Margin(Section):
    """1 + strength * margin: what the shop keeps of the price, from 0 to 1."""

    strength: float = Strength


class Discount(Section):
    """1 + strength * (list price - price) / list price, 0 where the price is not lower."""

    strength: float = Strength


class Signals(Section):
    stock: Stock = Stock()
    rating: Rating = Rating()
    popularity: Popularity = Popularity()
    recency: Recency = Recency()
    price: Price = Price()
    margin: Margin = Margin()
    discount: Discount = Discount()
