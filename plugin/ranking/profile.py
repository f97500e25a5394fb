"""The ranking profile: everything that the stored templates are compiled with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from prodsim.plugin.errors import ConfigError

from .rules import Boost, Bury, Hide, Pin
from .section import Section
from .signals import Signals

SHIPPED = "default"
ONE_WORD = "1"  # as a least share of words: any of them is enough, wherever it is
NAME = r"^[a-z0-9][a-z0-9_-]{0,60}$"


class Weighted(Section):
    weight: float = Field(ge=0, le=10)


class Words(Weighted):
    """`minimum_should_match`, in the engine's notation: with how many of a query's words a product is found.

    Function words ("where", "my") are not counted, and `weak_fields` not looked at: what is said there in passing
    counts for the score, and finds a product only where all words of the query are in it. `partial` of the weight is
    for any words, the rest for as many as that. While there are no vectors one word is enough, and with "1" it always
    is, wherever it stands. Hits by a stray word are what makes nonsense find something. `type` is that of the engine's
    multi_match.
    """

    type: Literal["cross_fields", "best_fields", "most_fields"] = "cross_fields"
    minimum_should_match: str = Field(default="2<-50%", pattern=r"^[0-9<>% -]{1,40}$")
    partial: float = Field(default=0.5, ge=0, le=1)
    weak_fields: tuple[str, ...] = ()


class Leg(Weighted):
    """A vector leg: `weight * max(0, on - (1 - cosine) / (1 - c))` over the nearest `candidates` of each shard, and
    nothing where that is under the profile's floor.

    `on` is 1, and less for a query that the model can read in parts only. Without a `c` of its own the leg takes the
    profile's.
    """

    weight: float = Field(default=0.0, ge=0, le=10)
    candidates: int = Field(default=100, ge=1, le=10_000)
    c: float | None = Field(default=None, ge=0, lt=1)


class Legs(Section):
    text: Leg = Leg()
    image: Leg = Leg()
    fused: Leg = Leg()


class Similar(Section):
    """The weights of similar products; a call may give others. `k` and `c` as in the profile."""

    legs: Legs
    words: Weighted = Weighted(weight=0)
    attributes: Weighted = Weighted(weight=0)
    identifiers: Weighted = Weighted(weight=0)
    price: Weighted = Weighted(weight=0)
    price_scale: float = Field(default=0.3, gt=0)
    k: float = Field(default=20.0, gt=0)
    c: float = Field(default=0.2, ge=0, lt=1)


class Recommend(Section):
    """Recommendations: the newest SKU weighs 1, each older one `decay` times the one before it."""

    decay: float = Field(default=0.8, gt=0, le=1)


class Diversify(Section):
    """Of the first `places`, at most `at_most` of one `field`; taken from the best `window` hits."""

    field: Literal["brand", "category"]
    at_most: int = Field(default=2, ge=1)
    places: int = Field(default=10, ge=2, le=100)
    window: int = Field(default=50, ge=2, le=1000)


class Profile(Section):
    """A product's score is (words + most words + all words + title words + identifiers + legs) times signals.

    words = weight * bm25 / (bm25 + k). `most words` is that part of it which products with enough of the query's words
    have (`Words`). `all_words` is added when every word of the query occurs in the product,
    `title_words` when all of them occur in its title, `identifiers` when they share a model or trade item number.
    A hit has enough of the words, or an identifier, or a leg that brings more than nothing and `floor` or more.
    `synonyms` are rules such as "tv, television"; they are part of an index, so that they count after a reindex.
    """

    name: str = Field(pattern=NAME)
    description: str = ""
    fields: dict[str, float] = Field(min_length=1)
    synonyms: tuple[str, ...] = ()
    words: Words
    k: float = Field(gt=0)
    c: float = Field(ge=0, lt=1)
    all_words: Weighted
    title_words: Weighted = Weighted(weight=0)
    identifiers: Weighted = Weighted(weight=0)
    legs: Legs
    similar: Similar
    recommend: Recommend = Recommend()
    signals: Signals = Signals()
    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    buries: tuple[Bury, ...] = ()
    hides: tuple[Hide, ...] = ()
    floor: float = Field(default=0.0, ge=0)
    collapse: bool = False
    diversify: Diversify | None = None

    @property
    def weighted_fields(self) -> list[str]:
        """The fields as a multi_match query takes them, title^3, the heaviest first. Those of weight 0 are left out."""
        return weighted(self.fields)

    @property
    def strong_fields(self) -> dict[str, float]:
        """The fields in which most of a query's words find a product."""
        if self.words.minimum_should_match == ONE_WORD:
            return self.fields
        strong = {name: weight for name, weight in self.fields.items() if name not in self.words.weak_fields}
        return strong if weighted(strong) else self.fields

    @property
    def numbers(self) -> dict[str, float]:
        """Every number of the profile by its dotted path: `k`, `legs.text.weight`, `fields.brand.text`."""
        return dict(numbers_in(self.model_dump(mode="json", by_alias=True), ""))

    def with_values(self, values: Mapping[str, float]) -> Profile:
        """A profile with these numbers in the places of `numbers`.

        Raises:
            ConfigError: a path that is none, or a number that is out of its range.
        """
        content = self.model_dump(mode="json", by_alias=True)
        for path, value in values.items():
            if not put(content, path, value):
                raise ConfigError(f"a ranking profile has no number at {path}")
        try:
            return Profile.model_validate(content)
        except ValidationError as error:
            raise ConfigError(f"profile {self.name}: {'; '.join(problems_of(error))}") from None


def weighted(fields: Mapping[str, float]) -> list[str]:
    ordered = sorted(fields.items(), key=lambda field: (-field[1], field[0]))
    return [f"{name}^{weight:g}" for name, weight in ordered if weight > 0]


def numbers_in(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from numbers_in(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from numbers_in(inner, f"{path}.{place}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def put(content: Any, path: str, value: float) -> bool:
    """Writes the number at a dotted path, where there is such a place; names of text fields hold dots themselves."""
    head, dot, rest = path.partition(".")
    if head == "fields" and rest and "fields" in content:
        content["fields"][rest] = value
        return True
    place: Any = int(head) if isinstance(content, list) and head.isdecimal() else head
    known = place < len(content) if isinstance(place, int) else isinstance(content, dict) and head in content
    if known and dot:
        return put(content[place], rest, value)
    if known:
        content[place] = value
    return known


def problems_of(error: ValidationError) -> list[str]:
    """Every problem with the path of its place."""
    return [describe(problem) for problem in error.errors(include_url=False)]


def describe(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"])) or "the profile"
    if problem["type"] == "extra_forbidden":
        return f"{place}: there is no such setting"
    if problem["type"] == "missing":
        return f"{place}: missing"
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
