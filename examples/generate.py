"""Writes products.ndjson and judgments.json from the words in vocabulary/ and the rules in queries.yaml.

    python examples/generate.py            writes both files; the same words always give the same bytes
    python examples/generate.py --check    writes nothing; exits 3 when a file differs from what would be written

Exits 1, with one line on stderr, when a word file or a rule can't be used. Every draw is seeded by product type or
model name, so a new type changes no other product.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product as every_combination
from pathlib import Path
from typing import Any

import yaml

SEED = 11
REFERENCE_DATE = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
FOLDER = Path(__file__).resolve().parent
DISCOUNTS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.15, 0.2, 0.3, 0.4)
PRICE_ENDINGS = (0.0, 0.5, 0.9, 0.95, 0.99)
TEXT_ONLY = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # the same in C, where PyYAML was built with it
REQUIRED_KEYS = {"sku", "path", "brands", "titles", "tags", "price", "attributes", "products"}
OPTIONAL_KEYS = {"nouns", "variants"}


class VocabularyError(Exception):
    """A word file or a rule that can't be used: which one, and why."""


@dataclass(frozen=True)
class Product:
    """One document of the catalog, and the type it was made from, which judgments rely on."""

    type: str
    document: dict[str, Any]

    def has(self, conditions: dict[str, Any]) -> bool:
        """Whether each named field or attribute holds one of the values asked for."""
        known = {**self.document, **self.document["attributes"]}
        return all(known.get(name) in one_or_many(values) for name, values in conditions.items())


class Deck:
    """Values in shuffled order, dealt round and round: none comes again before all have come."""

    def __init__(self, values: Iterable[str], draw: random.Random, last: Iterable[str] = ()) -> None:
        later = set(last)
        self.order = list(values)
        self.shuffled = sorted(self.order, key=lambda value: (value in later, draw.random()))
        self.dealt = 0

    def take(self, count: int) -> list[str]:
        """The next `count` values, all different, in the order of the word file."""
        size = len(self.shuffled)
        if count > size:
            raise VocabularyError(f"needs {count} different values, found {size}: {', '.join(self.order) or 'none'}")
        taken = [self.shuffled[(self.dealt + step) % size] for step in range(count)]
        self.dealt += count
        return sorted(taken, key=self.order.index)

    def next(self) -> str:
        return self.take(1)[0]


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the example catalog and its judgments.")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check = parser.parse_args().check
    try:
        catalog = read_catalog()
        files = {
            "products.ndjson": "".join(json.dumps(p.document, ensure_ascii=False) + "\n" for p in catalog),
            "judgments.json": json.dumps(judge(catalog), ensure_ascii=False, indent=1) + "\n",
        }
    except VocabularyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = [name for name, text in files.items() if not holds(FOLDER / name, text)]
    if check:
        for name in stale:
            sys.stderr.write(f"{name} differs from what the word files give: run python examples/generate.py\n")
        return 3 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(files[name], encoding="utf-8", newline="\n")
        sys.stderr.write(f"wrote {name}\n")
    return 0


def holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() == text.encode()


def read_yaml(path: Path) -> Any:
    """The file's content with every scalar as text: `yes` stays "yes" and `38` stays "38"."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=TEXT_ONLY)
    except yaml.YAMLError as error:
        raise VocabularyError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from None


def read_catalog() -> list[Product]:
    """Every variant of every product, in the order of the word files."""
    catalog: list[Product] = []
    for path in sorted((FOLDER / "vocabulary").glob("*.yaml")):
        words = read_yaml(path)
        shared = {key: words[key] for key in ("brands", "titles") if key in words}
        for name, own in words["types"].items():
            try:
                check_keys({**shared, **own}, REQUIRED_KEYS, OPTIONAL_KEYS)
                catalog += products_of_type(name, words["category"], {**shared, **own})
            except KeyError as error:
                raise VocabularyError(f"{path.name}, {name}: nothing is called {error}") from None
            except (VocabularyError, ValueError) as error:
                raise VocabularyError(f"{path.name}, {name}: {error}") from None
    made = Counter(product.document["sku"] for product in catalog)
    if twice := [sku for sku, count in made.items() if count > 1]:
        raise VocabularyError(f"two types share a sku code, which would make these twice: {', '.join(twice)}")
    return catalog


def check_keys(entry: dict[str, Any], required: set[str], optional: set[str]) -> None:
    if missing := required - entry.keys():
        raise VocabularyError(f"missing {', '.join(sorted(missing))}")
    if unknown := entry.keys() - required - optional:
        raise VocabularyError(f"unknown {', '.join(sorted(unknown))}")


def products_of_type(name: str, category: str, words: dict[str, Any]) -> Iterator[Product]:
    """The variants of each model under `products`; what a model does not fix itself is dealt from the type's words."""
    draw = random.Random(f"{SEED} {name}")
    models = {model: {"text": own} if isinstance(own, str) else own for model, own in words["products"].items()}
    attributes = {key: sentences(values) for key, values in words["attributes"].items()}
    brands, titles, nouns = (Deck(words.get(key, []), draw) for key in ("brands", "titles", "nouns"))
    decks = {
        key: Deck(values, draw, last=[own[key] for own in models.values() if key in own])
        for key, values in attributes.items()
    }
    options = option_decks(words.get("variants", {}), draw)

    for number, (model, own) in enumerate(models.items(), start=1):
        check_keys(own, {"text"}, {"noun", "brand", "price", *attributes})
        facts = {key: own.get(key) or deck.next() for key, deck in decks.items()}
        said = [attributes[key][value] for key, value in facts.items() if attributes[key].get(value)]
        group = {
            "sku": f"{words['sku']}-{number:02}",
            "brand": own.get("brand") or brands.next(),
            "model": model,
            "title": titles.next(),
            "description": " ".join([own["text"], *said]),
            "category": [category, *words["path"]],
            "tags": words["tags"],
            "price": [float(bound) for bound in own.get("price", words["price"])],
        }
        if "noun" in own or nouns.order:
            group["noun"] = own.get("noun") or nouns.next()
        for document in variants_of(group, facts, options):
            yield Product(name, document)


