"""How far a model can read a text, by what its tokenizer makes of it.

A word that the model was trained with is one token; others come in pieces, and those of a script that it was not
trained with in single letters. A vector of mere pieces says how a text is spelled and not what it means: it is near to
products by chance.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .encoder import Float32

FEWEST_PIECES = 8  # of a text that is judged by its letters; a short name may be nothing else
SHARE_OF_LETTERS = 0.8
FEWEST_WORDS = 3  # of a text that is judged by its words
FEWEST_IN_PIECES = 2  # of them; one alone may be a name, or misspelled
LOST_BY_PIECES = 0.25  # of the weight, where every word comes in pieces
ORDINARY = "waterproof hiking boots for women and men"
# The same in languages that a model of English does not know: Finnish, Turkish, Polish, Indonesian, Hungarian.
FOREIGN = (
    "vedenpitävät vaelluskengät naisille ja miehille",
    "bayan ve erkek su geçirmez yürüyüş botu modelleri",
    "wodoodporne buty trekkingowe dla kobiet i mężczyzn",
    "sepatu bot pendakian tahan air untuk wanita dan pria",
    "vízálló túrabakancs nőknek és férfiaknak",
)
MOST_OF_ORDINARY = 0.3  # of whose words may come in pieces where a model knows English
LEAST_OF_FOREIGN = 0.7
SCRIPTS_OF_SYLLABLES = "\u2e80"  # from here on a character is a word or a syllable: Chinese, Japanese, Korean
SYLLABLES = "鞋裤帽壶锅椅灯包靴服鍋時計傘"  # shoe, trousers, hat, pot, pan, chair, lamp, bag, boots, clothes, …
LEAST_KNOWN = 0.5  # of them, by a model that reads these scripts


@dataclass(frozen=True)
class Read:
    """A text as a tokenizer reads it.

    `places` are the tokens as (start, end) in the text, in order; `words` the number of the word that each belongs to,
    `unknown` whether it stands for anything.
    """

    text: str
    places: Sequence[tuple[int, int]]
    words: Sequence[int | None]
    unknown: Sequence[bool]

    @cached_property
    def pieces_of_words(self) -> list[int]:
        """How many tokens each word of letters takes, two where it is unknown.

        Words of scripts whose characters are words are left out.
        """
        counts: dict[int, int] = {}
        for (start, _), word, unknown in zip(self.places, self.words, self.unknown, strict=True):
            if word in counts:
                counts[word] += 1
            elif word is not None and (letter := self.text[start : start + 1]).isalpha() and not is_syllable(letter):
                counts[word] = 2 if unknown else 1
        return list(counts.values())

    @property
    def in_pieces(self) -> int:
        return sum(pieces > 1 for pieces in self.pieces_of_words)

    @property
    def share_in_pieces(self) -> float:
        """Of the words of letters, 0 to 1."""
        return self.in_pieces / max(1, len(self.pieces_of_words))

    @property
    def may_be_foreign(self) -> bool:
        return len(self.pieces_of_words) >= FEWEST_WORDS and self.in_pieces >= FEWEST_IN_PIECES

    def is_letters(self, syllables: bool) -> bool:
        """Whether hardly anything in it is more than single letters of longer words, or unknown.

        `syllables` are read: a single character of Chinese is more than a letter then.
        """
        nothing = [
            unknown or (not syllables and self.is_single_syllable(at)) for at, unknown in enumerate(self.unknown)
        ]
        letters = sum(one or self.is_letter_of_word(at) for at, one in enumerate(nothing))
        judged = len(nothing) >= FEWEST_PIECES or all(nothing)
        return bool(nothing) and judged and letters >= SHARE_OF_LETTERS * len(nothing)

    def is_single_syllable(self, at: int) -> bool:
        start, end = self.places[at]
        return end - start == 1 and is_syllable(self.text[start])

    def is_letter_of_word(self, at: int) -> bool:
        start, end = self.places[at]
        went_on = at > 0 and hang_together(self.text[self.places[at - 1][1] : start])
        goes_on = at + 1 < len(self.places) and hang_together(self.text[end : self.places[at + 1][0]])
        letter = self.text[start:end]
        if len(letter) != 1 or is_syllable(letter):
            return False
        return (went_on or goes_on) and unicodedata.category(letter)[0] in "LMN"  # letters, marks on them, digits


def is_syllable(character: str) -> bool:
    return character >= SCRIPTS_OF_SYLLABLES


def hang_together(between: str) -> bool:
    """Whether there is nothing between two pieces but marks on letters, which a tokenizer may leave out."""
    return all(unicodedata.category(character).startswith("M") for character in between)


class Reader:
    """What a model's tokenizer reads; one that can't say where in a text its tokens come from is not judged.

    `reads_words` says whether letters are less than it otherwise has of a text: some models read all texts by letters
    or bytes. `reads_syllables`: whether it knows Chinese, Japanese and Korean characters. `english_only`: whether a
    word in pieces is one that it does not know; models of several languages cut ordinary words too.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.fast = bool(getattr(tokenizer, "is_fast", False))
        if not self.fast:
            return
        ordinary, *foreign = self.read_all([ORDINARY, *FOREIGN])
        self.reads_words = not ordinary.is_letters(syllables=True)
        in_pieces = float(np.mean([read.share_in_pieces for read in foreign]))
        self.english_only = ordinary.share_in_pieces <= MOST_OF_ORDINARY and in_pieces >= LEAST_OF_FOREIGN
        known = sum(not any(read.unknown) for read in self.read_all(SYLLABLES))
        self.reads_syllables = known >= LEAST_KNOWN * len(SYLLABLES)

    def weights(self, texts: Sequence[str]) -> Float32:
        """float32 (n,): 1 for a text that the model reads word by word, 0 for one that is mere letters to it.

        Between them for texts of which words are in pieces: codes, names, languages that it does not know.
        """
        weights = np.ones(len(texts), dtype=np.float32)
        if not self.fast:
            return weights
        for number, read in enumerate(self.read_all(texts)):
            if self.reads_words and read.is_letters(self.reads_syllables):
                weights[number] = 0
            elif self.english_only and read.may_be_foreign:
                weights[number] = 1 - LOST_BY_PIECES * read.share_in_pieces
        return weights

    def read_all(self, texts: Sequence[str]) -> list[Read]:
        # not by the tokenizer itself: it would change its settings for truncation, maybe while another thread uses it
        encodings = self.tokenizer.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [self.as_read(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]

    def as_read(self, text: str, encoding: Any) -> Read:
        there = [at for at, is_text in enumerate(encoding.attention_mask) if is_text]
        return Read(
            text,
            places=[encoding.offsets[at] for at in there],
            words=[encoding.word_ids[at] for at in there],
            unknown=[encoding.ids[at] == self.tokenizer.unk_token_id for at in there],
        )
