"""Units of measure by their many names, and quantities in one unit of each kind."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from .problem import refusal, shown

# kind: its unit here, and what one of each other unit is in it. Names match whatever their case, but for CASED ones.
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "capacity": ("GB", {"GB": "1", "MB": "0.001", "TB": "1000", "PB": "1000000"}),
    "volume": ("ml", {"ml": "1", "cl": "10", "dl": "100", "l": "1000", "fl oz": "29.5735", "gal": "3785.41"}),
    "weight": ("g", {"mg": "0.001", "g": "1", "kg": "1000", "oz": "28.3495", "lb": "453.592", "t": "1000000"}),
    "length": (
        "mm",
        {"mm": "1", "cm": "10", "m": "1000", "km": "1000000", "inch": "25.4", "ft": "304.8", "yd": "914.4"},
    ),
    "power": ("W", {"mW": "0.001", "W": "1", "kW": "1000"}),
    "voltage": ("V", {"V": "1", "kV": "1000"}),
    "charge": ("mAh", {"mAh": "1", "Ah": "1000"}),
    "energy": ("Wh", {"Wh": "1", "kWh": "1000"}),
    "frequency": ("Hz", {"Hz": "1", "kHz": "1000", "MHz": "1000000", "GHz": "1000000000"}),
}
NAMES = {
    "GB": "gigabyte gigabytes",
    "MB": "megabyte megabytes",
    "TB": "terabyte terabytes",
    "ml": "milliliter milliliters millilitre millilitres millilitro millilitri",
    "cl": "centiliter centilitre centilitres zentiliter",
    "dl": "deciliter decilitre",
    "l": "liter liters litre litres litro litros litri ltr",
    "fl oz": "fl.oz fl.oz. fl.oz fluid",
    "gal": "gallon gallons",
    "mg": "milligram milligrams milligramm",
    "g": "gram grams gramm grammes gramme grammi gramos gr",
    "kg": "kilogram kilograms kilogramm kilogrammes kilo kilos",
    "oz": "ounce ounces unze unzen",
    "lb": "lbs pound pounds",
    "mm": "millimeter millimeters millimetre millimetres",
    "cm": "centimeter centimeters centimetre centimetres zentimeter",
    "m": "meter meters metre metres metro metros mètre mètres",
    "km": "kilometer kilometers kilometre kilometres",
    "inch": 'inches zoll pouces pulgadas pollici " ”',
    "ft": "foot feet fuß",
    "yd": "yard yards",
    "W": "watt watts",
    "kW": "kilowatt kilowatts",
    "V": "volt volts",
    "Hz": "hertz",
}
# in another case these mean something else, or nothing: 5G, 42M, 3D
CASED = frozenset({"g", "m", "t", "W", "V", "mW", "l"})
UNITS: dict[str, str] = {unit: unit for _, units in KINDS.values() for unit in units}
UNITS |= {unit.casefold(): unit for unit in UNITS if unit not in CASED}
UNITS |= {name: unit for unit, names in NAMES.items() for name in names.split()}
UNITS |= {"L": "l", "fl. oz": "fl oz"}
KIND_OF = {unit: kind for kind, (_, units) in KINDS.items() for unit in units}
del UNITS["fluid"]


@lru_cache(maxsize=4096)
def unit_named(name: str) -> str | None:
    """The unit that a name in a text stands for: "Liter" is l; None for no unit."""
    return UNITS.get(name) or UNITS.get(name.casefold() if name not in CASED and len(name) > 1 else name)


def converted(amount: Fraction, unit: str, target: str) -> Fraction:
    """The amount in another unit of the same kind."""
    factors = KINDS[KIND_OF[unit]][1]
    return amount * Fraction(factors[unit]) / Fraction(factors[target])


def written(amount: Fraction) -> str:
    """At most four decimals, none that is not needed: 1000, 0.5."""
    return f"{Decimal(amount.numerator) / Decimal(amount.denominator):.4f}".rstrip("0").rstrip(".")


def quantity(value: object, target: str) -> str:
    """A value in the unit `target`, with its name: "1.2 kg" in g is "1200 g"; a bare number is in it already.

    Raises:
        PydanticCustomError: bad_unit.
    """
    from .measures import QUANTITY, amount_of

    text = f"{value:f}" if isinstance(value, Decimal) else str(value).strip()
    found = QUANTITY.fullmatch(text) if not isinstance(value, bool) and len(text) < 60 else None
    unit = unit_named(found["unit"]) if found and found["unit"] else target
    try:
        amount = amount_of(found["amount"]) if found else None
    except (InvalidOperation, ValueError, ZeroDivisionError):
        amount = None
    if amount is None or unit is None:
        raise refusal("bad_unit", f"{shown(value)} is not an amount in {target} or a unit that can be converted to it")
    if KIND_OF[unit] != KIND_OF[target]:
        raise refusal("bad_unit", f"{shown(value)} is no {KIND_OF[target]}, so it can't be converted to {target}")
    return f"{written(converted(amount, unit, target))} {target}"
