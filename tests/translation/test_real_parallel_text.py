"""Multi30k and WMT'14: the real files, and small trees of their shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from parallel_trees import BITEXTS, prepare_parallel, write_wmt14

from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.data.corpora import load_corpus
from bench.data.files import FileSpec
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.data.listing import find_files, read_split
from bench.translation.data.specification import ParallelSpec, WordSegments
from bench.translation.metrics import words_13a

SUITE = Suite(folder=shipped_folder())


def spec_of(task: str) -> ParallelSpec:
    spec = SUITE.card(task).corpus
    assert isinstance(spec, ParallelSpec)
    return spec


# Real corpora -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def multi30k(bench_data: Path, cache: Path, task: str, **settings: Any) -> ParallelCorpus:
    return prepare_parallel(
        spec_of(task), task=task, path=bench_data / "multi30k", cache=cache, **settings
    )


@pytest.mark.parametrize(
    ("task", "source_symbols", "target_symbols", "train_tokens"),
    [("multi30k-en-fr", 5782, 6602, 449_245), ("multi30k-en-de", 5100, 7165, 406_840)],
)
def test_multi30k(
    bench_data: Path,
    cache: Path,
    task: str,
    source_symbols: int,
    target_symbols: int,
    train_tokens: int,
) -> None:
    corpus = multi30k(bench_data, cache, task)
    assert len(corpus.source.symbols) == source_symbols
    assert len(corpus.target.symbols) == target_symbols
    train, test = corpus.splits["train"], corpus.splits["test"]
    assert len(train) == 29_000
    assert len(train.target.flat) == train_tokens
    assert not (train.target.flat == 0).any()  # training text has no unknown symbol
    assert test.source_text[0] == "A man in an orange hat starring at something."
    assert test.source_words[0] == "a man in an orange hat starring at something ."
    assert corpus.source.decode(test.source[0].tolist()) == test.source_text[0]
    assert corpus.target.tokenised(test.target[0].tolist()) == test.target_words[0]
    assert corpus.target.tokens(test.target_text[0]) == test.target_words[0].split()
    assert corpus.bleu.signature.endswith(f"words:moses-{task[-2:]}-normalised")
    assert "case:lc" in corpus.bleu.signature
    assert corpus.skipped == ()
    assert {name: len(corpus.splits[name]) for name in corpus.splits} == {
        "train": 29_000,
        "valid": 1014,
        "test": 1000,
        "test2017": 1000,
        "test2018": 1071,
        "mscoco": 461,
    }


def test_multi30k_in_words(bench_data: Path, cache: Path) -> None:
    corpus = multi30k(bench_data, cache, "multi30k-en-fr", segmentation="words")
    train = corpus.splits["train"]
    counts = train.target.counts(len(corpus.target.symbols))
    assert (counts[3:-1] >= counts[4:]).all()
    assert counts.min() == 0  # `<s>` and `</s>` stand in no row
    assert counts[3:].min() == 2
    assert 0.005 < counts[0] / counts.sum() < 0.02


@pytest.mark.slow
def test_multi30k_with_its_case(bench_data: Path, cache: Path) -> None:
    corpus = multi30k(bench_data, cache, "multi30k-en-de", segmentation="bpe-cased")
    test = corpus.splits["test"]
    for place in range(100):
        ids = test.target[place].tolist()
        assert corpus.target.decode(ids) == " ".join(test.target_text[place].split())
        assert corpus.target.tokenised(ids) == test.target_words[place]  # the same protocol
    assert test.target_words[0].islower()


def test_newstests_are_read_without_the_training_text(bench_data: Path) -> None:
    data = DataConfig(path=str(bench_data / "wmt14-en-fr"))
    found = find_files(SUITE.card("wmt14-en-fr"), data, needed=("valid", "test"))
    assert len(read_split(found, "valid")) == 6003
    test = read_split(found, "test")
    (part,) = test.parts
    assert test.problems == ()
    assert len(part) == 3003
    assert sum(len(words_13a(line)) for line in part.target) == 77_306


def test_missing_training_text_is_named_with_its_source(
    bench_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(bench_data))
    with pytest.raises(BenchError) as refusal:
        load_corpus(SUITE.card("wmt14-en-fr"))
    said = str(refusal.value)
    for name in BITEXTS:
        assert f"bitexts.selected/{name}.en.gz (no checksum known)" in said
    assert "newstest2014" not in said
    assert "get them from http://www-lium.univ-lemans.fr/" in said
    assert "run `--task synthetic-translation`" in said


# Trees of their shape ---------------------------------------------------------------------------


def unchecked(spec: ParallelSpec) -> ParallelSpec:
    """The card for files of the same names and other contents."""
    files = {name: FileSpec(path=file.path) for name, file in spec.files.items()}
    segmentations = {"words-30k": WordSegments(num_source=30_000, num_target=30_000)}
    return msgspec.structs.replace(spec, files=files, counts={}, segmentations=segmentations)


def test_wmt14s_layout(tmp_path: Path) -> None:
    folder = write_wmt14(tmp_path / "wmt14")
    spec = unchecked(spec_of("wmt14-en-fr"))
    corpus = prepare_parallel(spec, task="wmt14", path=folder, cache=tmp_path / "cache")
    train, valid = corpus.splits["train"], corpus.splits["valid"]
    assert len(train) == sum(range(1, 7))  # six pairs of files of one line, two lines, ...
    assert train.source_text[0] == "the dog &apos;s bone 0 ."
    assert train.source_words[0] == "the dog 's bone 0 ."
    assert list(valid.source_words) == ["The dog 's bone in 2012 .", "The dog 's bone in 2013 ."]
    assert next(iter(valid.target_words)) == "L' os d' un chien en 2012 ."
    assert corpus.bleu.signature.endswith("words:moses-fr")
    assert "case:mixed" in corpus.bleu.signature
    known = corpus.source.encode("the dog's bone")
    assert 0 not in known
    assert corpus.source.encode("the cat's bone").count(0) == 1
    assert set(corpus.checksums) >= {"newstest2012.eng", "crawl.fr.gz", "source vocabulary"}
