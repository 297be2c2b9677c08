"""Caption scores against the toolkit's own numbers and against plain loops."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import plain_captions as plain
import pytest

from bench.captioning.metrics.scores import (
    METRICS,
    CaptionProtocol,
    CaptionScorer,
    CaptionScores,
    join,
    pool,
    score_captions,
)
from bench.compare.over_units import multiplicities
from bench.core.errors import BenchError

Captions = list[list[str]]


def drawn(seed: int, num_images: int = 12) -> tuple[Captions, list[Captions]]:
    """Captions of few words, so that n-grams repeat; some empty, some of unknown words."""
    draw = random.Random(seed)

    def caption(words: str, shortest: int) -> list[str]:
        return draw.choices(words, k=draw.randint(shortest, 9))

    references = [
        [caption("abcdef", 1) for _ in range(draw.randint(1, 5))] for _ in range(num_images)
    ]
    return [caption("abcdexy", 0) for _ in range(num_images)], references


@pytest.fixture(scope="module")
def example(bench_data: Path) -> CaptionScores:
    """The toolkit's thousand captions."""
    path = bench_data / "coco-fakecap" / "spice_example_input_larger.json"
    images = json.loads(path.read_text(encoding="utf-8"))
    return score_captions(
        [image["test"].split() for image in images],
        [[caption.split() for caption in image["refs"]] for image in images],
    )


@pytest.mark.parametrize(
    ("metric", "printed"),
    [
        ("bleu-1", 0.579),
        ("bleu-2", 0.404),
        ("bleu-3", 0.279),
        ("bleu-4", 0.191),
        ("rouge-l", 0.396),
        ("cider", 0.600),
    ],
)
def test_the_toolkits_example_has_its_numbers(
    example: CaptionScores, metric: str, printed: float
) -> None:
    assert round(example.values[metric] / 100, 3) == printed


def test_the_toolkits_example_has_its_counts(example: CaptionScores) -> None:
    number, *counts = example.sums.sum(0)[:11].astype(int).tolist()
    assert number == 1000
    assert counts[:2] == [9893, 9855], "words of captions and of their nearest references"
    assert counts[2:6] == [5732, 2510, 1043, 423], "matching n-grams"
    assert counts[6:] == [9893, 8893, 7893, 6893], "n-grams"
    assert example.noun == "1,000 images of 5,005 reference captions"


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_a_plain_loop(seed: int) -> None:
    hypotheses, references = drawn(seed)
    scores = score_captions(hypotheses, references)
    found = scores.per_image
    for i, (defended, cosine) in enumerate(plain.cider(hypotheses, references)):
        alone = plain.bleu(hypotheses[i : i + 1], references[i : i + 1])
        expected = {
            "cider": defended,
            "cider-plain": cosine,
            "rouge-l": plain.rouge_l(hypotheses[i], references[i]),
            **{f"bleu-{n}": value for n, value in enumerate(alone, start=1)},
        }
        for name in METRICS:
            assert found[name][i] == pytest.approx(100 * expected[name], abs=1e-11), (name, i)
    corpus = [scores.values[f"bleu-{n}"] for n in (1, 2, 3, 4)]
    assert corpus == pytest.approx([100 * v for v in plain.bleu(hypotheses, references)])
    for name in ("cider", "cider-plain", "rouge-l"):
        assert scores.values[name] == pytest.approx(found[name].mean())


@pytest.mark.parametrize(
    ("length", "references", "expected"),
    [(4, (3, 5), 3), (4, (6, 4, 2), 4), (9, (3, 5), 5), (0, (2, 1), 1), (4, (5, 3, 9), 3)],
)
def test_the_reference_length_is_the_nearest_and_of_two_the_shorter(
    length: int, references: tuple[int, ...], expected: int
) -> None:
    scores = score_captions([["a"] * length], [[["b"] * n for n in references]])
    assert scores.sums[0, 1:3].tolist() == [length, expected]


