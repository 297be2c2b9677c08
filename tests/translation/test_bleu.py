"""BLEU by counts against sacreBLEU's own numbers, and the signatures that tell BLEUs apart."""

from __future__ import annotations

import random

import numpy as np
import pytest
import sacrebleu
from sacrebleu.significance import PairedTest

from bench.compare.over_units import bootstrap_units, multiplicities
from bench.core.errors import BenchError
from bench.translation.metrics import (
    BleuProtocol,
    SentenceCounts,
    beside_bleu,
    bleu,
    count_sentences,
)

PLAIN = BleuProtocol(text="detokenised")
LOWER = BleuProtocol(text="detokenised", case="lower")
WORDS = BleuProtocol(text="tokenised", case="lower", tokeniser="moses")
CASED = BleuProtocol(text="tokenised", tokeniser="as-in-file")
VERSION = f"version:{sacrebleu.__version__}"


def text(seed: int, num_sentences: int = 60) -> list[str]:
    """Sentences over few words, with capitals and full stops, some of one word."""
    draw = random.Random(seed)
    lexicon = ["The", "the", "dog", "cat", "sees", "a", "house", "l'homme", "red", "red-haired"]
    return [
        " ".join(draw.choices(lexicon, k=draw.randint(1, 12))) + draw.choice([".", " .", "", " !"])
        for _ in range(num_sentences)
    ]


def noisy(lines: list[str], share: float, seed: int) -> list[str]:
    """The sentences with some of their words replaced."""
    draw = random.Random(seed)
    return [
        " ".join(w if draw.random() > share else draw.choice("abcde") for w in line.split())
        for line in lines
    ]


def reference_bleu(protocol: BleuProtocol, hypotheses: list[str], references: list[str]) -> float:
    plain = protocol.text == "detokenised"
    return sacrebleu.corpus_bleu(
        hypotheses,
        [references],
        force=True,
        lowercase=protocol.case == "lower",
        tokenize="13a" if plain else "none",
        smooth_method="exp" if plain else "none",
    ).score


@pytest.mark.parametrize("protocol", [PLAIN, LOWER, WORDS, CASED], ids=lambda p: p.signature)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_counts_add_up_to_sacrebleu(protocol: BleuProtocol, share: float) -> None:
    references = text(1)
    hypotheses = noisy(references, share, 2)
    counts = count_sentences(hypotheses, references, protocol=protocol)
    expected = reference_bleu(protocol, hypotheses, references)
    assert counts.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("hypothesis", "reference"),
    [
        ("the cat sat on the mat", "the cat sat on the mat"),
        ("the cat", "the cat"),  # no n-gram of order 3
        ("the dog sat on a mat", "the cat sat on the mat"),  # no match of orders 3, 4
        ("x y z u v", "the cat sat on the mat"),  # no match at all
        ("", "the cat"),
        ("the the the the the", "the"),
        ("the cat sat on the mat today and for ever", "the cat sat on the mat"),
        ("The cat sat on the mat.", "the cat sat on the mat ."),
    ],
)
@pytest.mark.parametrize("protocol", [PLAIN, LOWER, WORDS, CASED], ids=lambda p: p.signature)
def test_one_sentence(protocol: BleuProtocol, hypothesis: str, reference: str) -> None:
    counts = count_sentences([hypothesis], [reference], protocol=protocol)
    expected = reference_bleu(protocol, [hypothesis], [reference])
    assert counts.value == pytest.approx(expected, rel=1e-12)


def test_many_sums_at_once() -> None:
    counts = count_sentences(noisy(text(1), 0.3, 2), text(1), protocol=PLAIN)
    one_by_one = [float(bleu(row, smoothing="exp")) for row in counts.sums]
    assert counts.metric(counts.sums) == pytest.approx(one_by_one)
    assert counts.metric(counts.sums[:, None]).shape == (60, 1)


def test_case_and_tokenisation_matter() -> None:
    hypotheses, references = ["The dog sees a red house."], ["the dog sees a red house ."]
    values = {
        p: count_sentences(hypotheses, references, protocol=p).value
        for p in (PLAIN, LOWER, WORDS, CASED)
    }
    assert values[LOWER] == pytest.approx(100.0)
    assert values[PLAIN] < 100
    assert values[WORDS] < 100
    assert values[CASED] < values[WORDS]


