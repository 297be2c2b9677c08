"""Captions without training: whose they are, what they are held against, which tasks they fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from few_images import make_corpus
from tiny_captioning import TASK, make_suite

from bench.captioning.baselines.base import CaptionBaseline
from bench.captioning.baselines.nearest import Nearest
from bench.captioning.baselines.reference_captions import Human, RandomCaption
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.nearest_contestants import plain_consensus, plain_nearest, plain_similarity
from bench.captioning.outputs import Captions
from bench.captioning.scoring import CaptionScoring
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.domains import baseline_class, load_domain
from bench.runs.outputs import find_outputs
from bench.runs.resolve import resolve
from bench.runs.run import RunOptions, corpus_of, run, run_trial

MODELS: tuple[type[CaptionBaseline], ...] = (Nearest, RandomCaption, Human)


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_was_not_fitted_says_so(kind: type[CaptionBaseline]) -> None:
    model = kind()
    with pytest.raises(BenchError, match="not been fitted"):
        model.turns("test")


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("seed", range(3))
def test_nearest_is_search_and_consensus(split: str, seed: int) -> None:
    corpus = make_corpus(seed)
    model = Nearest(k=4, m=3, similarity="bleu", distance="euclidean")
    model.fit(corpus, seed=1)
    (turn,) = model.turns(split)
    train, described = corpus.splits["train"], corpus.splits[split]
    alike = plain_similarity("bleu", train.captions)
    stored = list(corpus.features.rows(train.feature_row))
    expected = []
    for row in corpus.features.rows(described.feature_row):
        images = plain_nearest(stored, row, 4, distance="euclidean")
        pool = [caption for image in images for caption in train.captions[image]]
        expected.append(pool[plain_consensus(pool, 3, alike)])
    assert list(turn.captions) == expected
    assert turn.references is described.captions


def test_one_neighbour_without_a_vote_gives_its_first_caption() -> None:
    corpus = make_corpus(1)
    model = Nearest(k=1, m=0)
    model.fit(corpus, seed=1)
    train = corpus.splits["train"]
    images = model.neighbours("test", num=3)[:, 0].tolist()
    assert list(model.describe("test")) == [train.captions[image][0] for image in images]


def test_more_neighbours_than_training_images_are_refused() -> None:
    with pytest.raises(BenchError, match=r"model\.k 13: there are 12 training images"):
        Nearest(k=13).fit(make_corpus(0), seed=1)


def test_random_captions_are_training_captions_that_the_seed_decides() -> None:
    corpus = make_corpus(0)
    training = [caption for own in corpus.splits["train"].captions for caption in own]

    def drawn(seed: int, split: str) -> list[tuple[str, ...]]:
        model = RandomCaption()
        model.fit(corpus, seed=seed)
        return list(model.describe(split))

    assert drawn(1, "test") == drawn(1, "test") != drawn(2, "test")
    assert drawn(1, "valid") != drawn(1, "test")[:4]
    many = [caption for seed in range(200) for caption in drawn(seed, "test")]
    assert set(many) == set(training)


def test_people_are_held_against_each_other() -> None:
    corpus = make_corpus(4, fewest=2)
    model = Human()
    model.fit(corpus, seed=1)
    captions = corpus.splits["test"].captions
    turns = model.turns("test")
    assert len(turns) == min(map(len, captions)) == 2
    for number, turn in enumerate(turns):
        for own, said, others in zip(captions, turn.captions, turn.references, strict=True):
            assert said == own[number]
            assert Counter([said, *others]) == Counter(own)
    held_against = model.references(corpus.splits["test"])
    assert [len(own) for own in held_against] == [len(own) - 1 for own in captions]


def test_a_single_caption_has_nothing_to_be_held_against() -> None:
    model = Human()
    model.fit(make_corpus(4), seed=1)
    with pytest.raises(BenchError, match=r"\.jpg of test has one caption and no other"):
        model.turns("test")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The tiny captioning task, whose default recipe is one for networks."""
    return make_suite(tmp_path_factory.mktemp("suite"))