def test_what_people_all_wrote_has_every_score_in_full() -> None:
    captions = [list("abcd"), list("efgh"), list("ijkl")]
    scores = score_captions(captions, [[caption, caption] for caption in captions])
    full = {"cider": 1000.0, "cider-plain": 1000.0}
    assert scores.values == pytest.approx({name: full.get(name, 100.0) for name in METRICS})


def test_cider_d_minds_lengths_and_repetition_where_plain_cider_does_not() -> None:
    references = [[list("abcdef")], [list("ghijkl")], [list("mnopqr")]]
    repeated = list("abcdef") * 3
    scores = score_captions([repeated, list("ghijkl"), []], references)
    defended, cosine = scores.per_image["cider"], scores.per_image["cider-plain"]
    assert defended[0] < 0.2 * cosine[0]
    assert (defended[1], cosine[1]) == pytest.approx((1000, 1000))
    assert (defended[2], cosine[2]) == (0, 0)


def test_one_image_has_no_rarity_and_so_no_cider() -> None:
    assert score_captions([list("abcd")], [[list("abcd")]]).value == 0


def test_references_are_counted_once_and_hypotheses_leave_no_trace() -> None:
    hypotheses, references = drawn(3)
    scorer = CaptionScorer(references)
    first = scorer.score(hypotheses).sums
    scorer.score([["new", "words"]] * len(references))
    np.testing.assert_array_equal(scorer.score(hypotheses).sums, first)


def test_statistics_add_up_over_images_rounds_and_captions() -> None:
    hypotheses, references = drawn(4)
    others, _ = drawn(5)
    scorer = CaptionScorer(references)
    first, second = scorer.score(hypotheses), scorer.score(others)
    both = pool([first, second])
    assert both.value == pytest.approx((first.value + second.value) / 2)
    assert both.values == pytest.approx(join([first, second]).values)
    assert len(join([first, second]).sums) == 2 * len(both.sums) == 2 * len(references)
    chosen = np.arange(len(references)) % 2 == 0
    part = first.part(chosen)
    assert part.value == pytest.approx(first.per_image["cider"][chosen].mean())
    assert part.num_references.sum() == sum(map(len, references[::2]))


def test_a_resample_is_the_mean_of_the_images_that_were_drawn() -> None:
    hypotheses, references = drawn(6)
    scores = score_captions(hypotheses, references)
    index = np.random.default_rng(1).integers(len(references), size=(5, len(references)))
    found = scores.metric(multiplicities(index) @ scores.sums)
    np.testing.assert_allclose(found, scores.per_image["cider"][index].mean(1))


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [], "no image to score"),
        ([["a"]], [[]], "image 0 has no reference"),
        ([["a"]], [[[]]], "no reference caption has a word"),
        ([["a"]], [[["a"]], [["b"]]], "1 captions for 2 images"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    hypotheses: Captions, references: list[Captions], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        score_captions(hypotheses, references)


def test_rounds_over_different_images_are_refused() -> None:
    scores = [score_captions(*drawn(seed, size)) for seed, size in ((1, 5), (2, 6))]
    with pytest.raises(BenchError, match="score the same images"):
        pool(scores)


def test_signatures_say_what_was_counted() -> None:
    five = CaptionProtocol.of([[["a"]] * 5] * 2)
    assert five.signature("cider") == "cider|form:d|n:4|sigma:6|df:split|refs:5|tokens:lower,alnum"
    assert five.signature("bleu-4").startswith("bleu-4|length:closest|smooth:none|refs:5|")
    assert CaptionProtocol.of([[["a"]] * 5, [["a"]] * 7]).references == "5-7"
    kinds = [
        five,
        CaptionProtocol.of([[["a"]] * 4]),
        CaptionProtocol(references="5", num_skipped=1),
    ]
    named = [name for kind in kinds for name in (*map(kind.signature, METRICS), kind.copies)]
    assert len(set(named)) == 3 * len(METRICS) + 2, "copies know no references"
