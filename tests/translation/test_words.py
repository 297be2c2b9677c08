"""Words as the papers cut them, and back to running text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench.translation.data.segmentation import Tokeniser
from bench.translation.data.specification import TokenisationSpec

MULTI30K = TokenisationSpec(case="lower", punctuation="normalised")
ESCAPED = {"&": "&amp;", "|": "&#124;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;"}


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("fr", "Une femme s'élance : «Oui !»", 'une femme s\' élance : " oui ! "'),
        ("en", "A man\u2019s hat isn't  here…", "a man 's hat isn 't here ..."),
        ("de", "Ein „T-Shirt“ für 3,50 €.", 'ein " t-shirt " für 3,50 € .'),
        ("fr", "Elle a\u00a012\u00a0ans\u00a0; lui\u00a0?", "elle a 12 ans ; lui ?"),
    ],
)
def test_words_of_multi30k(language: str, text: str, words: str) -> None:
    assert " ".join(Tokeniser(MULTI30K, language).words(text)) == words


@pytest.mark.parametrize(
    ("spec", "form", "text", "words"),
    [
        (TokenisationSpec(), "plain", "He said «No».", "He said « No » ."),
        (TokenisationSpec(case="lower"), "plain", "He SAID", "he said"),
        (TokenisationSpec(), "words", "the dog &apos;s &quot; it", "the dog 's \" it"),
        (TokenisationSpec(words="blanks"), "plain", " a  b.c ", "a b.c"),
    ],
)
def test_words_of_other_protocols(spec: TokenisationSpec, form: str, text: str, words: str) -> None:
    found = Tokeniser(spec, "en").words(text, form=form)  # type: ignore[arg-type]
    assert " ".join(found) == words


@pytest.mark.parametrize(
    ("spec", "language", "words", "text"),
    [
        (
            MULTI30K,
            "fr",
            "un homme s' assoit près d' un chien .",
            "Un homme s'assoit près d'un chien.",
        ),
        (MULTI30K, "en", "the man 's hat , isn 't it ?", "The man's hat, isn't it?"),
        (TokenisationSpec(), "de", "ein Hund ( braun ) !", "ein Hund (braun)!"),
        (TokenisationSpec(), "en", "a <unk> dog", "a <unk> dog"),
        (TokenisationSpec(words="blanks"), "en", "a b .", "a b ."),
        (MULTI30K, "en", "", ""),
    ],
)
def test_running_text(spec: TokenisationSpec, language: str, words: str, text: str) -> None:
    assert Tokeniser(spec, language).plain(words.split()) == text


def test_names_for_signatures() -> None:
    assert Tokeniser(MULTI30K, "fr").name == "moses-fr-normalised"
    assert Tokeniser(TokenisationSpec(), "de").name == "moses-de"
    assert Tokeniser(TokenisationSpec(words="blanks"), "de").name == "blanks"


@pytest.mark.parametrize(
    ("file", "num_characters"),
    [
        ("val.fr", 77_007),
        ("test_2016_flickr.fr", 75_145),
        ("test_2016_flickr.de", 70_777),
    ],
)
def test_as_many_characters_as_multi30ks_own_tokenised_files(
    bench_data: Path, file: str, num_characters: int
) -> None:
    raw = gzip.decompress((bench_data / f"multi30k/raw/{file}.gz").read_bytes()).decode()
    tokeniser = Tokeniser(MULTI30K, file[-2:])
    table = str.maketrans(ESCAPED)
    cut = [" ".join(tokeniser.words(line)).translate(table) for line in raw.split("\n")[:-1]]
    assert sum(len(line) + 1 for line in cut) == num_characters


def test_running_text_of_real_words_is_what_it_was(bench_data: Path) -> None:
    tokeniser = Tokeniser(TokenisationSpec(), "fr")
    lines = (bench_data / "wmt14-en-fr/newstest2014.fra").read_text().split("\n")[:300]
    plain = [" ".join(line.split()) for line in lines]
    back = [tokeniser.plain(tokeniser.words(line)) for line in plain]
    same = sum(one == other for one, other in zip(plain, back, strict=True))
    assert same / len(plain) > 0.7
