"""Text as products carry it: composed Unicode, no control characters, no stray spaces."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date
from decimal import Decimal

from .problem import refusal, shown

# what is no part of a text: control characters but tabs and line breaks, the byte order mark, halves of surrogate pairs
STRAY = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff]")
TRADE_MARKS = re.compile("[\u2120\u2122]")  # form KC would glue their letters to the word: "SonyTM"
WHOLE_AND_FRACTION = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e])")  # and make 51/2 of five and a half
UNUSUAL = re.compile(f"[{STRAY.pattern[1:-1]}{TRADE_MARKS.pattern[1:-1]}\u00bc-\u00be\u2150-\u215e]")
EXACT_INTEGERS = 2**53  # below this every whole float stands for one integer


def one_line(text: str) -> str:
    """The text in Unicode normal form KC, without control characters, every run of white space one space."""
    return " ".join(composed(text).split())


def many_lines(text: str) -> str:
    """As `one_line` for each line; lines that are left blank are dropped, the others joined by a line feed."""
    return "\n".join(line for part in composed(text).splitlines() if (line := " ".join(part.split())))


def composed(text: str) -> str:
    if text.isascii():
        return text if text.isprintable() else STRAY.sub("", text)
    if UNUSUAL.search(text):
        text = WHOLE_AND_FRACTION.sub(" ", TRADE_MARKS.sub("", STRAY.sub("", text)))
    return unicodedata.normalize("NFKC", text)


def scalar_text(value: object) -> str:
    """A text, number or date as text, uncleaned: 12.0 is "12", 12.5 is "12.5".

    Raises:
        PydanticCustomError: bad_text for anything else, true and false included.
    """
    match value:
        case str():
            return value
        case bool():
            pass
        case int() if abs(value) < 10**40:
            return str(value)
        case float() if math.isfinite(value):
            return str(int(value)) if value.is_integer() and abs(value) < EXACT_INTEGERS else repr(value)
        case Decimal() if value.is_finite():
            return f"{value:f}" if abs(value.adjusted()) < 40 else str(value)
        case date():
            return value.isoformat()
    raise refusal("bad_text", f"{shown(value)} is not text")
