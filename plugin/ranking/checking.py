"""`ranking check`: everything that is wrong with a profile, and everything in it that can't matter, at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from prodsim.mappings.synonyms import problem_of, synonyms_of
from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.indexes import ProductIndex, find_serving_index

from .catalog_facts import CatalogFacts, catalog_facts
from .compile import compile_profile
from .profile import Profile
from .rules import Boost, Bury, Chosen, Hide, Pin, When

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

LONGEST_TEMPLATE = 65_535  # script.max_size_in_bytes
SIGNAL_FIELDS = {
    "rating": ("rating",),
    "popularity": ("popularity",),
    "price": ("price",),
    "margin": ("margin",),
    "discount": ("list_price", "price"),
}


@dataclass(frozen=True)
class Problem:
    """`severity` is error (it is not applied) or warning (it is, but something in it can't matter)."""

    severity: str
    place: str
    message: str


def check_profile(profile: Profile, client: OpenSearch | None = None, alias: str = "products") -> list[Problem]:
    """All problems: of the profile itself, and with a client those with the catalog behind the alias."""
    problems = [*check_weights(profile), *check_synonyms(profile), *check_signals(profile), *check_rules(profile)]
    if client is None:
        return problems
    legs: list[str] = []
    serving = find_serving_index(client, alias)
    if serving is not None:
        legs = sorted(serving.vectors)
        problems += check_synonyms_of(serving, profile, alias)
        problems += check_catalog(profile, catalog_facts(client, serving.name, profile))
    problems += check_size(profile, legs, inspect_cluster(client).version)
    return problems


def error(place: str, message: str) -> Problem:
    return Problem("error", place, f"{place}: {message}")


def warning(place: str, message: str) -> Problem:
    return Problem("warning", place, f"{place}: {message}")


def check_weights(profile: Profile) -> Iterator[Problem]:
    parts = {
        "words.weight": profile.words.weight,
        "all_words.weight": profile.all_words.weight,
        "title_words.weight": profile.title_words.weight,
        "identifiers.weight": profile.identifiers.weight,
        "legs.text.weight": profile.legs.text.weight,
        "legs.image.weight": profile.legs.image.weight,
        "legs.fused.weight": profile.legs.fused.weight,
    }
    most = sum(parts.values())
    if not most:
        yield error("words.weight", "every weight is 0, so no product can be found")
    legs = {name: leg.weight for name, leg in profile.legs if leg.weight}
    if legs and profile.floor >= max(legs.values()):
        yield warning("floor", f"no meaning can reach {profile.floor:g}: its legs weigh up to {max(legs.values()):g}")
    for name, weight in profile.fields.items():
        if weight <= 0:
            yield warning(f"fields.{name}", "a weight of 0 can't matter: leave the field out")
    for name in profile.words.weak_fields:
        if name not in profile.fields:
            yield warning("words.weak_fields", f"{name} is none of the profile's fields")
    if not any(weight > 0 for weight in profile.fields.values()):
        yield error("fields", "no field has a weight above 0")
    similar = profile.similar
    if not any((similar.legs.text.weight, similar.legs.image.weight, similar.legs.fused.weight, similar.words.weight,
                similar.attributes.weight, similar.identifiers.weight)):  # fmt: skip
        yield error("similar", "every weight but the price's is 0, so no product can be found")


def check_synonyms(profile: Profile) -> Iterator[Problem]:
    for place, rule in enumerate(profile.synonyms):
        if problem := problem_of(rule):
            yield error(f"synonyms.{place}", f"{rule!r}: {problem}")


def check_synonyms_of(serving: ProductIndex, profile: Profile, alias: str) -> Iterator[Problem]:
    """An analyzer is part of its index: the engine changes it in no index that is open."""
    if synonyms_of(serving.settings) != profile.synonyms:
        yield warning(
            "synonyms", f"{serving.name} was made with others: they count after 'prodsim-admin reindex --alias {alias}'"
        )


def check_signals(profile: Profile) -> Iterator[Problem]:
    signals, usual = profile.signals, type(profile.signals)()
    stock = signals.stock
    if stock.out == "demote" and stock.factor == 1:
        yield warning("signals.stock.factor", "a factor of 1 can't matter")
    if stock.out != "demote" and stock.factor != usual.stock.factor:
        yield warning("signals.stock.factor", f"can't matter where products out of stock are to {stock.out}")
    for name in ("rating", "popularity", "recency", "price", "margin", "discount"):
        signal, default = getattr(signals, name), getattr(usual, name)
        if not signal.strength and signal != default:
            yield warning(f"signals.{name}", "its settings can't matter while its strength is 0")
    if signals.price.strength:
        unused = {"near": ("low", "high"), "band": ("point",), "cheaper": ("point", "low", "high")}[signals.price.shape]
        for setting in unused:
            if getattr(signals.price, setting) is not None:
                yield warning(f"signals.price.{setting}", f"can't matter for a price of shape {signals.price.shape}")


def check_rules(profile: Profile) -> Iterator[Problem]:
    for place, boost in enumerate(profile.boosts):
        if boost.factor == 1:
            yield warning(f"boosts.{place}.factor", "a factor of 1 can't matter")
    for (first, one), (second, other) in combinations(enumerate(profile.pins), 2):
        if meet(one, other):
            shared = ", ".join(sorted({*one.queries} & {*other.queries} | {*one.categories} & {*other.categories}))
            yield error(f"pins.{second}", f"overlaps with pins.{first} for {shared}: both want the first places")
    for place, pin in enumerate(profile.pins):
        if len(set(pin.skus)) < len(pin.skus):
            yield error(f"pins.{place}.skus", "names a SKU twice")
        for number, hide in enumerate(profile.hides):
            hidden = sorted({*pin.skus} & {*hide.skus})
            if hidden and (not (hide.queries or hide.categories) or meet(pin, hide)) and dates_meet(pin, hide):
                yield error(f"pins.{place}", f"pins {', '.join(hidden)}, which hides.{number} hides")


def meet(one: When, other: When) -> bool:
    """Whether two rules hold for one query or category at one time."""
    shared = {*one.queries} & {*other.queries} or {*one.categories} & {*other.categories}
    return bool(shared) and dates_meet(one, other)


def dates_meet(one: When, other: When) -> bool:
    ends_before = one.until and other.from_ and one.until <= other.from_
    begins_after = other.until and one.from_ and other.until <= one.from_
    return not (ends_before or begins_after)


def check_catalog(profile: Profile, facts: CatalogFacts) -> Iterator[Problem]:
    for name in profile.fields:
        if name not in facts.text_fields:
            near = facts.nearest(name)
            yield error(f"fields.{name}", f"the catalog has no text field of that name{near}")
    for name, fields in signal_fields(profile).items():
        for field in fields:
            if not facts.counts.get(field):
                yield error(f"signals.{name}", f"no product has the field {field}")
    for name, leg in (("image", profile.legs.image), ("fused", profile.legs.fused)):
        if leg.weight and not any(count for field, count in facts.counts.items() if field.startswith(f"{name}_vector")):
            yield warning(f"legs.{name}.weight", f"can't matter: no product has a vector of its {name}")
    for kind, rules in ruled(profile):
        for place, rule in enumerate(rules):
            yield from check_rule(f"{kind}.{place}", rule, facts)


def check_rule(place: str, rule: Pin | Chosen, facts: CatalogFacts) -> Iterator[Problem]:
    missing = [sku for sku in rule.skus if sku not in facts.skus]
    if missing:
        yield warning(f"{place}.skus", f"there is no product {', '.join(missing)}")
    unknown = [category for category in rule.categories if category not in facts.categories]
    if unknown:
        yield warning(f"{place}.categories", f"no product is in {', '.join(unknown)}")
    field = getattr(rule, "field", None)
    if field and field not in facts.exact_fields:
        yield error(f"{place}.field", f"the catalog has no field {field} with exact values{facts.nearest(field)}")
    elif isinstance(rule, Boost | Bury | Hide) and rule.field:
        absent = [value for value in rule.values if (rule.field, value) not in facts.values]
        if absent:
            yield warning(f"{place}.values", f"no product has {', '.join(absent)} in {rule.field}")


def signal_fields(profile: Profile) -> dict[str, tuple[str, ...]]:
    """The fields that the signals read which are on."""
    signals = profile.signals
    used = {name: fields for name, fields in SIGNAL_FIELDS.items() if getattr(signals, name).strength}
    if signals.recency.strength:
        used["recency"] = (signals.recency.field,)
    if signals.stock.out == "hide":
        used["stock"] = ("stock",)
    return used


def ruled(profile: Profile) -> list[tuple[str, Sequence[Pin | Chosen]]]:
    return [("boosts", profile.boosts), ("pins", profile.pins), ("buries", profile.buries), ("hides", profile.hides)]


def check_size(profile: Profile, legs: Sequence[str], engine_version: str) -> Iterator[Problem]:
    for name, source in compile_profile(profile, legs, engine_version).items():
        size = len(source.encode())
        if size > LONGEST_TEMPLATE:
            yield error("pins", f"{name} comes to {size} bytes, the engine takes {LONGEST_TEMPLATE}: use fewer rules")
