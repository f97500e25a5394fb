"""Model and part numbers in a text, in one form whatever the punctuation: WH-1000XM4, wh1000xm4 and WH 1000 XM4."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from .clean import one_line, scalar_text
from .currencies import CODES
from .problem import refusal, shown
from .units import unit_named
from .vocabulary import words

MOST_IDENTIFIERS = 40
SHORTEST, LONGEST = 4, 24  # characters in normal form
LONGEST_WORD = 5  # letters in a row; with more it is a word with a number: Windows10
PIECE = re.compile(r"[A-Za-z]+|[0-9]+")
DIGIT = re.compile("[0-9]")
LETTER = re.compile("[A-Za-z]")
# letters and digits that hang together in a word
CHUNK = re.compile(r"(?<![\w$€£%#@])[A-Za-z0-9]+(?:[-./_][A-Za-z0-9]+)*(?![\w%])")
SPACED = re.compile(  # begins with a letter, not with a look behind, because that is found faster
    r"([A-Z](?<![^\s(\[,;][A-Z])[A-Z]{0,3}) ([0-9][A-Z0-9]{0,7})(?![^\s)\],;:.!?])"
    r"(?: ([A-Z][A-Z0-9]{0,4})(?![^\s)\],;:.!?]))?(?: ([A-Z][A-Z0-9]{0,4})(?![^\s)\],;:.!?]))?"
)
AFTER_LABEL = re.compile(r"[:#=] ?(?P<code>[A-Za-z0-9]+(?:[-./_][A-Za-z0-9]+)*)")
LABEL = re.compile(
    r"\b(?:model(?: ?(?:no|nr|number|num))?|modell(?:nummer|-?nr)?|mpn|part ?(?:no|nr|number|num)?|p/n"
    r"|item ?(?:no|number)|art(?:ikel)?\.?-? ?(?:nr|no|nummer)|hersteller-?(?:nr|nummer)|typ-?nr"
    r"|référence|réf|referencia|modèle|modello|modelo)\.? ?$",
    re.IGNORECASE,
)
LABEL_LENGTH = 20
# names of standards, formats and protection classes, and what else is letters and digits but names no article
NO_MODEL = re.compile(
    r"(?:MP[0-9]|MPEG[0-9]+|H26[0-9]|X26[0-9]|USB[0-9.]*C?|G?DDR[0-9]X?L?[0-9]*|PC[0-9]{1,5}|SO?DIMM[0-9]*|RJ[0-9]+|CAT[0-9][AE]?"
    r"|IPX?[0-9]{1,2}K?|WPA[0-9]|WI?FI[0-9]E?|BT[0-9]+|SATA[0-9]*|ATA[0-9]+|PCIE?[0-9X]*|RS[0-9]{3}|HDMI[0-9]*|DVB[A-Z]?[0-9]?|UV[0-9]+|SPF[0-9]+"
    r"|ISO[0-9]+|EN[0-9]+|DIN[A-Z]?[0-9]+|IEEE[0-9A-Z]+|AC3|DTS[0-9]*|HTML[0-9]|CSS[0-9]|UTF[0-9]+|MIL?STD[0-9A-Z]*|COVID[0-9]+"
    r"|CLASS[0-9]+|TYPE[0-9A-C]+|WIN[0-9]+|MAC[0-9]+|OSX?[0-9]+|G[0-9]G|M2|VITAMINB?[0-9]+|OMEGA[0-9]|Q[1-4][0-9]{4}|MID[0-9]{4}"
    r"|[0-9]+(?:X[0-9]+)+[A-Z]{0,5}|[0-9]+(?:ST|ND|RD|TH|S|P|I|K|X|BIT|CH|IN[0-9]+|ER|RPM|DPI|PPI|FPS|MBPS|GBPS|BPS|KBPS|MP|BTU"
    r"|PACK|PK|PC|PCS|CT|WAY|PLY|PIN|PORT|DAY|MIN|HR|HRS|SEC|AMP|MM[0-9]+MM|PERCENT|VOLT|DB|KM|PSI|OHM|LM|LED|YEAR|YR|MO)"
    r"|[0-9]D|[0-9]+IN[0-9]+|[0-9]+(?:AM|PM))"
)
NO_PREFIX = words("no_model_prefix")  # before digits they are no part of a model
DECIMAL_POINT = re.compile(r"[0-9]\.[0-9]")
SMALL_ENDING = re.compile(r"[0-9]+[a-z]+")
YEAR = re.compile(r"(?:19|20)[0-9]{2}")


def normal_identifier(text: str) -> str:
    """Letters and digits alone, in upper case."""
    return "".join(letter for letter in text.upper() if letter.isalnum())


def find_identifiers(text: str) -> list[str]:
    """The model and part numbers in a text in normal form, each once: labelled and spaced ones first.

    One holds letters and digits, at least two digits or one beside several capitals. Numbers alone count only after a
    label ("Model: 27028"). Measures, years, prices, resolutions, names of standards and words with a number are none.
    """
    if not DIGIT.search(text):
        return []
    found: list[str] = []
    for match in AFTER_LABEL.finditer(text):
        if DIGIT.search(match["code"]) and LABEL.search(text[max(0, match.start() - LABEL_LENGTH) : match.start()]):
            found += [code] if is_code(code := normal_identifier(match["code"])) else []
    taken: set[str] = set()  # words that belong to a spaced number
    all_capitals = text.isupper()
    for match in SPACED.finditer(text):
        parts = spaced_parts(match, all_capitals)
        if parts:
            whole = "".join(parts)
            # the letters may be a maker's: "LG 42LG70"
            found += [whole, *(part for part in parts[1:] if len(part) > SHORTEST and is_model(part))]
            taken.update(parts)
    for word in text.split():
        if not word.isalpha() and DIGIT.search(word) and word not in taken:  # most words are letters alone
            found += codes_in(word)
    return list(dict.fromkeys(found))[:MOST_IDENTIFIERS]


def spaced_parts(match: re.Match[str], all_capitals: bool) -> list[str]:
    """What makes one number that is written with spaces; none where it is none.

    It starts with one to four capitals, goes on with digits, and what follows them is short and holds a digit: "WH 1000
    XM4", "KP 36IP", "EOS 40D".
    """
    first = match[1]
    if first in NO_PREFIX or first in CODES or len(first) > (3 if all_capitals else 4):
        return []
    parts = [first]
    for place, part in enumerate(match.groups()[1:], start=1):
        if part is None or not fits_spaced(part, place):
            break
        parts.append(part)
    if len(parts) == 1 or (len(parts) == 2 and YEAR.fullmatch(parts[1])):
        return []
    digits = sum(letter.isdigit() for letter in "".join(parts))
    if digits < 2 or (len(parts) == 2 and digits < 3 and parts[1].isdigit()):
        return []
    return parts if is_model("".join(parts)) else []


@lru_cache(maxsize=1 << 16)
def codes_in(word: str) -> tuple[str, ...]:
    """The numbers in one word, as it stands between spaces."""
    if len(word) > 100:
        return ()
    return tuple(code for chunk in CHUNK.finditer(word) for code in hanging_together(chunk.group()))


def fits_spaced(part: str, place: int) -> bool:
    if any(letter.islower() for letter in part) or is_quantity(part) or NO_MODEL.fullmatch(part):
        return False
    if place == 1:
        return part[0].isdigit() and len(part) <= 8
    return len(part) <= 5 and any(letter.isdigit() for letter in part) and part[0].isalpha()


def hanging_together(chunk: str) -> Iterator[str]:
    """The numbers in letters and digits without a space, which words that hyphens hang on are taken off."""
    if not LETTER.search(chunk):
        return
    if "/" in chunk:  # a short end is part of it ("MB123LL/A"), and the number is often given without it
        whole, _, end = chunk.rpartition("/")
        joined = len(end) <= 2 and "/" not in whole and not end.isdigit() and end.isupper()
        parts = [whole, chunk.replace("/", "")] if joined and is_model_like(whole) else chunk.split("/")
    else:
        parts = [chunk]
    for part in parts:
        for run in runs(part):
            if is_model_like(run):
                yield normal_identifier(run)


def runs(chunk: str) -> Iterator[str]:
    """The chunk in parts: words end one, and so do points that may end a sentence or stand in a number."""
    run = ""
    for mark, piece in re.findall(r"([-._]?)([A-Za-z0-9]+)", chunk):
        separate = is_word(piece) or (
            mark == "." and ((not piece.isupper() and not piece.isdigit()) or run[-1:].islower())
        )
        if separate or (mark == "." and run[-1:].isdigit() and piece[0].isdigit()):
            yield run
            run = "" if is_word(piece) else piece
        else:
            run = f"{run}{mark}{piece}" if run else piece
    yield run


def is_word(piece: str) -> bool:
    """Letters that read as a word: in small letters four of them or more, in capitals six."""
    if not piece.isalpha():
        return False
    return (
        len(piece) > LONGEST_WORD or (len(piece) > 3 and not piece.isupper()) or (len(piece) == 3 and piece.istitle())
    )


def is_model_like(run: str) -> bool:
    pieces = re.split(r"[-_.]", run)
    if DECIMAL_POINT.search(run) or any(is_quantity(piece) for piece in pieces):
        return False
    first, *others = pieces
    if others and first.isdigit() and all(part.isalpha() for part in others) and not "".join(others).isupper():
        return False  # 14-day
    if SMALL_ENDING.fullmatch(run):
        return False  # 3rd, 100pcs
    return is_model(normal_identifier(run), any(letter.islower() for letter in run))


def is_model(normal: str, small: bool = False) -> bool:
    """Whether letters and digits in normal form can name a model; of `small` letters more digits are asked for."""
    if not SHORTEST <= len(normal) <= LONGEST or NO_MODEL.fullmatch(normal) or is_quantity(normal):
        return False
    pieces = PIECE.findall(normal)
    letters = [piece for piece in pieces if piece.isalpha()]
    digits = sum(len(piece) for piece in pieces if piece.isdigit())
    if not letters or max(map(len, letters)) > LONGEST_WORD or len(pieces) > 10:
        return False
    if len(pieces) == 2 and (letters[0] in CODES or letters[0] in NO_PREFIX):  # 1299USD, EU42
        return False
    if small and len(pieces) == 2 and YEAR.fullmatch(pieces[1]):
        return False
    longest = max(map(len, letters))
    if digits > 1:
        return digits > 2 or not small or longest < 3
    return not small and len(normal) > SHORTEST and longest < LONGEST_WORD


def is_quantity(text: str) -> bool:
    """A number with a unit right after it: 500ml, 12V."""
    found = re.fullmatch(r"[0-9]+([A-Za-z]+)", text)
    return found is not None and (unit_named(found[1]) or unit_named(found[1].casefold())) is not None


def is_code(normal: str) -> bool:
    return SHORTEST <= len(normal) <= LONGEST and normal.isascii() and any(letter.isdigit() for letter in normal)


def declared_identifier(value: object) -> str:
    """The number in a column that is declared to hold one: any letters and digits.

    Raises:
        PydanticCustomError: bad_identifier.
    """
    text = one_line(scalar_text(value))
    normal = normal_identifier(text)
    if not normal or len(normal) > 100:
        raise refusal(
            "bad_identifier", f"{shown(value)} is no model or part number: it has no letters or digits, or too many"
        )
    return normal
