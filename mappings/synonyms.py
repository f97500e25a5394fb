"""Synonyms of a shop in the analyzers that read queries: "tv, television", "sneaker => running shoe"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FILTER = "prodsim_synonyms"
ANALYZERS = ("prodsim_query", "prodsim_content_words")
COMES_AFTER = "asciifolding"  # so rules may be written in any case and with accents, and are stemmed like the rest
ARROW = "=>"


def with_synonyms(analysis: Mapping[str, Any], rules: Sequence[str]) -> dict[str, Any]:
    """The analysis of an index with these rules, in Solr's notation; as it is where there are none."""
    if not rules:
        return dict(analysis)
    analyzers = dict(analysis["analyzer"])
    for name in ANALYZERS:
        chain = list(analyzers[name]["filter"])
        chain.insert(chain.index(COMES_AFTER) + 1, FILTER)
        analyzers[name] = {**analyzers[name], "filter": chain}
    filters = {**analysis["filter"], FILTER: {"type": "synonym_graph", "synonyms": list(rules)}}
    return {**analysis, "filter": filters, "analyzer": analyzers}


def synonyms_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The rules in the settings of an index, below `index`."""
    kept = settings.get("analysis", {}).get("filter", {}).get(FILTER, {}).get("synonyms", [])
    return tuple([kept] if isinstance(kept, str) else kept)


def problem_of(rule: str) -> str | None:
    """What is wrong with a rule; None where nothing is."""
    sides = rule.split(ARROW)
    if len(sides) > 2:
        return f"more than one {ARROW}"
    words = [[word.strip() for word in side.split(",")] for side in sides]
    if not all(word for side in words for word in side):
        return "a word is missing beside a comma or an arrow"
    if len(sides) == 1 and len(words[0]) < 2:
        return f"one word alone is no synonym: write 'tv, television' or 'tv {ARROW} television'"
    return None


def rules_in(text: str) -> list[str]:
    """The rules of a synonyms file, one a line; what follows # is a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