@pytest.mark.parametrize(
    ("model", "settings"),
    [("nearest", {"k": 3, "m": 4}), ("random-caption", {}), ("human", {})],
)
def test_a_run_scores_and_keeps_captions(
    tiny: Suite, model: str, settings: dict[str, object]
) -> None:
    resolved = resolve(tiny, TASK, model=model, overrides={"model": settings})
    record = run(resolved, tiny)
    references = 1 if model == "human" else 2
    assert record.metric == "cider"
    assert f"|refs:{references}|" in record.signature
    names = {signature.partition("|")[0] for signature in record.beside}
    assert {"bleu-1", "bleu-4", "rouge-l", "cider-plain", "copies"} <= names
    for split in ("valid", "test"):
        kept = Captions.read(tiny.artifacts(TASK, record.id), split)
        assert kept is not None
        assert kept.header.signature == record.signature
        assert kept.value() == pytest.approx(record.metrics[split])
        assert len(kept.turns) == (2 if model == "human" else 1)
        if model != "human":
            assert all(line.is_copy for line in kept.lines)


def test_a_trial_leaves_test_alone(tiny: Suite) -> None:
    resolved = resolve(tiny, TASK, model="nearest", overrides={"model": {"k": 2, "m": 1}})
    record = run_trial(resolved, tiny, report=lambda *_: None)
    assert set(record.metrics) == {"valid"}
    assert not Captions.path(tiny.artifacts(TASK, record.id), "test").exists()
    assert run(resolved, tiny, RunOptions()).metrics["valid"] == record.metrics["valid"]


def test_captions_that_are_gone_are_regenerated(tiny: Suite) -> None:
    record = run(resolve(tiny, TASK, model="random-caption"), tiny)
    path = Captions.path(tiny.artifacts(TASK, record.id), "test")
    before = path.read_bytes()
    path.unlink()
    assert find_outputs(tiny, record, "test").value() == record.metrics["test"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("task", "model", "message"),
    [
        (TASK, "ngram", "reads text, tiny-captioning is captions: choose nearest, random-caption"),
        ("synthetic-text", "nearest", "reads captions, synthetic-text is text: choose ngram"),
        ("synthetic-speech", "human", "synthetic-speech is speech: choose a network"),
    ],
)
def test_a_baseline_of_another_kind_is_refused(
    tiny: Suite, task: str, model: str, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        resolve(tiny, task, model=model)


def test_captions_have_baselines_of_their_own() -> None:
    assert set(load_domain("captions").baselines) == {"nearest", "random-caption", "human"}
    for name in load_domain("captions").baselines:
        assert issubclass(baseline_class("captions", name), CaptionBaseline)


def test_what_recipes_say_of_networks_is_not_for_baselines(tiny: Suite) -> None:
    resolved = resolve(tiny, TASK, model="nearest")
    assert "hidden_size" not in resolved.config.model
    assert resolved.config.model["k"] == 90
    with pytest.raises(BenchError, match="hidden"):
        resolve(tiny, TASK, model="nearest", overrides={"model": {"hidden_size": 8}})


def test_options_are_checked(tiny: Suite) -> None:
    for key, value in (("k", 0), ("m", -1), ("similarity", "spice"), ("distance", "far")):
        with pytest.raises(BenchError, match=key):
            resolve(tiny, TASK, model="nearest", overrides={"model": {key: value}})


def test_flickr8k_is_described_as_well_as_elsewhere(
    bench_data: Path, monkeypatch: pytest.MonkeyPatch, tiny: Suite
) -> None:
    """One run elsewhere gave 52.9 / 13.7 / 37.1, a random caption 30.3 / 1.9 / 3.7."""
    monkeypatch.setenv("BENCH_DATA", str(bench_data))
    corpus = corpus_of(resolve(tiny, "flickr8k", model="nearest"))
    assert isinstance(corpus, CaptionCorpus)
    scoring = CaptionScoring(corpus.splits["train"])
    found = {}
    for model in (Nearest(), RandomCaption()):
        model.fit(corpus, seed=1)
        values = scoring.score(corpus.splits["test"], model.turns("test")).scores.values
        found[type(model).__name__] = [values[name] for name in ("bleu-1", "bleu-4", "cider")]
    assert np.all(np.greater_equal(np.round(found["Nearest"], 1), [52.9, 13.7, 37.1]))
    assert found["RandomCaption"] == pytest.approx([30.3, 1.9, 3.7], abs=1.5)
