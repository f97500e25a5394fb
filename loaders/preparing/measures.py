"""Sizes, capacities and pack counts in a text, in one notation whatever the shop's: `capacity:1000GB`, `count:6`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from .clean import one_line
from .problem import refusal, shown
from .units import KIND_OF, KINDS, converted, unit_named, written

MOST_MEASURES = 30
LARGEST_COUNT = 1_000
# A pattern that begins with a digit is found several times faster than one that begins with a look behind.
AMOUNT = (
    r"(?P<amount>[0-9](?<![\w.,/\u2044-][0-9])[0-9]*"
    r"(?:[ -][0-9]{1,2}[/\u2044][0-9]{1,2}|[/\u2044][0-9]{1,2}|(?:,[0-9]{3})+|[.,][0-9]+)?)"
)
NAMED_MEASURE = re.compile(
    rf"{AMOUNT}(?:(?P<gap>[ -]?)(?P<unit>fl\.? ?oz|[^\W\d_]{{1,12}})(?![\w\u2044]|/[hms]\b)"
    r"|(?P<inches>[\"\u201d]|''|\u2032\u2032)(?!\w))",
    re.IGNORECASE,
)
QUANTITY = re.compile(AMOUNT + r" ?(?P<unit>[^\W\d_]+(?:[ .]?oz\.?)?|[\"\u201d])?")
NUMBER_WORD = r"(?P<count>[1-9][0-9]{0,3})"
PACK = "pack|packs|pk|pcs?|pieces?|piezas|pièces|pezzi|count|ct|stück|stk|st|set|bundle|pairs?|paar"
PACK_OF = re.compile(
    rf"\b(?:(?:pack|set|box|case|bundle|lot|carton|bag)s? of|pack (?:de|von|à)|lot de|set (?:de|von|da)|confezione da"
    rf"|packung (?:mit|à)|caja de) {NUMBER_WORD}\b(?![.,][0-9])",
    re.IGNORECASE,
)
OF_NUMBER = re.compile(" (?:of|de|von|à|mit|da) [1-9]", re.IGNORECASE)
NUMBER_FIRST = re.compile(
    r"(?P<count>[1-9](?<![\w.,/$€£-][1-9])[0-9]{0,3})"
    rf"(?:(?:[ -]?|er[ -]?)(?:{PACK}|packung|packungen)\b(?! of)"
    r"| ?[x\u00d7] ?(?=[0-9]+(?:[.,][0-9]+)? ?(?:ml|cl|dl|l|g|kg|mg|oz|fl oz|stück|pcs)\b)"
    r"| [x\u00d7](?= [^\W\d_]|$)(?! (?:optical|digital|zoom|speed|optisch|faster|more)))",
    re.IGNORECASE,
)
QUOTATION_MARK = re.compile('(?<![0-9])["\u201c\u201d\u201e]')
DIGIT = re.compile("[0-9]")


def find_measures(text: str) -> list[str]:
    """The measures in a text, each once, in the order in which they come; "5G", "100%" and "2-in-1" are none."""
    if not DIGIT.search(text):
        return []
    found: list[tuple[int, str]] = list(counts(text))
    for match in NAMED_MEASURE.finditer(text):
        measure = measured(match, text)
        if measure is not None:
            found.append((match.start(), measure))
    return list(dict.fromkeys(measure for _, measure in sorted(found)))[:MOST_MEASURES]


def counts(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (PACK_OF, NUMBER_FIRST) if OF_NUMBER.search(text) else (NUMBER_FIRST,):
        for match in pattern.finditer(text):
            if 1 < int(match["count"]) <= LARGEST_COUNT:
                yield match.start(), f"count:{int(match['count'])}"


def measured(match: re.Match[str], text: str) -> str | None:
    if match["inches"]:
        unit: str | None = None if closes_a_quotation(text, match.start("inches")) else "inch"
    else:
        unit = unit_named(match["unit"])
        if unit is not None and match["gap"] == "-" and len(match["unit"]) == 1:  # "3-m" is rather a name
            unit = None
    if unit is None:
        return None
    return measure(match["amount"], unit)


@lru_cache(maxsize=1 << 14)
def measure(amount: str, unit: str) -> str | None:
    """The measure in the unit of its kind; None for nothing and for what is too large or too small."""
    if len(amount) > 15:
        return None
    kind = KIND_OF[unit]
    target = KINDS[kind][0]
    try:
        text = written(converted(amount_of(amount), unit, target))
    except ZeroDivisionError:
        return None
    return f"{kind}:{text}{target}" if text != "0" and len(text) <= 15 else None


def closes_a_quotation(text: str, position: int) -> bool:
    """Whether an inch sign is the end of a quotation: "Series 5"."""
    if text[position] not in '"\u201d':
        return False
    return len(QUOTATION_MARK.findall(text, 0, position)) % 2 == 1


def amount_of(written_amount: str) -> Fraction:
    """1.5, 1,5 and 1 1/2; a comma before three digits groups them, as in prices.

    Raises:
        ValueError: no number. ZeroDivisionError: a fraction of zero.
    """
    text = written_amount.replace("\u2044", "/")
    if "/" in text:
        whole, _, part = text.replace("-", " ").rpartition(" ")
        return Fraction(whole or 0) + Fraction(part)
    whole, comma, fraction = text.rpartition(",")
    if comma and len(fraction) == 3 and whole.lstrip("0") and len(whole.partition(",")[0]) <= 3:
        return Fraction(text.replace(",", ""))
    return Fraction(text.replace(",", "."))


def declared_measure(value: object) -> list[str]:
    """What a column that is declared to hold measures says: "1 TB", or `capacity:1000GB` as it is.

    Raises:
        PydanticCustomError: bad_measure.
    """
    text = one_line(str(value)) if isinstance(value, str) else ""
    kind, colon, rest = text.partition(":")
    if colon and (kind == "count" or kind in KINDS) and (found := find_measures(rest) or normal_count(kind, rest)):
        return found
    if found := find_measures(text):
        return found
    raise refusal("bad_measure", f"{shown(value)} is no measure such as '1 TB', '500 ml' or 'pack of 6'")


def normal_count(kind: str, rest: str) -> list[str]:
    return [f"count:{int(rest)}"] if kind == "count" and rest.isdecimal() and len(rest) < 5 else []