def sentences(values: list[str] | dict[str, str]) -> dict[str, str]:
    """Attribute value to the sentence it adds to a description; a plain list adds none."""
    return values if isinstance(values, dict) else dict.fromkeys(values, "")


Options = dict[str, tuple[int, float, dict[str, Deck]]]


def option_decks(variants: dict[str, Any], draw: random.Random) -> Options:
    """Option name to how many a product comes in, the price step from one value to the next, and decks by audience.

    The deck under "" serves every audience.
    """
    options = {}
    for name, option in variants.items():
        of = option["of"] if isinstance(option["of"], dict) else {"": option["of"]}
        decks = {audience: Deck(values, draw) for audience, values in of.items()}
        options[name] = (int(option["each"]), float(option.get("step", 0)), decks)
    return options


def variants_of(group: dict[str, Any], facts: dict[str, str], options: Options) -> Iterator[dict[str, Any]]:
    """The documents of one product: each combination of the colours, sizes and so on that it comes in."""
    draw = random.Random(f"{SEED} {group['model']}")
    low, high = group["price"]
    base_price = int(low + (high - low) * draw.random())
    ending = PRICE_ENDINGS[int(draw.random() * len(PRICE_ENDINGS))]
    discount = DISCOUNTS[int(draw.random() * len(DISCOUNTS))]
    rating = round(3.1 + 1.8 * (1 - (1 - draw.random()) ** 2), 1)
    popularity = draw.random() ** 2
    age_s = int((12 + 1100 * draw.random()) * 86_400)
    rating_count = 1 + int(popularity * age_s / 86_400 * (0.3 + draw.random()))
    created_at = REFERENCE_DATE - timedelta(seconds=age_s)

    choices, steps = [], []
    for name, (each, step, decks) in options.items():
        deck = decks.get("") or decks[facts["audience"]]
        choices.append([(name, value) for value in deck.take(each)])
        steps.append({value: step * place for place, value in enumerate(deck.order)})
    for number, chosen in enumerate(every_combination(*choices), start=1):
        surcharge = sum(step[value] for step, (_, value) in zip(steps, chosen, strict=True))
        list_price = base_price + int(surcharge)
        sku = f"{group['sku']}-{number}"
        attributes = {"model": group["model"], **dict(chosen), **facts}
        yield {
            "sku": sku,
            "title": group["title"].format_map({**group, **attributes}),
            "description": group["description"],
            "brand": group["brand"],
            "category": group["category"],
            "tags": group["tags"],
            "attributes": attributes,
            "price": round(int(list_price * (1 - discount)) + ending, 2),
            "list_price": round(list_price + ending, 2),
            "currency": "EUR",
            "stock": 0 if draw.random() < 0.1 else 1 + int(140 * draw.random() ** 2),
            "rating": rating,
            "rating_count": rating_count,
            "popularity": round(popularity * (0.6 + 0.4 * draw.random()), 3),
            "created_at": as_text(created_at),
            "updated_at": as_text(created_at + timedelta(seconds=int(age_s * draw.random()))),
            "image_url": f"https://images.example.com/{sku.lower()}.jpg",
            "variant_group": group["sku"],
        }


def as_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def judge(catalog: list[Product]) -> dict[str, Any]:
    """The judgment list; a product that a query does not list has grade 0."""
    content = read_yaml(FOLDER / "queries.yaml")
    queries = []
    for entry in content["queries"]:
        try:
            check_keys(entry, {"query", "note", "rules"}, set())
            ratings = grade(catalog, entry["rules"])
        except VocabularyError as error:
            raise VocabularyError(f"queries.yaml, {entry.get('query')!r}: {error}") from None
        queries.append({"query": entry["query"], "note": entry["note"], "ratings": ratings})
    return {"name": content["name"], "description": content["description"], "queries": queries}


def grade(catalog: list[Product], rules: list[dict[str, Any]]) -> dict[str, int]:
    """SKU to grade: the first rule that a product meets decides; a rule that decides nothing is refused."""
    ratings: dict[str, int] = {}
    for number, rule in enumerate(rules, start=1):
        check_keys(rule, {"grade"}, {"type", "where"})
        found = [p.document["sku"] for p in catalog if p.document["sku"] not in ratings and meets(p, rule)]
        if not found:
            raise VocabularyError(f"rule {number} grades no product")
        ratings |= dict.fromkeys(found, int(rule["grade"]))
    return ratings


def meets(product: Product, rule: dict[str, Any]) -> bool:
    return product.type in one_or_many(rule.get("type", product.type)) and product.has(rule.get("where", {}))


def one_or_many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    sys.exit(main())
