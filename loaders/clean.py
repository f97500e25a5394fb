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
EXACT_INTEGERS = 2**53  # below this every whole float stands for one integer


def one_line(text: str) -> str:
    """The text in Unicode normal form C, without control characters, every run of white space one space."""
    return " ".join(composed(text).split())


def many_lines(text: str) -> str:
    """As `one_line` for each line; lines that are left blank are dropped, the others joined by a line feed."""
    return "\n".join(line for part in composed(text).splitlines() if (line := " ".join(part.split())))


def composed(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", STRAY.sub("", text))


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
