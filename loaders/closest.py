"""Naming what a person most likely meant, for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, letter case and separators aside; None where none is near."""
    plain = {plain_name(candidate): candidate for candidate in known}
    match = get_close_matches(plain_name(name), plain, n=1, cutoff=0.7)
    return plain[match[0]] if match else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`": did you mean 'price'?"`, or a list of what is known (at most 30 names)."""
    names = list(known)
    match = closest(name, names)
    if match is not None:
        return f": did you mean {match!r}?"
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    return f": known are {', '.join(names[:30])}{more}"


def plain_name(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")
