"""Trade item numbers: GTIN, EAN, UPC and ISBN, all as 14 digits."""

from __future__ import annotations

import re

from .clean import one_line, scalar_text
from .problem import refusal, shown

MANY_DIGITS = re.compile(r"[0-9](?:[ -]?[0-9]){7}")
LENGTHS = (8, 12, 13, 14)
UNLABELLED = re.compile(r"(?<![\w+.,/#-])[0-9]{12,14}(?![\w/-]|[.,][0-9])")
LABELLED = re.compile(
    r"\b(?:EAN|GTIN|UPC|JAN|ISBN)(?:-?(?:8|10|12|13|14|A))?(?:[- ]?(?:code|nr|no|number))?\.?[ :#=]{1,3}"
    r"(?P<code>[0-9](?:[ -]?[0-9]){6,12}[ -]?[0-9Xx])(?![\w])",
    re.IGNORECASE,
)
# numbers that GS1 leaves to each shop, and coupons: not the same article elsewhere
OWN_NUMBERS = re.compile(r"0(?:02|04|05|2[0-9]|98|99)|00000")


def find_gtins(text: str) -> list[str]:
    """The numbers in a text whose check digit is right, each once, as 14 digits.

    One of 8 digits counts only with its name beside it ("EAN: 96385074"): one in ten dates has a right check digit too.
    """
    if not MANY_DIGITS.search(text):
        return []
    found = [normal_gtin(match["code"]) for match in LABELLED.finditer(text)]
    for match in UNLABELLED.finditer(text):
        code = normal_gtin(match.group())
        if code and not OWN_NUMBERS.match(code):
            found.append(code)
    return list(dict.fromkeys(code for code in found if code))


def normal_gtin(written: str) -> str | None:
    """The 14 digits, None where it is no such number or its check digit is wrong."""
    digits = written.replace(" ", "").replace("-", "")
    if len(digits) == 10:
        digits = isbn13(digits) or ""
    if len(digits) not in LENGTHS or not (digits.isascii() and digits.isdecimal()) or not digits.strip("0"):
        return None
    from stdnum import ean

    full = digits.zfill(14)
    return full if ean.calc_check_digit(full[:-1]) == full[-1] else None


def isbn13(digits: str) -> str | None:
    from stdnum import isbn

    return str(isbn.to_isbn13(digits)) if isbn.is_valid(digits) else None


def declared_gtin(value: object) -> str:
    """The number in a column that is declared to hold one.

    Raises:
        PydanticCustomError: bad_gtin.
    """
    text = one_line(scalar_text(value))
    code = normal_gtin(text)
    if code is None:
        digits = text.replace(" ", "").replace("-", "")
        if not digits.isdecimal():
            reason = "it is not digits alone"
        elif len(digits) in LENGTHS:
            reason = "its check digit is wrong"
        else:
            reason = f"it has {len(digits)} digits, not 8, 12, 13 or 14"
        raise refusal("bad_gtin", f"{shown(value)} is no EAN, UPC or GTIN: {reason}")
    return code
