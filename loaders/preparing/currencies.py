"""The currency that a price names, by code or sign."""

from __future__ import annotations

from .vocabulary import vocabulary, words

CODES = words("currency_codes")
DOLLARS: list[str] = vocabulary()["dollars"]
PESOS: list[str] = vocabulary()["pesos"]
# What each sign can stand for. The first is meant where nothing else says which, unless that is None: then none is.
SIGNS: dict[str, tuple[str | None, ...]] = {
    "€": ("EUR",),
    "euro": ("EUR",),
    "euros": ("EUR",),
    "$": (*DOLLARS, *PESOS),
    "us$": ("USD",),
    "c$": ("CAD",),
    "ca$": ("CAD",),
    "a$": ("AUD",),
    "au$": ("AUD",),
    "nz$": ("NZD",),
    "hk$": ("HKD",),
    "s$": ("SGD",),
    "nt$": ("TWD",),
    "mx$": ("MXN",),
    "r$": ("BRL",),
    "£": ("GBP", "EGP", "FKP", "GIP", "SHP"),
    "¥": (None, "JPY", "CNY"),
    "円": ("JPY",),
    "元": ("CNY",),
    "₹": ("INR",),
    "rs": (None, "INR", "PKR", "LKR", "NPR", "MUR", "SCR"),
    "kr": (None, "SEK", "NOK", "DKK", "ISK"),
    "sfr": ("CHF",),
    "fr": (None, "CHF", "XAF", "XOF"),
    "zł": ("PLN",),
    "zl": ("PLN",),
    "kč": ("CZK",),
    "kc": ("CZK",),
    "ft": ("HUF",),
    "lei": (None, "RON", "MDL"),
    "₽": ("RUB",),
    "₴": ("UAH",),
    "₺": ("TRY",),
    "tl": ("TRY",),
    "₩": ("KRW",),
    "₪": ("ILS",),
    "₫": ("VND",),
    "฿": ("THB",),
    "₱": ("PHP",),
    "rm": ("MYR",),
    "rp": ("IDR",),
}


def currencies_of(word: str) -> tuple[str | None, ...]:
    """What a sign, an abbreviation or a code in a price can stand for, the likeliest first; () for no currency."""
    if word.upper() in CODES:
        return (word.upper(),)
    return SIGNS.get(word.casefold().rstrip("."), ())
