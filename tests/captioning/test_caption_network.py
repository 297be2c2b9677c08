"""What every captioner keeps to, however the image enters and whichever recurrence writes."""

from __future__ import annotations

import pytest
import torch
from small_captions import (
    KINDS,
    NUM_FEATURES,
    NUM_WORDS,
    captions_of,
    images_for,
    make,
    model_config,
)
from torch import Tensor

from bench.captioning.network.captioner import CaptionNetwork
from bench.captioning.network.options import CaptioningOptions
from bench.captioning.network.search import CaptionSearch, quick_search
from bench.core.errors import BenchError
from bench.data.tokens import END, START, UNKNOWN
from bench.models import MODELS
from bench.seq2seq.beam import LengthPenalty
from bench.seq2seq.writer import shift_right

ALL_KINDS = pytest.mark.parametrize("kind", KINDS)
ALL_MODELS = pytest.mark.parametrize("name", MODELS)
CAPTIONS, LENGTHS = captions_of([4, 6, 1, 3])


def plain_log_probs(network: CaptionNetwork, feature_BD: Tensor, caption_BT: Tensor) -> Tensor:
    """log p [B, T] by the equations, a word at a time, each image for itself."""
    options, decoder = network.options, network.decoder
    found = []
    for feature_D, caption_T in zip(feature_BD, caption_BT, strict=True):
        recurrence = decoder.recurrence
        state = recurrence.initial_state(1, feature_D)
        beside = None
        if network.image is not None:
            seen_D = feature_D
            if network.image_layer is not None:
                seen_D = torch.tanh(network.image_layer(feature_D))
            image_1E = network.image(seen_D)[None]
            if options.image == "first":
                _, state = recurrence.step(image_1E, state)
            else:
                beside = image_1E
        word, log_p = torch.tensor([START]), []
        for token in caption_T:
            x_1E = network.embedding(word)
            step = x_1E
            if beside is not None and options.enters == "step":
                step = torch.cat([x_1E, beside], dim=1)
            s_1H, state = recurrence.step(step, state)
            r_1R = decoder.readout(s_1H, beside, x_1E)
            score_1V = r_1R @ network.output.weight.t() + network.output.bias
            log_p.append(score_1V.log_softmax(1)[0, token])
            word = token[None]
        found.append(torch.stack(log_p))
    return torch.stack(found)


def gradients(network: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    names, weights = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("attention")])
@ALL_MODELS
def test_all_words_at_once_are_the_equations_word_by_word(kind: str, name: str) -> None:
    network = make(KINDS[kind], name=name)
    images = images_for(network, 4)
    plain_BT = plain_log_probs(network, images, CAPTIONS)
    counted_BT = torch.arange(CAPTIONS.shape[1]) < LENGTHS[:, None]
    wanted = -plain_BT[counted_BT].sum()
    loss, count = network.word_loss((images,), CAPTIONS, LENGTHS, teacher_forcing=1.0)
    assert int(count) == 14
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(gradients(network, loss), gradients(network, wanted))
    log_p_BT = network.word_log_probs((images,), CAPTIONS, LENGTHS)
    torch.testing.assert_close(log_p_BT, plain_BT.detach().where(counted_BT, 0.0))


@ALL_KINDS
@ALL_MODELS
def test_a_scan_is_what_steps_find(kind: str, name: str) -> None:
    """Training reads an image that comes first in the scan of the words, a search before it."""
    network = make(KINDS[kind], name=name)
    images = images_for(network, 4)
    at_once = network.decode_source((images,), shift_right(CAPTIONS)).readouts
    memory, carried = network.encode(images)
    stepwise = []
    for word_B in shift_right(CAPTIONS).unbind(1):
        r_BR, carried = network.decoder.step(network.embedding(word_B), memory, carried)
        stepwise.append(r_BR)
    torch.testing.assert_close(at_once, torch.stack(stepwise, dim=1))
    read = network.decode(shift_right(CAPTIONS), *network.encode(images)).readouts
    torch.testing.assert_close(at_once, read)


