"""Whether a model reads a text word by word or letter by letter."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

FEWEST_PIECES = 8  # of a text that is judged by its letters; a short name may be nothing else
SHARE_OF_LETTERS = 0.8
ORDINARY = "waterproof hiking boots for women and men"
SCRIPTS_OF_SYLLABLES = "\u2e80"  # from here on a character is a word or a syllable: Chinese, Japanese, Korean


def spelled_out(text: str, pieces: Sequence[tuple[int, int]], unknown: Collection[int] = ()) -> bool:
    """Whether hardly anything in it is more to the tokenizer than single letters of longer words, or is unknown to it.

    Such a text is in a script that the model was not trained with, or a code. Its vector says which letters it has and
    not what it means. `pieces` are the tokens as (start, end) in the text, in order, `unknown` the places of those that
    stand for anything.
    """
    letters = sum(place in unknown or is_letter_of_word(text, pieces, place) for place in range(len(pieces)))
    judged = len(pieces) >= FEWEST_PIECES or len(unknown) == len(pieces)
    return judged and letters >= SHARE_OF_LETTERS * len(pieces)


def is_letter_of_word(text: str, pieces: Sequence[tuple[int, int]], place: int) -> bool:
    start, end = pieces[place]
    went_on = place > 0 and hang_together(text[pieces[place - 1][1] : start])
    goes_on = place + 1 < len(pieces) and hang_together(text[end : pieces[place + 1][0]])
    letter = text[start:end]
    if len(letter) != 1 or letter >= SCRIPTS_OF_SYLLABLES:
        return False
    return (went_on or goes_on) and unicodedata.category(letter)[0] in "LMN"  # letters, marks on them, digits


def hang_together(between: str) -> bool:
    """Whether there is nothing between two pieces but marks on letters, which a tokenizer may leave out."""
    return all(unicodedata.category(character).startswith("M") for character in between)


def reads_words(tokenizer: Any) -> bool:
    """Whether letters are less than it otherwise has of a text: some models read all texts by letters or bytes."""
    return not spelled_out_places([ORDINARY], tokenizer)


def spelled_out_places(texts: Sequence[str], tokenizer: Any) -> list[int]:
    """Which of the texts are. A tokenizer that can't say where in a text a token comes from finds none."""
    if not getattr(tokenizer, "is_fast", False):
        return []
    found = []
    # not by the tokenizer itself, which would change its settings for truncation, maybe while another thread uses it
    for number, read in enumerate(tokenizer.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)):
        there = [place for place, is_text in enumerate(read.attention_mask) if is_text]
        unknown = {place for place, at in enumerate(there) if read.ids[at] == tokenizer.unk_token_id}
        if there and spelled_out(texts[number], [read.offsets[at] for at in there], unknown):
            found.append(number)
    return found
