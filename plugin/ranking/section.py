"""What every part of a ranking profile is: checked, frozen, and without names that nobody knows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


LARGEST_FACTOR = 10.0
