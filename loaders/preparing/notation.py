"""Numbers as people and their programs write them: 1.299,00 and 1,299.00, 1 299,00, 1'299.00 and 1,29,900."""

from __future__ import annotations

import re
from typing import Literal

from .clean import one_line
from .numeric import PLAIN_NUMBER
from .problem import refusal, shown

Decimal = Literal[",", "."]

SPACED_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?:([ '])[0-9]{3})(?:\1[0-9]{3})*(?:[.,][0-9]+)?")
MARKED_GROUPS = {
    # Indian grouping has pairs before the last three digits
    ",": re.compile(r"[1-9](?:[0-9]{0,2}(?:,[0-9]{3})+|[0-9]?(?:,[0-9]{2})*,[0-9]{3})"),
    ".": re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+"),
}
ONE_MARK = re.compile(r"([0-9]*)([.,])([0-9]*)")
BODY = re.compile(r"[0-9]+|[0-9]*(?:[.,' ]?[0-9]+)*[.,]?")
APOSTROPHES = str.maketrans("\u2019\u02bc`\u00b4", "''''")
OTHER: dict[str, Decimal] = {",": ".", ".": ","}


def read_number(
    value: str, decimal: Decimal | None = None, comma_groups: bool = True, quoted: str | None = None
) -> float:
    """The number that a text writes, with the mark before its fraction as declared by `decimal`.

    Undeclared, the notation itself says it: of two marks the last comes before the fraction, one that is repeated
    groups, and so do spaces and apostrophes. A single comma before exactly three digits groups where `comma_groups`
    ("1,299" is 1299) and is refused elsewhere; a single point never does, because programs write numbers so ("1.299"
    is 1.299). `quoted` is what messages quote, where the number is part of a longer text.

    Raises:
        PydanticCustomError: bad_number or ambiguous_number.
    """
    text = value.strip()
    if decimal != "," and PLAIN_NUMBER.fullmatch(text):
        return float(text)
    text = one_line(text.translate(APOSTROPHES)).translate(APOSTROPHES)
    sign = -1 if text[:1] in ("-", "\u2212") else 1
    body = text[1:].strip() if text[:1] in ("+", "-", "\u2212") else text
    value = value if quoted is None else quoted
    if not any(letter in "0123456789" for letter in body):
        raise refusal("bad_number", f"{shown(value)} is not a number")
    plain = BODY.fullmatch(body) and plain_form(body, decimal, comma_groups, value)
    if not plain:
        raise refusal("bad_number", f"{shown(value)} is not a number in a common notation such as 1299.00 or 1.299,00")
    return sign * float(plain)


def plain_form(body: str, decimal: Decimal | None, comma_groups: bool, value: str) -> str | None:
    """The digits with a point before the fraction; None where the notation is none."""
    if " " in body or "'" in body:
        if not SPACED_GROUPS.fullmatch(body):
            return None
        body = body.replace(" ", "").replace("'", "")
        used = "," if "," in body else "."
        return fits(used, decimal, value) and body.replace(used, ".") if used in body else body
    points, commas = body.count("."), body.count(",")
    if not points and not commas:
        return body
    if points and commas:
        used = max(".,", key=body.rfind)
        whole, _, fraction = body.rpartition(used)
        if used in whole or not MARKED_GROUPS[OTHER[used]].fullmatch(whole) or not fraction:
            return None
        return fits(used, decimal, value) and f"{whole.replace(OTHER[used], '')}.{fraction}"
    mark = "." if points else ","
    if points + commas > 1:
        return grouped(body, mark, decimal, value)
    found = ONE_MARK.fullmatch(body)
    if found is None:
        return None
    whole, _, fraction = found.groups()
    can_group = len(fraction) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0"
    if decimal == mark:
        return f"{whole or 0}.{fraction}"
    if decimal is not None:
        return grouped(body, mark, decimal, value)
    if can_group and mark == "," and not comma_groups:
        raise refusal(
            "ambiguous_number",
            f"{shown(value)} could mean {whole}{fraction} or {whole}.{fraction}: say which with 'decimal' in a "
            "catalog.yaml",
        )
    return whole + fraction if can_group and mark == "," else f"{whole or 0}.{fraction}"


def grouped(body: str, mark: str, decimal: Decimal | None, value: str) -> str | None:
    if MARKED_GROUPS[mark].fullmatch(body):
        return fits(OTHER[mark], decimal, value) and body.replace(mark, "")
    if decimal is not None and decimal != mark and ONE_MARK.fullmatch(body):
        fits(mark, decimal, value)
    return None


def fits(used: str, decimal: Decimal | None, value: str) -> Literal[True]:
    """Refuses a notation whose fraction comes after another mark than the declared one."""
    if decimal is not None and used != decimal:
        raise refusal(
            "bad_number", f"{shown(value)} does not have its fraction after {decimal!r}, as 'decimal' declares"
        )
    return True
