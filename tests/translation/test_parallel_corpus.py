"""From cards and folders to corpora: a user's own, verified files, cards that cannot be."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from parallel_trees import OWN, PAIRS, prepare_parallel, tiny_spec, write_own

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.data.corpora import load_corpus
from bench.data.files import FileSpec
from bench.data.rows import Rows
from bench.translation.data import corpus as corpus_module
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.data.specification import ParallelSpec

SUITE = Suite(folder=shipped_folder())


def spec_of(task: str) -> ParallelSpec:
    spec = SUITE.card(task).corpus
    assert isinstance(spec, ParallelSpec)
    return spec


def own(folder: Path, **settings: Any) -> ParallelCorpus:
    usual = {"task": "own", "path": folder, "languages": "en-fr", "cache": folder.parent / "cache"}
    return prepare_parallel(OWN, **{**usual, **settings})


# A user's own -----------------------------------------------------------------------------------


def test_own_text(tmp_path: Path) -> None:
    corpus = own(write_own(tmp_path / "own"))
    assert corpus.segmentation == "words"
    test = corpus.splits["test"]
    assert list(zip(test.source_text, test.target_text, strict=True)) == PAIRS
    assert test.target_words[1] == "L' os d' un chien !"
    assert (
        corpus.checksums["train.en"]
        == hashlib.sha256((tmp_path / "own/train.en").read_bytes()).hexdigest()
    )
    backwards = own(tmp_path / "own", languages="fr-en")
    assert list(backwards.splits["test"].source_text) == list(test.target_text)
    assert backwards.source.symbols == corpus.target.symbols


@pytest.mark.parametrize("segmentation", ["words", "bpe", "plain", "shared"])
def test_ids_are_those_of_the_text(tmp_path: Path, segmentation: str) -> None:
    corpus = own(write_own(tmp_path / "own"), segmentation=segmentation)
    assert corpus.segmentation == segmentation
    for split in corpus.splits.values():
        for place in range(len(split)):
            assert split.source[place].tolist() == corpus.source.encode(split.source_text[place])
            assert split.target[place].tolist() == corpus.target.encode(split.target_text[place])


def test_vocabularies_are_learned_on_training_text_alone(tmp_path: Path) -> None:
    folder = write_own(tmp_path / "own")
    before = {name: own(folder, segmentation=name) for name in OWN.segmentations}
    (folder / "valid.en").write_text("zebra\n" * 4)
    (folder / "test.en").write_text("yak\n" * 4)
    for name, old in before.items():
        new = own(folder, segmentation=name)
        assert new.source.symbols == old.source.symbols
        assert 0 in new.splits["test"].source[0]
        vocabularies = [k for k in new.checksums if "vocabulary" in k]
        assert [new.checksums[k] for k in vocabularies] == [old.checksums[k] for k in vocabularies]


@pytest.mark.parametrize(
    ("names", "languages", "message"),
    [
        (["train.en", "train.fr"], "en-de", r"holds no train text in de: put it there as train.de"),
        (["train.en", "train.fr"], None, r"no train text in src: .*--data.languages en-fr"),
        (["train.en", "my.train.en", "train.fr"], "en-fr", r"several train texts \(my.train.en, t"),
        (["train.en", "train.fr", "dev.en"], "en-fr", "no valid text in fr"),
    ],
)
def test_own_text_that_is_not_whole(
    tmp_path: Path, names: list[str], languages: str | None, message: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("a\n")
    with pytest.raises(BenchError, match=message):
        own(tmp_path, languages=languages)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": None}, "own reads your own text: name its folder with --data.path DIR"),
        ({"path": Path("nowhere")}, "nowhere is no folder"),
        ({"languages": "english-french!"}, "write source and target such as en-fr"),
        ({"languages": "en-en"}, "are the same"),
        ({"segmentation": "word"}, "no segmentation 'word', did you mean 'words'"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        own(write_own(tmp_path / "own"), **settings)


@pytest.mark.parametrize(
    "names",
    [
        ("train.en", "train.fr", "val.en.gz", "val.fr.gz", "test.en", "test.fr"),
        ("my-train-en", "my-train-fr", "dev.en", "dev.fr", "x_test_en", "x_test_fr"),
    ],
)
def test_how_own_files_may_be_called(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "README.en").write_text("not a split")
    for name in names:
        content = b"word\n"
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    corpus = own(folder)
    assert [len(corpus.splits[name]) for name in ("train", "valid", "test")] == [1, 1, 1]


# Verified files ---------------------------------------------------------------------------------


def carded(place: Path, **changes: Any) -> ParallelSpec:
    write_own(place)
    files = {
        path.name: FileSpec(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(place.iterdir())
    }
    return tiny_spec(files, **changes)


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    spec = carded(tmp_path / "tiny")
    (tmp_path / "tiny/valid.fr").write_text("x\n" * 4)
    for on_bad in ("refuse", "skip"):
        with pytest.raises(BenchError, match=r"valid.fr: altered: sha256 .* put the original"):
            prepare_parallel(
                spec,
                task="tiny",
                path=tmp_path / "tiny",
                on_bad=on_bad,
                cache=tmp_path / "cache",
            )


def test_counts_that_are_not_the_cards(tmp_path: Path) -> None:
    spec = carded(tmp_path / "tiny", counts={"test": 5})
    with pytest.raises(BenchError, match="4 pairs in test where the card counts 5"):
        prepare_parallel(spec, task="tiny", path=tmp_path / "tiny", cache=tmp_path / "cache")


def test_further_tests_are_read_when_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    spec = carded(folder)
    more = {**spec.files, "more.en": FileSpec(path="more.en"), "more.fr": FileSpec(path="more.fr")}
    splits = {**spec.splits, "more": (("more.en", "more.fr"),)}
    spec = msgspec.structs.replace(spec, files=more, splits=splits)
    corpus = prepare_parallel(spec, task="tiny", path=folder, cache=tmp_path / "cache")
    assert list(corpus.splits) == ["train", "valid", "test", "more"]
    with pytest.raises(BenchError, match=r"more.en is missing: split 'more' needs it"):
        corpus.splits["more"]
    (folder / "more.en").write_text("A cat.\n")
    (folder / "more.fr").write_text("Un chat.\n")
    assert corpus.splits["more"].source_words[0] == "a cat ."
    assert corpus.splits["more"] is corpus.splits["more"]
    with pytest.raises(BenchError, match="no split 'test2017'"):
        corpus.splits["test2017"]
    assert isinstance(corpus.splits, corpus_module.Splits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minimum_count": 2}, "is translation, which knows no minimum-count"),
        ({"segmentation": "letters"}, "no segmentation 'letters'"),
        ({"languages": "en-fr"}, "leave out"),
        ({"path": "."}, "is generated"),
    ],
)
def test_settings_of_other_corpora(
    settings: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    card: Card = SUITE.card("synthetic-translation")
    with pytest.raises(BenchError, match=message):
        load_corpus(card, DataConfig(**settings))
    if "path" not in settings and "minimum_count" not in settings:
        with pytest.raises(BenchError, match="synthetic-text is text, which knows no"):
            load_corpus(SUITE.card("synthetic-text"), DataConfig(**settings))


# Cards ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": {"train": (("a", "b"),)}}, "splits: no files for valid, test"),
        ({"counts": {"tests": 1}}, "counts: 'tests' is none of"),
        ({"tokenised": ("train.en",)}, "name both or none"),
        ({"tokenised": ("x",)}, "'x' is not one of `files`"),
        ({"target_language": "en"}, "are the same"),
        ({"folder": None}, "needs the name of its `folder`"),
        (
            {"tokenised": ("train.en", "train.fr")},
            "segmentations.plain: the files' words are cut",
        ),
    ],
)
def test_cards_that_cannot_be(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(carded(tmp_path / "tiny"), **change)


def test_progress_counts_lines_cut(tmp_path: Path) -> None:
    folder = write_own(tmp_path / "own", PAIRS * 300)
    told: list[tuple[int, int]] = []
    own(folder, progress=lambda done, total: told.append((done, total)))
    # Splits that are alike are cut once: what the cache holds is not told.
    assert told == [(1000, 7200), (1200, 7200), (2200, 7200), (2400, 7200)]
    own(folder, progress=lambda done, total: told.append((done, total)))
    assert len(told) == 4


def test_padding() -> None:
    ids, lengths = Rows.of([[5, 6, 7], [], [8]]).padded(np.array([2, 0, 1]), end=2)
    assert ids.tolist() == [[8, 2, 0, 0], [5, 6, 7, 2], [2, 0, 0, 0]]
    assert lengths.tolist() == [2, 4, 1]
