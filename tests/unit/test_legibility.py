"""How far a model can read a text."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from prodsim.embedder.legibility import FOREIGN, LOST_BY_PIECES, ORDINARY, SYLLABLES, Reader

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789жщдзликтπωλδ会議"
WORDS = ("red", "shoe", "coat", "winter", "plain", *ORDINARY.split())


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


def weights(texts: Sequence[str], made: PreTrainedTokenizerFast) -> list[float]:
    return [round(float(weight), 4) for weight in Reader(made).weights(texts)]


@pytest.mark.parametrize(
    "text", ["жилщдиз кликтд", "πωλδπωλ λδπω", "b07xj8c8f5", "j́b0́7x́j8ć8f́5", "?", "🎉 🎉", "会議会議会議"]
)
def test_other_scripts_codes_and_unknown_signs_mean_nothing(text: str) -> None:
    assert weights([text], tokenizer()) == [0]


@pytest.mark.parametrize(
    "text", ["red shoes for winter", "red coats xqz", "a b c d e f g h i", "x1", "", "red shoe жилщди"]
)
def test_words_and_short_names_mean_something(text: str) -> None:
    assert weights([text], tokenizer())[0] > 0


def test_each_text_of_several_is_looked_at_and_padding_is_none_of_it() -> None:
    padded = tokenizer()
    padded(["red", "red shoes for winter red shoes for winter"], padding=True)
    assert weights(["red", "жилщдиз кликтд", "plain coat"], padded) == [1, 0, 1]


def test_a_tokenizer_that_gives_no_places_judges_nothing() -> None:
    assert list(Reader(object()).weights(["жилщдиз кликтд"])) == [1]


def test_a_model_that_reads_all_texts_by_letters_is_not_judged_by_them() -> None:
    by_letters = tokenizer([])
    assert weights(["b07xj8c8f5", "жилщдиз кликтд", "red shoes for winter"], by_letters) == [1, 1, 1]


def test_a_model_that_knows_their_characters_reads_chinese_and_japanese() -> None:
    assert weights(["会議会議会議会議会議"], tokenizer([*WORDS, *SYLLABLES])) == [1]


def test_a_query_of_which_several_words_are_in_pieces_loses_weight() -> None:
    most, whole = 1 - LOST_BY_PIECES * 2 / 3, 1 - LOST_BY_PIECES
    texts = [
        "red shoes coats",
        "shoes coats boot",
        "red coat for women",
        "red shoes for women",
        "shoes coats",
        "8 9 10",
    ]
    assert weights(texts, tokenizer()) == [round(most, 4), whole, 1, 1, 1, 1]


def test_a_model_of_several_languages_or_of_another_one_is_not_judged_by_pieces() -> None:
    several = tokenizer([*WORDS, *(word for text in FOREIGN for word in text.split())])
    another = tokenizer(["red", "shoe", "coat", *FOREIGN[0].split()])
    assert weights(["shoes coats boot"], several) == weights(["shoes coats boot"], another) == [1]


def test_the_packaged_model_is_one_of_english() -> None:
    from sentence_transformers import SentenceTransformer

    from prodsim.embedder.model_files import packaged_model_folder

    reader = Reader(SentenceTransformer(str(packaged_model_folder())).tokenizer)
    assert (reader.reads_words, reader.english_only, reader.reads_syllables) == (True, True, False)
