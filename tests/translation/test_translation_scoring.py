"""The metric of a split batch by batch, its outputs, and what reading them back refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import sacrebleu
import torch
from made_translations import PROTOCOL, add_run, make_suite, translations

from bench.core.errors import BenchError
from bench.data.rows import Rows
from bench.runs.outputs import ErrorOptions, find_outputs
from bench.translation.data.corpus import PairSplit, ParallelCorpus, Problem
from bench.translation.data.segmentation import Tokeniser, learn_words
from bench.translation.data.specification import TokenisationSpec
from bench.translation.metrics import BleuProtocol
from bench.translation.outputs import FEWEST, LENGTH, RANK, Translations
from bench.translation.scoring import Translation, TranslationMetric


def split_of(source: list[str], target: list[str], target_words: list[str]) -> PairSplit:
    ids = Rows.of([[3]] * len(source))
    return PairSplit(
        source_text=source,
        target_text=target,
        source_words=source,
        target_words=target_words,
        source=ids,
        target=ids,
    )


SPLIT = split_of(
    ["Ein Hund .", "Ein großes Haus", "Der Hund sieht das Haus\u2028!"],
    ["A dog.", "A big house", "The dog sees the house\u2028!"],
    ["a dog .", "a big house", "the dog sees the house !"],
)
TRAIN = split_of(["Ein Hund .", "Ein Hund sieht das Haus ."], ["", ""], ["", ""])


def made(text: str, tokenised: str, log_prob: float = -1.5) -> Translation:
    return Translation(
        tokens=(),
        text=text,
        tokenised=tokenised,
        log_prob=log_prob,
        score=log_prob,
        attention_TS=None,
    )


FOUND = [
    made("A dog.", "a dog ."),
    made("A house", "a house"),
    made("The dog sees the house today!", "the dog sees the house today !", -2.5),
]
NATS = [0.5, 1.5, 2.0]


def metric_of(
    protocol: BleuProtocol = PROTOCOL, *, num_skipped: int = 0, search: str = "greedy"
) -> TranslationMetric:
    segmenter = learn_words(Tokeniser(TokenisationSpec(words="blanks"), "de"), [])
    problem = Problem(split="valid", kind="empty", file="valid.de", line=1, detail="no text")
    corpus = ParallelCorpus(
        source=segmenter,
        target=segmenter,
        splits={"train": TRAIN, "valid": SPLIT},
        checksums={},
        bleu=replace(protocol, unknown="never"),
        segmentation="words",
        skipped=(problem,) * num_skipped,
    )
    return TranslationMetric(corpus, search=search, unknown=protocol.unknown)


def filled(metric: TranslationMetric, batches: list[list[int]]) -> TranslationMetric:
    for places in batches:
        metric.update(torch.tensor(sum(NATS[i] for i in places)), torch.tensor(len(places)))
        metric.add(places, [FOUND[i] for i in places], [NATS[i] for i in places])
    return metric


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
    metric = filled(metric_of(), batches)
    score = metric.compute()
    assert expected > 0
    assert score.value == pytest.approx(expected)
    assert (score.loss, score.choice) == (4.0 / 3, 100.0 - score.value)
    metric.keep(tmp_path, "test")
    kept = Translations.read(tmp_path, "test")
    assert kept is not None
    assert [line.source for line in kept.lines] == list(SPLIT.source_text)
    assert kept.value() == score.value


def test_plain_text_is_scored_where_the_protocol_says_so() -> None:
    plain = filled(metric_of(BleuProtocol(text="detokenised")), [[0, 1, 2]]).compute()
    expected = sacrebleu.corpus_bleu([one.text for one in FOUND], [list(SPLIT.target_text)]).score
    assert plain.value == pytest.approx(expected)
    assert plain.beside
    assert not any(key.startswith("bleu|") for key in plain.beside), "it is the metric already"


def test_beside_the_metric_stand_plain_bleu_chrf_and_ter() -> None:
    metric = filled(metric_of(), [[0, 1, 2]])
    beside = metric.compute().beside
    texts, references = [one.text for one in FOUND], [list(SPLIT.target_text)]
    assert {key.partition("|")[0]: value for key, value in beside.items()} == pytest.approx(
        {
            "bleu": sacrebleu.corpus_bleu(texts, references).score,
            "chrf2": sacrebleu.corpus_chrf(texts, references).score,
            "ter": sacrebleu.corpus_ter(texts, references).score,
        }
    )
    metric.is_final = False
    assert metric.score(1.0).beside == {}, "a validation goes without"


def test_the_evaluation_before_is_forgotten() -> None:
    metric = filled(metric_of(), [[0, 1, 2]])
    metric.reset()
    assert filled(metric, [[1]]).found.keys() == {1}


def test_nothing_is_scored_where_the_loss_is_no_number() -> None:
    metric = metric_of()
    metric.update(torch.tensor(math.nan), torch.tensor(3))
    score = metric.compute()
    assert math.isnan(score.value)
    assert math.isnan(score.loss)


def test_signatures_tell_replaced_words_and_missing_sentences() -> None:
    metric = filled(metric_of(replace(PROTOCOL, unknown="aligned"), num_skipped=2), [[0, 1, 2]])
    ending = "|unknown:aligned|skipped:2"
    assert metric.signature == f"{PROTOCOL.signature}{ending}"
    assert len(metric.compute().beside) == 3
    assert all(key.endswith(ending) for key in metric.compute().beside)


def test_each_line_says_what_became_of_a_sentence(tmp_path: Path) -> None:
    filled(metric_of(search="beam(5)"), [[0, 1, 2]]).keep(tmp_path, "valid")
    header, *lines = Translations.path(tmp_path, "valid").read_bytes().splitlines()
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
    outputs = translations()
    record = add_run(suite, outputs)
    found = find_outputs(suite, record, "test")
    assert isinstance(found, Translations)
    assert (found.header, list(found.lines)) == (outputs.header, list(outputs.lines))
    path = Translations.path(suite.artifacts(record.task, record.id), "test")
    content = path.read_text()
    path.write_text(content.replace('"hypothesis_words":"', '"hypothesis_words":"x x '))
    with pytest.raises(BenchError, match=rf"bleu .* where the record {record.id} says"):
        find_outputs(suite, record, "test")
    path.write_text(content[: len(content) // 2])
    with pytest.raises(BenchError, match="damaged"):
        find_outputs(suite, record, "test")
    path.unlink()
    with pytest.raises(BenchError, match="not kept here; `--missing make`"):
        find_outputs(suite, record, "test", missing="leave")


def test_a_difference_that_rounding_explains_is_allowed(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    record = add_run(suite, outputs := translations())
    path, value = tmp_path / "translations-test.jsonl", outputs.value()
    close = msgspec.structs.replace(record, metrics={"test": value + 0.04})
    outputs.check(close, "test", path)
    with pytest.raises(BenchError, match="where the record"):
        outputs.check(msgspec.structs.replace(record, metrics={"test": value + 0.06}), "test", path)


def test_samples_have_a_row_for_each_sentence() -> None:
    outputs = translations()
    table, line = outputs.samples(), outputs.lines[11]
    assert (len(table.rows), table.noun, table.paired) == (len(outputs.lines), "sentences", True)
    row = table.rows[11]
    assert (row.name, row.source, row.references) == ("sentence 12", line.source, [line.reference])
    assert [word.text for word in row.words] == [line.hypothesis]
    assert dict(zip(table.columns, row.cells, strict=True)) == {
        "source": line.source,
        "reference": line.reference,
        "hypothesis": line.hypothesis,
    }


def test_errors_are_tables_and_curves(tmp_path: Path) -> None:
    outputs = translations()
    options = ErrorOptions(run="gru-1", split="valid", folder=tmp_path, num_groups=4)
    report = outputs.errors(options)
    heading, *tables = report.text.split("\n\n")
    assert heading.startswith("gru-1 on valid, 150 sentences of ")
    assert heading.endswith(f"\nsearch beam(5), BLEU {outputs.value():.2f}")
    assert [table.splitlines()[0] for table in tables] == [
        f"by {name}" for name in (LENGTH, RANK, FEWEST)
    ]
    assert len(tables[0].splitlines()) == 2 + 4
    assert list(report.curves) == [LENGTH, RANK, FEWEST]
    assert (report.picture, report.axis) == ("bleu-valid.png", "BLEU")


def test_translations_are_resampled_by_sentences() -> None:
    assert translations().units().noun.startswith("150 sentences of ")
    with pytest.raises(BenchError, match="--block-length"):
        translations().units(5)