@ALL_KINDS
def test_a_caption_knows_neither_its_batch_nor_padding(kind: str) -> None:
    network = make(KINDS[kind], name="lstm", model={"num_layers": 2})
    images = images_for(network, 4)
    together = network.word_log_probs((images,), CAPTIONS, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        rows = slice(b, b + 1)
        alone = network.word_log_probs((images[rows],), CAPTIONS[rows, :length], LENGTHS[rows])
        torch.testing.assert_close(alone[0], together[b, :length])
        assert not together[b, length:].any()
    other, _ = captions_of([4, 6, 1, 3], padding=5)
    torch.testing.assert_close(network.word_log_probs((images,), other, LENGTHS), together)


@ALL_KINDS
def test_the_image_makes_a_difference_to_every_word(kind: str) -> None:
    network = make(KINDS[kind])
    one, other = (
        network.word_log_probs((images_for(network, 4, seed=s),), CAPTIONS, LENGTHS) for s in (1, 5)
    )
    counted_BT = torch.arange(CAPTIONS.shape[1]) < LENGTHS[:, None]
    assert bool(((one - other).abs() > 1e-6)[counted_BT].all())


@ALL_KINDS
@ALL_MODELS
def test_a_search_scores_as_teacher_forcing_does(kind: str, name: str) -> None:
    network = make(KINDS[kind], name=name)
    images = images_for(network, 3)
    search = CaptionSearch(beam_size=3, penalty=LengthPenalty(kind="average"), max_length=5)
    for image_1D, of_one in zip(
        torch.split(images, 1), search([network], [images], num_best=2), strict=True
    ):
        assert len(of_one) == 2
        for one in of_one:
            assert len(one.tokens) <= 5
            assert not {START, UNKNOWN} & set(one.tokens)
            caption_1T = torch.tensor([[*one.tokens, END]])
            lengths = torch.tensor([caption_1T.shape[1]])
            rescored = network.word_log_probs((image_1D,), caption_1T, lengths)
            assert float(rescored.sum()) == pytest.approx(one.log_prob, abs=1e-9)


def test_an_ensemble_may_see_an_image_with_different_eyes() -> None:
    one, other = make(), make({"image": "attention"}, name="lstm")
    features = [images_for(network, 2) for network in (one, other)]
    (best,), (again,) = (
        CaptionSearch(beam_size=4)([one, other], [part[rows] for part in features])
        for rows in (slice(0, 1), slice(1, 2))
    )
    both = CaptionSearch(beam_size=4)([one, other], features)
    assert [of_one[0].tokens for of_one in both] == [best[0].tokens, again[0].tokens]
    caption = torch.tensor([[*best[0].tokens, END]])
    lengths = torch.tensor([caption.shape[1]])
    each = [
        network.word_log_probs((part[:1],), caption, lengths).exp()
        for network, part in zip((one, other), features, strict=True)
    ]
    mean = (sum(each) / 2).log().sum()  # type: ignore[union-attr]
    assert best[0].log_prob == pytest.approx(float(mean), abs=1e-9)


def test_unknown_words_are_written_where_they_are_allowed() -> None:
    network = make()
    network.get_parameter("output.bias").data[UNKNOWN] = 50.0
    images = images_for(network, 1)
    for unknown, written in (("allowed", True), ("forbidden", False)):
        search = quick_search(CaptioningOptions(unknown=unknown, max_length=4))  # type: ignore[arg-type]
        ((found,),) = search([network], [images])
        assert (UNKNOWN in found.tokens) == written


@pytest.mark.parametrize(
    ("settings", "signature"),
    [
        ({}, "greedy"),
        ({"beam_size": 5}, "beam(5)"),
        ({"beam_size": 2, "penalty": LengthPenalty(kind="gnmt", alpha=0.8)}, "beam(2)+gnmt(0.8)"),
        ({"max_length": 12, "forbidden": (START,)}, "greedy+longest(12)+unknown"),
    ],
)
def test_searches_are_named(settings: dict[str, object], signature: str) -> None:
    assert CaptionSearch(**settings).signature == signature  # type: ignore[arg-type]


def test_regions_are_read_by_their_mean_where_nothing_attends() -> None:
    torch.manual_seed(0)
    network = CaptionNetwork(
        model_config(),
        CaptioningOptions(),
        feature_shape=(3, NUM_FEATURES),
        counts_V=torch.ones(NUM_WORDS),
    ).double()
    grid = torch.randn(2, 3, NUM_FEATURES, dtype=torch.float64)
    caption, lengths = captions_of([3, 4])
    of_grid, of_mean = (
        network.word_log_probs((feature,), caption, lengths) for feature in (grid, grid.mean(1))
    )
    torch.testing.assert_close(of_grid, of_mean)


@pytest.mark.parametrize(
    ("options", "model", "message"),
    [
        ({"readout_size": 5}, {}, "a linear readout has the 6 entries"),
        ({"embeddings": "tied"}, {}, "tied embeddings.*size 4.*reads 6"),
        ({}, {"direction": "bidirectional"}, "may not read later words"),
        ({"image": "attention", "attention": "dot"}, {}, "annotations of size 5"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, object], model: dict[str, object], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        make(options, model=model)


def test_attention_needs_regions() -> None:
    with pytest.raises(BenchError, match=r"needs features by regions.*--data\.features"):
        CaptionNetwork(
            model_config(),
            CaptioningOptions(image="attention"),
            feature_shape=(NUM_FEATURES,),
            counts_V=torch.ones(NUM_WORDS),
        )


def test_tied_weights_are_one_matrix() -> None:
    network = make({"embeddings": "tied", "embedding_size": 6})
    assert network.output.weight is network.embedding.weight


def test_operations_are_counted_by_hand() -> None:
    gru, softmax = 2 * 3 * 6 * (4 + 6), 2 * 6 * NUM_WORDS
    first = make()
    assert first.flops_per_word() == gru + softmax
    assert first.flops_per_image() == 2 * NUM_FEATURES * 4 + gru
    every = make({"image": "every-word"})
    assert every.flops_per_image() == 2 * NUM_FEATURES * 4
    assert every.flops_per_word() == gru + softmax + 2 * 6 * (6 + 4 + 4) + 2 * 4
