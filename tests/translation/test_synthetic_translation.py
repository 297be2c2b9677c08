"""The synthetic languages: one right translation, found by a parser and not by a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from parallel_trees import prepare_parallel
from sacrebleu import BLEU
from source_parser import Parser

from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.data.grammar import (
    DETERMINERS,
    ENDINGS,
    PREPOSITIONS,
    TENSES,
    Grammar,
    NounPhrase,
    Sentence,
    make_grammar,
)
from bench.translation.data.prepared import draw_pairs
from bench.translation.data.specification import BpeSegments, SyntheticTranslationSpec

CARD = Suite(folder=shipped_folder()).card("synthetic-translation")
SMALL = SyntheticTranslationSpec(num_train=2000, num_valid=200, num_test=300)


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return make_grammar(SMALL)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return prepare_parallel(SMALL, task="small", cache=tmp_path_factory.mktemp("cache"))


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    return float(BLEU(force=True).corpus_score(hypotheses, [references]).score)


def dictionary(grammar: Grammar) -> dict[str, str]:
    """Each source word with the commonest of its translations: masculine singular, present."""
    masculine = ENDINGS[False, False]
    nouns = {stem + s: word + s for stem, word in grammar.nouns.items() for s in ("", "s")}
    ending = {**DETERMINERS, **grammar.adjectives, **grammar.verbs}
    small = {**PREPOSITIONS, "not": "ne", "that": "ke", "then": "", "soon": ""}
    return {**nouns, **{word: stem + masculine for word, stem in ending.items()}, **small}


def test_who_knows_the_grammar_scores_100(grammar: Grammar, corpus: ParallelCorpus) -> None:
    for name in ("train", "valid", "test"):
        split = corpus.splits[name]
        found = [
            " ".join(grammar.target(Parser(grammar, text.split()).sentence()))
            for text in split.source_text
        ]
        assert found == list(split.target_text)
        assert bleu(found, list(split.target_text)) == pytest.approx(100.0)
        assert corpus.bound == {"valid": 100.0, "test": 100.0}


def test_word_by_word_scores_far_less(grammar: Grammar, corpus: ParallelCorpus) -> None:
    test, words = corpus.splits["test"], dictionary(grammar)
    found = [" ".join(words[word] for word in text.split()) for text in test.source_text]
    assert bleu(found, list(test.target_text)) < 15


@pytest.mark.parametrize("part", ["order", "endings"])
def test_neither_order_nor_endings_alone_suffice(
    grammar: Grammar, corpus: ParallelCorpus, part: str
) -> None:
    """With the other one right: sorted as the reference, or ending as nobody agrees."""
    test, ends = corpus.splits["test"], "".join(ENDINGS.values())
    stems = {*DETERMINERS.values(), *grammar.adjectives.values()}
    stems |= {verb + tense for verb in grammar.verbs.values() for tense in TENSES.values()}
    found = []
    for source, target in zip(test.source_text, test.target_text, strict=True):
        words = target.split()
        if part == "order":
            order = grammar.target(Parser(grammar, source.split()).sentence())
            assert order == words
            words = sorted(words)
        else:
            words = [w[:-1] + "o" if w[-1] in ends and w[:-1] in stems else w for w in words]
        found.append(" ".join(words))
    assert bleu(found, list(test.target_text)) < 50


def test_the_last_word_agrees_over_distance(grammar: Grammar, corpus: ParallelCorpus) -> None:
    nouns = {word + s: (stem, bool(s)) for stem, word in grammar.nouns.items() for s in ("", "s")}
    far = total = 0
    for text in corpus.splits["test"].target_text:
        words = text.split()
        nearest, plural = next(nouns[word] for word in reversed(words) if word in nouns)
        far += words[-1][-1] != ENDINGS[nearest in grammar.feminine, plural]
        total += 1
    assert far / total > 0.5  # the nearest noun misleads more often than not


def test_a_sentence_in_both_languages(grammar: Grammar) -> None:
    sun, dogs = list(grammar.nouns)[:2]
    see, old = next(iter(grammar.verbs)), next(iter(grammar.adjectives))
    subject = NounPhrase(
        determiner="the",
        adjectives=(old,),
        noun=sun,
        plural=False,
        phrase=("in", NounPhrase(determiner="an", adjectives=(), noun=dogs, plural=True)),
        clause=(see, NounPhrase(determiner="the", adjectives=(), noun=dogs, plural=False)),
    )
    sentence = Sentence(
        tense="then",
        subject=subject,
        negated=True,
        verb=see,
        object=NounPhrase(determiner="the", adjectives=(), noun=dogs, plural=True),
    )
    assert (
        grammar.source(sentence)
        == (
            f"then the {old} {sun} in an {dogs}s that {see} the {dogs} not {see} the {dogs}s"
        ).split()
    )
    n, v, a = grammar.nouns, grammar.verbs[see], grammar.adjectives[old]
    one = "oa"[sun in grammar.feminine]
    two, many = ("oa"[dogs in grammar.feminine], "ie"[dogs in grammar.feminine])
    assert (
        grammar.target(sentence)
        == (
            f"ne l{one} {n[sun]} {a}{one} m{many} {n[dogs]}s su ke l{two} {n[dogs]} {v}{one} "
            f"l{many} {n[dogs]}s {v}v{one}"
        ).split()
    )


def test_no_sentence_twice_and_every_word_known(grammar: Grammar, corpus: ParallelCorpus) -> None:
    texts = [text for name in corpus.splits for text in corpus.splits[name].source_text]
    assert len(texts) == len(set(texts)) == 2500
    for segmenter, words in (
        (corpus.source, grammar.source_words()),
        (corpus.target, grammar.target_words()),
    ):
        assert len(words) == len(set(words))  # no form of one word is a form of another
        assert set(segmenter.symbols[3:]) == set(words)
    for name in corpus.splits:
        split = corpus.splits[name]
        assert not (split.source.flat == 0).any()
        assert not (split.target.flat == 0).any()
        assert corpus.target.decode(split.target[0].tolist()) == split.target_text[0]


def test_the_text_is_pinned(corpus: ParallelCorpus) -> None:
    # Records hold these checksums: another text needs another version of the card.
    assert {name: digits[:12] for name, digits in corpus.checksums.items()} == PINNED
    assert corpus.splits["test"].source_text[0] == FIRST


PINNED = {
    "train source": "4f19c47472d7",
    "train target": "9ea71c5557f0",
    "valid source": "bde37895c748",
    "valid target": "30ab7afc9a68",
    "test source": "1e2c0ec6f01b",
    "test target": "892ce480f3b7",
    "source vocabulary": "6fb3dc919bde",
    "target vocabulary": "f826f82edbc9",
}
FIRST = "an nuri not sisa an nefa that suta an sosus"


def test_test_does_not_depend_on_the_size_of_training(grammar: Grammar) -> None:
    fewer = make_grammar(SyntheticTranslationSpec(num_train=50, num_valid=200, num_test=300))
    assert list(draw_pairs(fewer)["test"].source) == list(draw_pairs(grammar)["test"].source)


def test_another_seed_is_another_pair_of_languages(grammar: Grammar) -> None:
    other = make_grammar(SyntheticTranslationSpec(seed=2, num_train=1, num_valid=1, num_test=1))
    assert not set(other.nouns) & set(grammar.nouns) or other.nouns != grammar.nouns
    assert other.source_words() != grammar.source_words()


def test_the_card_is_of_this_kind_and_size() -> None:
    assert isinstance(CARD.corpus, SyntheticTranslationSpec)
    assert (CARD.corpus.num_train, CARD.corpus.num_test) == (20_000, 500)
    assert CARD.kind == "translation"


def test_subwords_of_synthetic_text(tmp_path: Path) -> None:
    spec = SyntheticTranslationSpec(
        num_train=200, num_valid=5, num_test=5, segmentations={"bpe": BpeSegments(num_symbols=90)}
    )
    corpus = prepare_parallel(spec, task="small", cache=tmp_path)
    test = corpus.splits["test"]
    assert corpus.target.decode(test.target[0].tolist()) == test.target_text[0]


def test_a_grammar_that_is_too_small(tmp_path: Path) -> None:
    spec = SyntheticTranslationSpec(
        num_train=4000,
        num_valid=1,
        num_test=1,
        num_nouns=2,
        num_verbs=1,
        num_adjectives=1,
        max_depth=0,
        phrase_share=0.0,
    )
    with pytest.raises(BenchError, match="too few different sentences for 4,000 in train"):
        prepare_parallel(spec, task="small", cache=tmp_path)
