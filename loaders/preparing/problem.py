"""Why a row is no product: what is reported for each field, in words that a shop's people understand."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import PydanticCustomError

SHOWN_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a row: the product field ("" for the row itself), a short code and one line for people."""

    field: str
    code: str
    message: str


def refusal(code: str, message: str) -> PydanticCustomError:
    """The error that a field's check raises; `message` follows the field's name and a colon."""
    # the template has one placeholder, because braces in a shop's own text would be taken for more
    return PydanticCustomError(code, "{message}", {"message": message})


def shown(value: object) -> str:
    """A value as messages quote it: text in quotes and cut, containers by their kind alone."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in value[: SHOWN_LENGTH + 1])
            return f"'{printable}'" if len(printable) <= SHOWN_LENGTH else f"'{printable[:SHOWN_LENGTH]}…'"
        case dict():
            return "a set of names and values"
        case list() | tuple() | set():
            return "a list"
        case bytes():
            return "binary data"
        case float() if value != value:
            return "NaN"
        case int() if abs(value) >= 10**40:
            return "a number of more than 40 digits"
        case _:
            text = str(value)
            return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"
