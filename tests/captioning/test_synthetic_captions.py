"""Generated scenes: the same everywhere, all true, unseen in training; and what bounds them."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.prepared import open_images, prepare
from bench.captioning.data.scenes import COLOURS, Scene, caption, draw_caption, features
from bench.captioning.data.specification import SyntheticCaptionsSpec
from bench.captioning.data.synthetic import Scenes, cider_ceiling, draw_scenes
from bench.captioning.data.words import Tokens, caption_tokens
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.data.random import draws

CARD = Suite(folder=shipped_folder()).card("synthetic-captions")
SMALL = SyntheticCaptionsSpec(num_train=60, num_valid=20, num_test=30, rarer_share=0.25)
SCENES = Scenes(SMALL)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> CaptionCorpus:
    return made(tmp_path_factory.mktemp("cache"))


def made(cache: Path, spec: SyntheticCaptionsSpec = SMALL, **settings: Any) -> CaptionCorpus:
    card = msgspec.structs.replace(CARD, task="small", corpus=spec)
    return prepare(card, DataConfig(**settings), cache=cache)


# Scenes and captions ----------------------------------------------------------------------------


def test_the_corpus_is_the_same_wherever_it_is_drawn(corpus: CaptionCorpus, tmp_path: Path) -> None:
    again = made(tmp_path)
    assert again.checksums == corpus.checksums
    np.testing.assert_array_equal(again.features.array, corpus.features.array)
    assert made(tmp_path, msgspec.structs.replace(SMALL, seed=2)).checksums != corpus.checksums


def test_one_corpus_is_pinned(corpus: CaptionCorpus) -> None:
    """Another version of a library may not change what was measured."""
    assert " ".join(corpus.splits["test"].captions[0][0]) == PINNED_CAPTION
    assert corpus.checksums["test captions"][:16] == PINNED_CHECKSUM


PINNED_CAPTION = "a large turquoise cross below a small orange ring"
PINNED_CHECKSUM = "d1b0223a3f96a302"


def test_no_scene_is_said_twice() -> None:
    contents = [scene.content for drawn in SCENES.splits.values() for scene in drawn]
    assert len(contents) == len(set(contents)) == 110


def test_no_caption_of_the_test_stands_in_training(corpus: CaptionCorpus) -> None:
    said = {split: set(itertools.chain(*s.captions)) for split, s in corpus.splits.items()}
    assert not said["test"] & (said["train"] | said["valid"])
    assert not said["valid"] & said["train"]


def test_more_scenes_than_there_are() -> None:
    with pytest.raises(BenchError, match="too few different scenes for 20,050: ask for 11,376"):
        draw_scenes(msgspec.structs.replace(SMALL, num_train=20000))


def probabilities(scene: Scene, rarer_share: float) -> dict[Tokens, float]:
    """Every caption of a scene with its probability."""
    found = defaultdict[Tokens, float](float)
    for opened, turned, *big in itertools.product((False, True), repeat=4):
        said = caption(scene, opened=opened, turned=turned, big=(big[0], big[1]))
        num_rare = opened + turned + sum(big)
        found[said] += rarer_share**num_rare * (1 - rarer_share) ** (4 - num_rare)
    return dict(found)


@pytest.mark.parametrize("name", SCENES.names[:6])
def test_captions_are_among_those_of_their_scene(corpus: CaptionCorpus, name: str) -> None:
    split = corpus.splits["train"]
    known = probabilities(SCENES.by_name[name], SMALL.rarer_share)
    assert sum(known.values()) == pytest.approx(1)
    said = split.captions[list(split.names).index(name)]
    assert len(said) == 5
    assert set(said) <= set(known)
    assert caption(SCENES.by_name[name]) == max(known, key=lambda tokens: known[tokens])
    assert all(caption_tokens(" ".join(tokens)) == tokens for tokens in known)


def test_captions_are_drawn_by_their_probability() -> None:
    scene = SCENES.splits["train"][0]
    draw = draws(np.random.PCG64(5)).__next__
    counts = Counter(draw_caption(scene, draw, 0.25) for _ in range(20000))
    for tokens, chance in probabilities(scene, 0.25).items():
        error = math.sqrt(chance * (1 - chance) / 20000)
        assert counts[tokens] / 20000 == pytest.approx(chance, abs=5 * error)


def test_what_is_said_is_what_is_drawn() -> None:
    for scene in itertools.chain(*SCENES.splits.values()):
        (row, column), (other_row, other_column) = scene.places
        across = scene.direction == "across"
        assert (row == other_row) == across
        assert (column == other_column) != across
        assert (row, column) < (other_row, other_column)
        said = " ".join(caption(scene))
        assert (" left of " if across else " above ") in said
        before, after = (said.find(f"{t.colour} {t.shape}") for t in (scene.first, scene.last))
        assert before > -1
        assert before < after or (scene.first.colour, scene.first.shape) == (
            scene.last.colour,
            scene.last.shape,
        )


# Bounds -----------------------------------------------------------------------------------------


def cider_loop(captions: list[Tokens], references: Sequence[tuple[Tokens, ...]]) -> float:
    """CIDEr (percent) by its definition: Vedantam et al. (2015), equations 1 to 3."""
    total = 0.0
    for size in range(1, 5):
        sets = [{gram for tokens in refs for gram in cut(tokens, size)} for refs in references]
        with_gram = Counter(gram for grams in sets for gram in grams)

        def weighted(
            tokens: Tokens, size: int = size, with_gram: Counter[Tokens] = with_gram
        ) -> dict[Tokens, float]:
            return {
                gram: number * math.log(len(references) / max(1, with_gram[gram]))
                for gram, number in Counter(cut(tokens, size)).items()
            }

        for said, refs in zip(captions, references, strict=True):
            one = weighted(said)
            for reference in refs:
                other = weighted(reference)
                lengths = [math.sqrt(sum(v * v for v in x.values())) for x in (one, other)]
                product = sum(value * other.get(gram, 0) for gram, value in one.items())
                total += product / math.prod(lengths) / len(refs) if all(lengths) else 0
    return 1000 * total / 4 / len(references)


def cut(tokens: Tokens, size: int) -> list[Tokens]:
    return [tokens[i : i + size] for i in range(len(tokens) - size + 1)]


def test_nobody_exceeds_the_bound_and_the_perfect_captioner_comes_near(
    corpus: CaptionCorpus,
) -> None:
    test = corpus.splits["test"]
    references = [tuple(captions) for captions in test.captions]
    assert corpus.bound is not None
    perfect = cider_loop([caption(scene) for scene in SCENES.splits["test"]], references)
    oracle = [max(refs, key=lambda r: Counter(refs)[r]) for refs in references]
    assert 0.85 * corpus.bound["test"] < perfect <= corpus.bound["test"]
    assert perfect <= cider_loop(oracle, references) <= corpus.bound["test"]
    shuffled = [caption(scene) for scene in SCENES.splits["test"][::-1]]
    assert cider_loop(shuffled, references) < 0.5 * perfect


def test_the_bound_of_one_reference_is_reached_by_it() -> None:
    references = [(("a", "red", "circle", "left", "of", "a", "ring"),), (("b", "c", "d", "e"),)]
    found = cider_loop([refs[0] for refs in references], references)
    assert cider_ceiling(references) == pytest.approx(found) == pytest.approx(1000)


# Pictures ---------------------------------------------------------------------------------------


def classified(scene: Scene, cells_RD: np.ndarray[Any, np.dtype[np.float32]]) -> list[str]:
    """The colours that the features show where the scene's things are."""
    found = []
    for row, column in scene.places:
        shown = cells_RD[3 * row + column, -3:]
        shown = shown / np.linalg.norm(shown)
        unit = {name: np.array(rgb) - 0.12 for name, rgb in COLOURS.items()}
        found.append(max(unit, key=lambda n: shown @ unit[n] / np.linalg.norm(unit[n])))
    return found


