"""Captions in scripts other than composed Latin keep their letters whole."""

from __future__ import annotations

import unicodedata

import pytest

from bench.captioning.data.words import caption_tokens

WORDS = {
    "hindi": ("कि", "का", "की"),
    "thai": ("ที่", "ท่า", "ทา"),
    "bengali": ("কি", "কা", "কে"),
    "vocalised arabic": ("كُتُب", "كَتَبَ", "كِتَاب"),
}


@pytest.mark.parametrize("script", WORDS)
def test_words_that_differ_in_marks_are_different_words(script: str) -> None:
    tokens = [caption_tokens(word) for word in WORDS[script]]
    assert len(set(tokens)) == len(tokens)
    assert all(len(found) == 1 for found in tokens)


def test_composed_and_decomposed_captions_are_equal() -> None:
    text = "Un garçon à vélo dévale l'escalier."
    assert caption_tokens(text) == caption_tokens(unicodedata.normalize("NFD", text))
    assert caption_tokens(text) == ("un", "garçon", "à", "vélo", "dévale", "lescalier")


def test_marks_alone_and_punctuation_are_no_words() -> None:
    assert caption_tokens("a \u0301 - ' b . \u0901") == ("a", "b")


def test_the_protocol_of_ascii_is_as_it_was() -> None:
    text = "A man in a T-shirt doesn't ride his dog 's bike ."
    assert " ".join(caption_tokens(text)) == "a man in a tshirt doesnt ride his dog s bike"
