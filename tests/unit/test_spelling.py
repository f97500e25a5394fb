"""Texts that a model reads letter by letter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from prodsim.embedder.spelling import ORDINARY, reads_words, spelled_out_places

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789жщдзликтπωλδ会議"
WORDS = ("red", "shoe", "coat", "for", "winter", "plain")


def tokenizer(words: Sequence[str] = WORDS) -> PreTrainedTokenizerFast:
    """Knows a few words, an ending, and single letters."""
    pieces = ["[UNK]", "[PAD]", *words, "##s", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    made = Tokenizer(
        models.WordPiece(vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    options = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **options)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("text", ["жилщдиз кликтд", "πωλδπωλ λδπω", "b07xj8c8f5", "j́b0́7x́j8ć8f́5", "?", "🎉 🎉"])
def test_other_scripts_codes_and_unknown_signs_mean_nothing(text: str) -> None:
    assert spelled_out_places([text], tokenizer()) == [0]


@pytest.mark.parametrize(
    "text",
    ["red shoes for winter", "red coats xqz", "a b c d e f g h i", "x1", "", "red shoe жилщди", "会議会議会議会議会議"],
)
def test_words_and_short_names_mean_something(text: str) -> None:
    assert spelled_out_places([text], tokenizer()) == []


def test_each_text_of_several_is_looked_at_and_padding_is_none_of_it() -> None:
    padded = tokenizer()
    padded(["red", "red shoes for winter red shoes for winter"], padding=True)
    assert spelled_out_places(["red", "жилщдиз кликтд", "plain coat"], padded) == [1]


def test_a_tokenizer_that_gives_no_places_finds_nothing() -> None:
    assert spelled_out_places(["жилщдиз кликтд"], object()) == []


def test_a_model_that_reads_all_texts_by_letters_is_not_judged_by_them() -> None:
    assert reads_words(tokenizer([*WORDS, *ORDINARY.split()]))
    assert not reads_words(tokenizer([]))
