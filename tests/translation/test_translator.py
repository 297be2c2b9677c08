"""Lines to translations and back to probabilities, by one model and by ensembles."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_translation import make_corpus, make_objective, make_suite

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.tokens import UNKNOWN
from bench.seq2seq.beam import Hypothesis
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.scoring import to_translation
from bench.translation.translator import Translator, length_batches


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def corpus(suite: Suite) -> ParallelCorpus:
    return make_corpus(suite)


@pytest.fixture(scope="module")
def lines(corpus: ParallelCorpus) -> list[str]:
    return [*corpus.splits["test"].source_text][:8]


@pytest.mark.parametrize("num_models", [1, 3])
@pytest.mark.parametrize("length_penalty", ["none", "average", "gnmt"])
def test_a_score_is_that_of_the_translation_read_again(
    suite: Suite, corpus: ParallelCorpus, lines: list[str], num_models: int, length_penalty: str
) -> None:
    settings = [{}, {"model": {"direction": "bidirectional"}}, {"objective": {"attention": "none"}}]
    models = [
        make_objective(suite, corpus, settings[seed], seed=seed) for seed in range(num_models)
    ]
    kind = {"none": "none", "average": "average", "gnmt": "gnmt"}[length_penalty]
    translator = Translator(models, beam_size=4, length_penalty=kind)  # type: ignore[arg-type]
    found = translator.translate(lines, num_best=3)
    for rank in range(3):
        words = [of_one[rank].tokenised for of_one in found]
        expected = [of_one[rank].log_prob for of_one in found]
        assert translator.score(lines, words) == pytest.approx(expected, abs=1e-5)
    assert len({of_one[0].text for of_one in found}) > 3


def test_an_ensemble_reads_the_mean_of_probabilities(
    suite: Suite, corpus: ParallelCorpus, lines: list[str]
) -> None:
    models = [make_objective(suite, corpus, seed=seed) for seed in (1, 2)]
    targets = [*corpus.splits["test"].target_text][:8]
    together = Translator(models, beam_size=1).score(lines, targets)
    alone = [Translator([model], beam_size=1).score(lines, targets) for model in models]
    for both, *each in zip(together, *alone, strict=True):
        # The mean of products is no product of means; between them lies log 2 for each word.
        assert both > min(each)
        assert both != pytest.approx(math.log(sum(map(math.exp, each)) / 2))
    twice = Translator([models[0], models[0]], beam_size=1).score(lines, targets)
    assert twice == pytest.approx(alone[0], abs=1e-5)


def test_neither_batches_nor_order_make_a_difference(
    suite: Suite, corpus: ParallelCorpus, lines: list[str]
) -> None:
    model = make_objective(suite, corpus)
    whole = Translator([model], beam_size=3).translate(lines, num_best=2)
    alone = Translator([model], beam_size=3, batch_tokens=1).translate(lines[::-1], num_best=2)
    for one, other in zip(whole, alone[::-1], strict=True):
        assert [best.tokens for best in one] == [best.tokens for best in other]
        for best, again in zip(one, other, strict=True):
            assert best.log_prob == pytest.approx(again.log_prob, abs=1e-5)
            assert best.attention_TS is not None
            assert again.attention_TS is not None
            torch.testing.assert_close(best.attention_TS, again.attention_TS)


def test_nothing_is_translated_by_nothing(suite: Suite, corpus: ParallelCorpus) -> None:
    translator = Translator([make_objective(suite, corpus)], beam_size=3)
    line = corpus.splits["test"].source_text[0]
    found = translator.translate(["", line, "   "])
    assert [best[0].text == "" for best in found] == [True, False, True]
    assert translator.score([""], [""]) == pytest.approx([found[0][0].log_prob], abs=1e-5)
    assert translator.translate([]) == []
    assert translator.score([], []) == []


def test_attention_has_a_row_a_word_and_a_column_a_source_word(
    suite: Suite, corpus: ParallelCorpus, lines: list[str]
) -> None:
    translator = Translator([make_objective(suite, corpus)], beam_size=2)
    for line, (best,) in zip(lines, translator.translate(lines), strict=True):
        assert best.attention_TS is not None
        assert best.attention_TS.shape == (len(best.tokens) + 1, len(line.split()) + 1)
    silent = Translator([make_objective(suite, corpus)], beam_size=2, attention="omit")
    assert silent.translate(lines[:1])[0][0].attention_TS is None
    blind = make_objective(suite, corpus, {"objective": {"attention": "none"}})
    assert Translator([blind], beam_size=2).translate(lines)[0][0].attention_TS is None


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        # The end, the last column, is never copied.
        ([[0.1, 0.7, 0.1, 0.1], [0.3, 0.3, 0.3, 0.1], [0.3, 0.1, 0.1, 0.5]], "brown fifi the"),
        ([[0.0, 0.0, 0.2, 0.8], [1.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.1, 0.6]], "fox fifi brown"),
    ],
)
def test_an_unknown_word_becomes_its_source_word(
    corpus: ParallelCorpus, weights: list[list[float]], text: str
) -> None:
    fifi = next(place for place, symbol in enumerate(corpus.target.symbols) if place > 2)
    symbol = corpus.target.symbols[fifi]
    found = Hypothesis(tokens=(UNKNOWN, fifi, UNKNOWN), log_prob=-1.0, score=-1.0)
    attention_TS = torch.tensor([*weights, [0.25] * 4])
    line = "the brown fox"
    kept = to_translation(found, attention_TS, line, corpus=corpus, replace_unknown="never")
    assert kept.tokenised == f"<unk> {symbol} <unk>"
    made = to_translation(found, attention_TS, line, corpus=corpus, replace_unknown="aligned")
    assert (made.text, made.tokenised) == (text.replace("fifi", symbol),) * 2
    assert (made.tokens, made.log_prob) == (found.tokens, found.log_prob)
    with pytest.raises(BenchError, match="these models have none"):
        to_translation(found, None, line, corpus=corpus, replace_unknown="aligned")


def test_models_of_other_vocabularies_make_no_ensemble(
    suite: Suite, corpus: ParallelCorpus
) -> None:
    model = make_objective(suite, corpus)
    other = make_objective(suite, replace(corpus, source=corpus.target))
    with pytest.raises(BenchError, match=r"models 1 and 2.*source vocabularies"):
        Translator([model, other], beam_size=1)
    with pytest.raises(BenchError, match="name a trained model"):
        Translator([], beam_size=1)
    with pytest.raises(BenchError, match="1 sources and 0 targets"):
        Translator([model], beam_size=1).score(["a"], [])


def test_batches_hold_like_lengths_and_so_many_tokens() -> None:
    rows = [[0] * length for length in (3, 9, 1, 4, 9, 0)]
    batches = list(length_batches(rows, 20))
    assert batches == [[1, 4], [3, 0, 2, 5]]
    assert list(length_batches(rows, 1)) == [[1], [4], [3], [0], [2], [5]]