def test_features_show_colour_and_coverage_where_things_are(tmp_path: Path) -> None:
    corpus = made(tmp_path, features="grid")
    assert corpus.features.array.ndim == 3
    for split in ("train", "test"):
        part = corpus.splits[split]
        rows = corpus.features.rows(part.feature_row)
        for scene, cells_RD in zip(SCENES.splits[split], rows, strict=True):
            assert classified(scene, cells_RD) == [scene.first.colour, scene.last.colour]
            covered = cells_RD[:, :-3].mean(axis=1)
            busy = sorted(np.argsort(covered)[-2:].tolist())
            assert busy == sorted(3 * row + column for row, column in scene.places)


def test_cells_are_the_grid_in_a_row(corpus: CaptionCorpus, tmp_path: Path) -> None:
    grid = made(tmp_path, features="grid").features.array
    np.testing.assert_array_equal(corpus.features.array, grid.reshape(len(grid), -1))


@pytest.mark.parametrize("size", [36, 96, 99])
def test_pictures_of_other_sizes_show_the_same(size: int) -> None:
    scenes = Scenes(msgspec.structs.replace(SMALL, image_size=size))
    found = features(scenes.pixels("test-00001"))
    usual = features(SCENES.pixels("test-00001"))
    assert float(np.corrcoef(found.ravel(), usual.ravel())[0, 1]) > 0.9


def test_pictures_can_be_looked_at_and_described_as_photographs(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(SMALL, num_train=5, num_valid=5, num_test=5)
    corpus = made(tmp_path, spec, features="colour-histogram")
    assert corpus.features.size == 640
    images = open_images(spec)
    assert images("valid-00003").size == (96, 96)
    with pytest.raises(BenchError, match="there is no scene 'valid-99999'"):
        images("valid-99999")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "."}, "small is generated and reads no files"),
        ({"features": "cell"}, "small has no features 'cell', did you mean 'cells'"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        made(tmp_path, **settings)


def test_the_shipped_card_is_generated() -> None:
    assert isinstance(CARD.corpus, SyntheticCaptionsSpec)
    assert (CARD.kind, CARD.twin) == ("captions", None)
