"""From cards and folders to captions: words, vocabulary, splits, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from caption_trees import (
    CAPTIONS,
    NAMES,
    SPLITS,
    flickr8k_spec,
    tiny,
    write_flickr8k,
    write_karpathy,
)

from bench.captioning.data.words import caption_tokens, learn_vocabulary
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.data.corpora import load_corpus
from bench.data.files import FileSpec

SUITE = Suite(folder=shipped_folder())


# Words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A dog .", "a dog"),
        ("The man 's T-shirt", "the man s tshirt"),
        ('He says , " no " ; she does n\'t !', "he says no she does nt"),
        ("2 dogs & a Café #1", "2 dogs a café 1"),
        (" . ", ""),
        ("<unk> </s>", "unk s"),
    ],
)
def test_the_words_of_a_caption(text: str, tokens: str) -> None:
    assert " ".join(caption_tokens(text)) == tokens
    assert caption_tokens(tokens) == caption_tokens(text)


def test_words_are_numbered_by_frequency_and_rare_ones_are_unknown() -> None:
    captions = [caption_tokens(text) for text in ("b a a c", "c b a d", "e")]
    vocabulary = learn_vocabulary(captions, 2)
    assert vocabulary.symbols == ("<unk>", "<s>", "</s>", "a", "b", "c")
    assert vocabulary.counts.tolist() == [2, 0, 3, 3, 2, 2]
    assert vocabulary.encode(("c", "d", "a")) == [5, 0, 3]
    assert vocabulary.decode([1, 5, 0, 3, 2]) == ["c", "<unk>", "a"]


# Flickr8k's layout ------------------------------------------------------------------------------


def test_splits_captions_and_features_belong_together(tmp_path: Path) -> None:
    corpus = tiny(tmp_path / "tiny")
    for split, names in SPLITS.items():
        found = corpus.splits[split]
        assert (list(found.names), len(found)) == (names, len(names))
        assert found.num_captions == 2 * len(names)
        rows = corpus.features.rows(found.feature_row)
        assert rows[:, 0].tolist() == [NAMES.index(name) for name in names]
        for image, name in enumerate(names):
            for number, text in enumerate(CAPTIONS[name]):
                tokens = caption_tokens(text)
                assert found.captions[image][number] == tokens
                ids = found.rows[int(found.first[image]) + number]
                assert ids.tolist() == corpus.vocabulary.encode(tokens)
    assert corpus.splits["test"].image_of.tolist() == [0, 0, 1, 1]


def test_the_vocabulary_is_learned_on_training_captions_alone(tmp_path: Path) -> None:
    corpus = tiny(tmp_path / "tiny")
    assert set(corpus.vocabulary.symbols[3:]) == {"a", "dog", "runs", "cat"}
    assert 0 in corpus.splits["test"].rows[3]


def test_a_captioned_image_that_does_not_exist_is_told(tmp_path: Path) -> None:
    corpus = tiny(tmp_path / "tiny")
    (problem,) = corpus.problems
    assert str(problem) == "no image: lost.jpg.1: captioned, but not among the images"
    assert corpus.skipped == ()


def test_checksums_are_of_what_was_read(tmp_path: Path) -> None:
    corpus = tiny(tmp_path / "tiny")
    assert set(corpus.checksums) == {
        *("captions.txt", "train.txt", "valid.txt", "test.txt"),
        *("features given", "vocabulary"),
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("captions.txt", "d.jpg#", "x.jpg#", "1 bad caption or image (1 no caption): no caption"),
        ("captions.txt", "A cat\n", ". !\n", "(1 no words): no words: c.jpg: '. !' in"),
        ("captions.txt", "#1\tThe", " The", "(1 bad line): bad line: "),
        ("test.txt", "e.jpg", "a.jpg", "a.jpg is listed in train and again in test"),
        ("test.txt", "e.jpg\nf.jpg\n", "\n", "no image in the test split"),
        ("given.names.txt", "e.jpg", "x.jpg", "no row for 1 of the 2 images of test (e.jpg)"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    path = tmp_path / "tiny" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BenchError) as refusal:
        tiny(tmp_path / "tiny", spec)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_bad_captions_are_left_out_when_told_to(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    path = tmp_path / "tiny/captions.txt"
    path.write_text(path.read_text().replace("A cat\n", ".\n").replace("e.jpg#", "x.jpg#"))
    corpus = tiny(tmp_path / "tiny", spec, on_bad="skip")
    assert sorted(problem.kind for problem in corpus.skipped) == ["no caption", "no words"]
    assert list(corpus.splits["test"].names) == ["f.jpg"]
    assert [len(captions) for captions in corpus.splits["train"].captions] == [2, 2, 1]


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    with (tmp_path / "tiny/captions.txt").open("ab") as stream:
        stream.write(b"a.jpg#2\tcaf\xe9\n")
    with pytest.raises(BenchError, match=r"captions.txt, line 15: byte 12 of it is not UTF-8"):
        tiny(tmp_path / "tiny", spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": {"train": 4}}, "3 images in train where the card counts 4"),
        ({"num_types": 5}, "4 words stand 2 times in the training captions where the card counts"),
    ],
)
def test_counts_that_are_not_the_cards(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write_flickr8k(tmp_path / "tiny")
    with pytest.raises(BenchError, match=message):
        tiny(tmp_path / "tiny", flickr8k_spec(**change))


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    files = {**spec.files, "test": FileSpec(path="test.txt", sha256="0" * 64)}
    with pytest.raises(BenchError, match=r"test.txt: altered: sha256 .* put the original"):
        tiny(tmp_path / "tiny", msgspec.structs.replace(spec, files=files))


def test_missing_files_are_named_with_the_twin(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"missing files: captions.txt .*a shelf.*--task twin"):
        tiny(tmp_path / "tiny", flickr8k_spec(), twin="twin")


# Karpathy's layout ------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [True, False])
def test_karpathys_file_holds_the_same(tmp_path: Path, tokens: bool) -> None:
    one = tiny(tmp_path / "one")
    other = tiny(tmp_path / "other", write_karpathy(tmp_path / "other", tokens=tokens))
    for split in SPLITS:
        assert one.splits[split].names == other.splits[split].names
        assert one.splits[split].captions == other.splits[split].captions
    assert one.vocabulary.symbols == other.vocabulary.symbols
    assert one.problems == other.problems


@pytest.mark.parametrize("content", ['{"images": [{"filename": "a"}]}', "[]", "{", "\xff"])
def test_another_json_is_refused(tmp_path: Path, content: str) -> None:
    spec = write_karpathy(tmp_path / "tiny")
    (tmp_path / "tiny/dataset.json").write_text(content, encoding="latin-1")
    with pytest.raises(BenchError, match="is not JSON as Karpathy's splits have it"):
        tiny(tmp_path / "tiny", spec)


# Cards and settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": {"captions": FileSpec(path="a")}}, "'train' is not one of `files`"),
        ({"layout": "coco-karpathy"}, "splits: name the marks of train, valid, test"),
        ({"counts": {"tests": 1}}, "counts: 'tests' is none of"),
        ({"images": ("../images",)}, "relative"),
    ],
)
def test_cards_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flickr8k_spec(**change)


def test_given_features_do_not_take_the_name_of_computed_ones() -> None:
    given = flickr8k_spec().given["given"]
    with pytest.raises(ValueError, match="hog is computed here"):
        flickr8k_spec(given={"hog": given})


@pytest.mark.parametrize("setting", ["minimum_count", "segmentation", "languages"])
def test_settings_of_other_corpora(setting: str) -> None:
    name = setting.replace("_", "-")
    with pytest.raises(BenchError, match=f"is captions, which knows no {name}: leave out --data"):
        load_corpus(SUITE.card("flickr8k"), DataConfig(**{setting: "2"}))  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["synthetic-text", "synthetic-speech", "synthetic-translation"])
def test_other_corpora_have_no_features(task: str) -> None:
    with pytest.raises(BenchError, match="which knows no features"):
        load_corpus(SUITE.card(task), DataConfig(features="hog"))
