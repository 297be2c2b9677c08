"""Scoring a split batch by batch, what is kept of it, and what reading it back refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import sacrebleu
from made_translations import PROTOCOL, Made, Sentences, add_run, make_suite, translations

from bench.core.errors import BenchError
from bench.translation.metrics import BleuProtocol
from bench.translation.outputs import kept_translations, read_translations, translations_path
from bench.translation.scoring import TranslationScoring

SPLIT = Sentences(
    source_text=["Ein Hund .", "Ein großes Haus", "Der Hund sieht das Haus\u2028!"],
    target_text=["A dog.", "A big house", "The dog sees the house\u2028!"],
    target_words=["a dog .", "a big house", "the dog sees the house !"],
)
FOUND = [
    Made(text="A dog.", tokenised="a dog ."),
    Made(text="A house", tokenised="a house"),
    Made(
        text="The dog sees the house today!",
        tokenised="the dog sees the house today !",
        log_prob=-2.5,
    ),
]
NATS = [0.5, 1.5, 2.0]


def scoring(protocol: BleuProtocol = PROTOCOL, num_skipped: int = 0) -> TranslationScoring:
    return TranslationScoring(
        protocol=protocol,
        train_sources=lambda: ["Ein Hund .", "Ein Hund sieht das Haus ."],
        num_skipped=num_skipped,
    )


def filled(found: TranslationScoring, batches: list[list[int]]) -> TranslationScoring:
    for places in batches:
        found.add(SPLIT, places, [FOUND[i] for i in places], [NATS[i] for i in places])
    return found


@pytest.mark.parametrize("batches", [[[0, 1, 2]], [[2], [0, 1]], [[1, 2], [0]]])
def test_batches_and_their_order_make_no_difference(
    batches: list[list[int]], tmp_path: Path
) -> None:
    expected = sacrebleu.corpus_bleu(
        [one.tokenised for one in FOUND],
        [list(SPLIT.target_words)],
        tokenize="none",
        smooth_method="none",
        lowercase=True,
        force=True,
    ).score
    made = filled(scoring(), batches)
    assert expected > 0
    assert made.bleu == pytest.approx(expected)
    made.keep(tmp_path, "test", "greedy")
    kept = read_translations(tmp_path, "test")
    assert kept is not None
    assert [line.source for line in kept.lines] == list(SPLIT.source_text)
    assert kept.counts().value == made.bleu


def test_plain_text_is_scored_where_the_protocol_says_so() -> None:
    plain = filled(scoring(BleuProtocol(text="detokenised")), [[0, 1, 2]])
    expected = sacrebleu.corpus_bleu([one.text for one in FOUND], [list(SPLIT.target_text)]).score
    assert plain.bleu == pytest.approx(expected)
    assert not any(key.startswith("bleu|") for key in plain.beside), "it is the metric already"


def test_beside_the_metric_stand_plain_bleu_chrf_and_ter() -> None:
    made = filled(scoring(), [[0, 1, 2]])
    texts, references = [one.text for one in FOUND], [list(SPLIT.target_text)]
    assert {key.partition("|")[0]: value for key, value in made.beside.items()} == pytest.approx(
        {
            "bleu": sacrebleu.corpus_bleu(texts, references).score,
            "chrf2": sacrebleu.corpus_chrf(texts, references).score,
            "ter": sacrebleu.corpus_ter(texts, references).score,
        }
    )


def test_the_evaluation_before_is_forgotten() -> None:
    made = filled(scoring(), [[0, 1, 2]])
    made.begin()
    assert filled(made, [[1]]).found.keys() == {1}


def test_signatures_tell_replaced_words_and_missing_sentences() -> None:
    made = filled(scoring(replace(PROTOCOL, unknown="aligned"), num_skipped=2), [[0, 1, 2]])
    ending = "|unknown:aligned|skipped:2"
    assert made.signature == f"{PROTOCOL.signature}{ending}"
    assert all(key.endswith(ending) for key in made.beside)


def test_each_line_says_what_became_of_a_sentence(tmp_path: Path) -> None:
    filled(scoring(), [[0, 1, 2]]).keep(tmp_path, "valid", "beam(5)")
    header, *lines = translations_path(tmp_path, "valid").read_bytes().splitlines()
    assert msgspec.json.decode(header) == {
        "signature": PROTOCOL.signature,
        "text": "tokenised",
        "case": "lower",
        "tokeniser": "blanks",
        "unknown": "never",
        "search": "beam(5)",
    }
    third = msgspec.json.decode(lines[2])
    assert third["source"] == SPLIT.source_text[2]
    assert third["reference_words"] == "the dog sees the house !"
    assert (third["reference_nats"], third["hypothesis_nats"]) == (2.0, 2.5)
    assert third["fewest"] == 0, "`der` and `!` were never seen"
    assert third["mean_rank"] == pytest.approx((7 + 2 + 4 + 5 + 6 + 7) / 6)


def test_kept_translations_agree_with_their_record(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    made = translations()
    record = add_run(suite, made)
    assert kept_translations(suite, record, "test") == made
    path = translations_path(suite.artifacts(record.task, record.id), "test")
    content = path.read_text()
    path.write_text(content.replace('"hypothesis_words":"', '"hypothesis_words":"x x '))
    with pytest.raises(BenchError, match=rf"BLEU .* where the record {record.id} says"):
        kept_translations(suite, record, "test")
    path.write_text(content[: len(content) // 2])
    with pytest.raises(BenchError, match="damaged"):
        kept_translations(suite, record, "test")
    path.unlink()
    with pytest.raises(BenchError, match="not kept here; `--missing make`"):
        kept_translations(suite, record, "test", missing="leave")
