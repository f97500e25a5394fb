"""Why a product is where it is for a query, is not there at all, or is not above another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodsim.mappings.bundle import SEARCH_TEMPLATE
from prodsim.plugin.client import engine_errors
from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.setup import template_legs

from .compile import compile_profile
from .explain import Explained, explained
from .profile import ONE_WORD, Profile
from .store import active_profile

if TYPE_CHECKING:
    from prodsim.plugin.query import ProductSearch

DEEPEST = 1_000  # places that are looked at


@dataclass(frozen=True)
class Why:
    """`place` counts from 1, None where the product is no hit (or stands below place 1,000): `reason` says why."""

    sku: str
    title: str
    place: int | None
    explained: Explained | None
    reason: str = ""
    other: Why | None = None
    compared: list[dict[str, Any]] = field(default_factory=list)


def why(shop: ProductSearch, query: str, sku: str, above: str | None = None) -> Why:
    """The place of a product for a query with the parts of its score; with `above` beside those of another.

    Raises:
        NotFound: no such catalog or SKU. EngineError: the engine refuses or is not set up.
    """
    title = str(shop.product(sku).get("title", ""))
    profile = active_profile(shop.client)
    ranking = Ranking(shop, query, profile)
    parts = ranking.explain(sku, profile)
    place = ranking.place(sku)
    reason = "" if parts else ranking.reason(sku)
    if parts and place is None:
        reason = f"it is a hit, but not among the first {DEEPEST}"
    if above is None:
        return Why(sku, title, place, parts, reason)
    other = why(shop, query, above)
    return Why(sku, title, place, parts, reason, other, compare(parts, other.explained))


def compare(one: Explained | None, other: Explained | None) -> list[dict[str, Any]]:
    """Part by part, what each has."""
    rows = []
    for kind in ("parts", "signals"):
        ours, theirs = getattr(one, kind, {}), getattr(other, kind, {})
        for name in dict.fromkeys((*ours, *theirs)):
            rows.append({"part": name, "this": ours.get(name), "other": theirs.get(name)})
    rows.append({"part": "pinned", "this": getattr(one, "pin", None), "other": getattr(other, "pin", None)})
    rows.append({"part": "score", "this": getattr(one, "score", None), "other": getattr(other, "score", None)})
    return rows


class Ranking:
    """One query, asked with variations of the applied profile."""

    def __init__(self, shop: ProductSearch, query: str, profile: Profile) -> None:
        self.shop = shop
        self.profile = profile
        self.version = inspect_cluster(shop.client).version
        self.legs = template_legs(shop.client)
        self.params: dict[str, Any] = {"q": query}
        if shop.mode == "client" and (vector := shop.query_vector(query)) is not None:
            self.params |= vector.params

    def ask(self, profile: Profile, explain: bool, **params: Any) -> dict[str, Any]:
        source = compile_profile(profile, self.legs, self.version)[SEARCH_TEMPLATE]
        body = {"source": source, "params": {**self.params, **params}, "explain": explain}
        with engine_errors(f"searching {self.shop.alias}"):
            answer: dict[str, Any] = self.shop.client.search_template(index=self.shop.alias, body=body)
        return answer

    def explain(self, sku: str, profile: Profile) -> Explained | None:
        """The parts of the product's score, None where it is no hit.

        The filter stands beside facets, so that it narrows what was found and changes nothing of how it is found.
        """
        only = {"filters": [{"field": "sku", "values": [sku]}], "facets": ["sku"], "size": 1}
        hits = self.ask(profile, explain=True, **only)["hits"]["hits"]
        return explained(hits[0]["_explanation"]) if hits else None

    def place(self, sku: str) -> int | None:
        hits = self.ask(self.profile, explain=False, size=DEEPEST, fields=["sku"])["hits"]["hits"]
        return next((number for number, hit in enumerate(hits, 1) if hit["_id"] == sku), None)

    def reason(self, sku: str) -> str:
        """Why it is no hit: hidden, under the floor, or neither its words nor its meaning fit."""
        stock = self.profile.signals.stock.model_copy(update={"out": "ignore"})
        signals = self.profile.signals.model_copy(update={"stock": stock})
        shown = self.profile.model_copy(update={"hides": (), "signals": signals})
        found = self.explain(sku, shown)
        if found:
            if (
                self.profile.signals.stock.out == "hide"
                and self.explain(sku, self.profile.model_copy(update={"hides": ()})) is None
            ):
                return "it is out of stock, and the profile hides such products"
            return "a rule of the profile hides it"
        if below := self.explain(sku, shown.with_values({"floor": 0.0})):
            return (
                f"it is found by its meaning alone, {below.blend:.3f} points, under the floor of {self.profile.floor:g}"
            )
        one_word = shown.words.model_copy(update={"minimum_should_match": ONE_WORD})
        if self.explain(sku, shown.model_copy(update={"words": one_word})):
            least = self.profile.words.minimum_should_match
            weak = "".join(f", without {field}" for field in self.profile.words.weak_fields)
            said = f"words.minimum_should_match is {least!r}{weak}"
            return f"too few words of the query find it ({said}), and {self.unlike()}"
        return f"no word of the query is in it, and {self.unlike()}"

    def unlike(self) -> str:
        candidates, c = self.profile.legs.text.candidates, self.profile.c
        return f"it is not among the {candidates} products nearest in meaning, or no nearer than a cosine of {c:g}"