@pytest.mark.parametrize(
    ("protocol", "signature"),
    [
        (PLAIN, f"bleu|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{VERSION}"),
        (LOWER, f"bleu|nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|{VERSION}"),
        (WORDS, f"bleu|nrefs:1|case:lc|eff:no|tok:none|smooth:none|{VERSION}|words:moses"),
        (CASED, f"bleu|nrefs:1|case:mixed|eff:no|tok:none|smooth:none|{VERSION}|words:as-in-file"),
        (
            BleuProtocol(text="detokenised", unknown="aligned"),
            f"bleu|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{VERSION}|unknown:aligned",
        ),
    ],
)
def test_a_signature_says_which_bleu_it_is(protocol: BleuProtocol, signature: str) -> None:
    assert protocol.signature == signature


def test_what_stands_beside_bleu_is_sacrebleus_own() -> None:
    references = text(3)
    hypotheses = noisy(references, 0.3, 4)
    found = beside_bleu(hypotheses, references)
    assert [signature.partition("|")[0] for signature in found] == ["bleu", "chrf2", "ter"]
    assert list(found.values()) == pytest.approx(
        [
            sacrebleu.corpus_bleu(hypotheses, [references]).score,
            sacrebleu.corpus_chrf(hypotheses, [references]).score,
            sacrebleu.corpus_ter(hypotheses, [references]).score,
        ]
    )
    assert next(iter(found)) == PLAIN.signature


def test_resampled_sums_are_resampled_sentences() -> None:
    """One draw of sentences, scored from their counts and by sacreBLEU from the sentences."""
    references = text(5)
    hypotheses = noisy(references, 0.3, 6)
    counts = count_sentences(hypotheses, references, protocol=PLAIN)
    draws = np.random.default_rng(7).integers(0, len(references), (20, len(references)))
    values = counts.metric(multiplicities(draws) @ counts.sums)
    expected = [
        reference_bleu(PLAIN, [hypotheses[i] for i in draw], [references[i] for i in draw])
        for draw in draws
    ]
    assert values == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shares", [(0.3, 0.3), (0.2, 0.5)])
def test_the_paired_test_is_sacrebleus_and_agrees_with_ours(shares: tuple[float, float]) -> None:
    references = text(8, 200)
    systems = [noisy(references, share, seed) for seed, share in enumerate(shares, start=9)]
    a, b = (count_sentences(lines, references, protocol=PLAIN) for lines in systems)
    p, detail = a.paired_test(b)
    _, found = PairedTest(
        [("a", systems[0]), ("b", systems[1])],
        {"BLEU": sacrebleu.BLEU()},
        [references],
        test_type="bs",
        n_samples=1000,
    )()
    assert p == found["BLEU"][1].p_value  # type: ignore[union-attr]
    assert detail == "1,000 resamples, seed 12345"
    _, (ours,) = bootstrap_units([[a], [b]], [(0, 1)], num_resamples=2000, seed=1)
    assert (ours.p < 0.05) == (p < 0.05)


def test_units_say_how_many_words_they_have() -> None:
    counts = count_sentences(["a b", "c"], ["a b c", "c d"], protocol=WORDS)
    assert counts.noun == "2 sentences of 5 reference words"


def counted(references: list[str]) -> SentenceCounts:
    return count_sentences(["a"] * len(references), references, protocol=PLAIN)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: count_sentences(["a"], [], protocol=PLAIN), "1 translations and 0 references"),
        (lambda: beside_bleu([], []), "no sentence to score"),
        (lambda: counted(["a"]).paired_test(counted(["b"])), "the same references"),
        (lambda: BleuProtocol(text="tokenised"), "names its tokeniser"),
        (lambda: BleuProtocol(text="detokenised", tokeniser="moses"), "sacreBLEU's"),
        (lambda: BleuProtocol(text="tokenised", tokeniser="a|b"), "leave out '|'"),
    ],
)
def test_what_cannot_be_scored_is_refused(action: object, message: str) -> None:
    assert callable(action)
    with pytest.raises(BenchError, match=message):
        action()
