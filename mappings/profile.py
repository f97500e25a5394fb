"""The ranking profile: the numbers that the stored templates are compiled with."""

from __future__ import annotations

from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(Section):
    """The text leg: saturated BM25, `weight * bm25 / (bm25 + k)`, and the bonus for all words present."""

    fields: dict[str, float] = Field(min_length=1)
    weight: float = Field(ge=0)
    k: float = Field(gt=0)
    all_words: float = Field(ge=0)

    @property
    def weighted_fields(self) -> list[str]:
        """The fields as a multi_match query takes them: title^3."""
        return [f"{name}^{weight:g}" for name, weight in self.fields.items()]


class Meaning(Section):
    """The vector leg: `weight * max(0, (cosine - c) / (1 - c))` over the nearest `candidates` of each shard."""

    weight: float = Field(ge=0)
    c: float = Field(ge=0, lt=1)
    candidates: int = Field(ge=1, le=10_000)


class Signals(Section):
    """Factors that the blended score is multiplied by."""

    out_of_stock: float = Field(ge=0, le=1)


class RankingProfile(Section):
    words: Words
    meaning: Meaning
    similar: Meaning
    signals: Signals
    floor: float = Field(ge=0)


def default_profile() -> RankingProfile:
    return RankingProfile.model_validate(
        yaml.safe_load(files(__package__).joinpath("ranking/default.yaml").read_text(encoding="utf-8"))
    )
