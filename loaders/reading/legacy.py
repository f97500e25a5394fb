"""Which of the encodings from before UTF-8 a text is in, or none where two could be meant.

Latin scripts are told by the letters that each language has: a text is in the encoding under which nearly all of its
letters beyond ASCII belong to one language and stand where letters can stand. Other scripts are left to
charset-normalizer, which is right for those that its statistics separate well.
"""

from __future__ import annotations

import re

WESTERN = {
    "German": "äöüßéèàçñô",
    "French": "éèêëàâçîïôûùœæü",
    "Spanish": "áéíóúñü",
    "Portuguese": "áâãàçéêíóôõú",
    "Italian": "àèéìòù",
    "Dutch": "éëïöüèê",
    "Danish, Norwegian": "æøåéä",
    "Swedish, Finnish": "åäöé",
}
CENTRAL = {
    "Polish": "ąćęłńóśźżé",
    "Czech, Slovak": "áäčďéěíľňóôřšťúůýž",
    "Hungarian": "áéíóöőúüű",
    "Croatian, Slovene": "čćđšž",
    "Romanian": "ăâîșțşţ",
}
TURKISH = {"Turkish": "çğıöşüâî"}
BALTIC = {"Lithuanian": "ąčęėįšųūž", "Latvian": "āčēģīķļņšūž", "Estonian": "äöõüšž"}
LATIN = {
    "windows-1252": WESTERN,
    "iso-8859-15": WESTERN,
    "windows-1250": CENTRAL,
    "iso-8859-2": CENTRAL,
    "windows-1254": TURKISH,
    "windows-1257": BALTIC,
    "cp850": WESTERN,
    "mac-roman": WESTERN,
    "cp852": CENTRAL,
}
NON_LATIN = ("cp1251", "koi8_r", "cp866", "cp1253", "cp1255", "cp1256", "cp932", "euc_jp", "gb18030", "big5", "cp949")
SYMBOLS = set("€£¥§©®™°²³µ·½¼¾«»„“”…•¿¡±ªº\xa0\xad\xb4\xd7\u2018\u2019\u201a\u2013\u2014\u2039\u203a")
INSIDE_WORDS = set("·\xad\xb4\u2019")
SIGNED = 0.95  # share of the characters beyond ASCII that have to make sense
LEAD = 0.05  # by which another reading of the same bytes has to be worse
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
MIN_BEYOND_ASCII = 30  # characters, below which statistics of other scripts say little


def legacy_encoding(evidence: bytes) -> str | None:
    """The encoding of lines that are not UTF-8, or None where it can't be told with certainty."""
    return latin_encoding(evidence) or other_script(evidence)


def latin_encoding(evidence: bytes) -> str | None:
    readings = []
    for name, languages in LATIN.items():
        text = decode(evidence, name)
        if text is not None:
            longest_run = 2 if languages is WESTERN else 3  # as in Polish Łóżko
            readings.append((max(sense(text, letters, longest_run) for letters in languages.values()), name, text))
    if not readings:
        return None
    best, name, text = max(readings, key=lambda reading: reading[0])
    rivals = [share for share, _, other in readings if other != text]
    if best < SIGNED or any(share > best - LEAD for share in rivals):
        return None
    return name


def decode(evidence: bytes, name: str) -> str | None:
    try:
        return evidence.decode(name)
    except UnicodeDecodeError as error:
        bad = evidence[error.start]
        rest = evidence.replace(bytes([bad]), b"")  # a stray byte or two rejects a row, not an encoding
        if evidence.count(bad) * 50 > len(BEYOND_ASCII.findall(evidence.decode("latin-1"))):
            return None
        return decode(rest, name)


def sense(text: str, letters: str, longest_run: int) -> float:
    """The share of characters beyond ASCII that are the language's letters, or signs, in a place that fits them.

    Where more of them follow each other than the language has in a row, none of them makes sense.
    """
    known = set(letters) | {letter.upper() for letter in letters if len(letter.upper()) == 1}
    good = total = 0
    for run in BEYOND_ASCII.finditer(text):
        characters = run.group()
        total += len(characters)
        if len(characters) > longest_run:
            continue
        around = f"{text[run.start() - 1] if run.start() else ' '}{characters}{text[run.end() : run.end() + 1] or ' '}"
        for left, character, right in zip(around, around[1:], around[2:], strict=False):
            if character in SYMBOLS:
                good += character in INSIDE_WORDS or not (left.isalpha() and right.isalpha())
            elif character in known:
                good += not (character.isupper() and left.islower())
    return good / total if total else 0.0


def other_script(evidence: bytes) -> str | None:
    from charset_normalizer import from_bytes

    if len(evidence) - len(evidence.translate(None, bytes(range(128, 256)))) < MIN_BEYOND_ASCII:
        return None
    matches = list(from_bytes(evidence, cp_isolation=list(NON_LATIN)))
    if not matches:
        return None
    best = matches[0]
    alphabetic = best.coherence > 0
    if (
        best.encoding not in NON_LATIN
        or best.chaos > (0.02 if alphabetic else 0.1)
        or (alphabetic and best.coherence < 0.35)
    ):
        return None
    if any(other.chaos < best.chaos + 0.04 and str(other) != str(best) for other in matches[1:]):
        return None
    return str(best.encoding)
