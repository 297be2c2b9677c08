"""What every translation network keeps to, whatever it is put together from."""

from __future__ import annotations

import itertools

import pytest
import torch
from small_networks import END, SOURCE_SIZE, TARGET_SIZE, gradients, make, only, sentences

from bench.core.errors import BenchError
from bench.data.tokens import START
from bench.models import MODELS
from bench.models.deep import Deep
from bench.seq2seq.beam import LengthPenalty
from bench.seq2seq.writer import shift_right
from bench.translation.network import Pairs, TranslationNetwork
from bench.translation.search import TranslationSearch, alignments

PAIRS = sentences([5, 2, 4, 1], [4, 6, 1, 3])
KINDS: dict[str, dict[str, object]] = {
    "handed over": {"attention": "none", "readout": "linear", "source_order": "reversed"},
    "bag before": {"attention": "mean", "attend": "before", "handover": "mean"},
    "bag of words": {"attention": "mean", "encoder": "words", "handover": "zero"},
    "additive before": {"attention": "additive", "attend": "before", "readout": "maxout"},
    "additive after": {"attention": "additive", "readout": "linear"},
    "general before": {"attention": "general", "attend": "before", "source_order": "reversed"},
    "general after": {"attention": "general", "readout": "maxout", "handover": "mean"},
    "general fed": {"attention": "general", "feeding": "readout"},
    "fed alone": {"attention": "none", "feeding": "readout", "readout": "maxout"},
}
ALL_KINDS = pytest.mark.parametrize("kind", KINDS)
ALL_MODELS = pytest.mark.parametrize("name", MODELS)


def log_probs(network: TranslationNetwork, pairs: Pairs) -> torch.Tensor:
    """log p of each sentence [B], with gradient."""
    memory, carried = network.encode(pairs.source, pairs.source_lengths)
    r_BTR = network.decode(shift_right(pairs.target), memory, carried).readouts
    log_p_BTV = network.output.log_distribution(r_BTR.flatten(0, 1)).view(*r_BTR.shape[:2], -1)
    log_p_BT: torch.Tensor = log_p_BTV.gather(2, pairs.target[:, :, None])[:, :, 0]
    counted_BT = torch.arange(log_p_BT.shape[1]) < pairs.target_lengths[:, None]
    return torch.where(counted_BT, log_p_BT, 0.0).sum(1)


@ALL_KINDS
@ALL_MODELS
def test_all_steps_at_once_are_the_steps_one_by_one(kind: str, name: str) -> None:
    network = make(KINDS[kind], name=name)
    at_once = log_probs(network, PAIRS)
    decoder = network.decoder
    plain = decoder.forward_stepwise
    decoder.forward = plain  # type: ignore[method-assign]
    stepwise = log_probs(network, PAIRS)
    torch.testing.assert_close(at_once, stepwise)
    torch.testing.assert_close(
        gradients(network, at_once.sum()), gradients(network, stepwise.sum())
    )
    torch.testing.assert_close(network.target_log_probs(PAIRS).sum(1), at_once.detach())


@ALL_KINDS
def test_a_sentence_knows_neither_its_batch_nor_padding(kind: str) -> None:
    network = make(KINDS[kind], name="lstm", model={"num_layers": 2})
    together = network.target_log_probs(PAIRS)
    for b in range(4):
        one = only(PAIRS, b)
        log_p_1T = network.target_log_probs(one)
        torch.testing.assert_close(log_p_1T[0], together[b, : log_p_1T.shape[1]])
        assert not together[b, log_p_1T.shape[1] :].any()
    other = sentences([5, 2, 4, 1], [4, 6, 1, 3], padding=5)
    torch.testing.assert_close(network.target_log_probs(other), together)
    loss, count = network.loss(other)
    assert int(count) == 14
    assert -float(loss.detach()) == pytest.approx(float(together.sum()))


@ALL_KINDS
def test_a_word_does_not_know_what_comes_after_it(kind: str) -> None:
    network = make(KINDS[kind])
    before = network.target_log_probs(PAIRS)
    changed = PAIRS.target.clone()
    changed[:, 3:] = 3
    after = network.target_log_probs(PAIRS._replace(target=changed))
    torch.testing.assert_close(after[:, :3], before[:, :3])


@ALL_KINDS
@ALL_MODELS
def test_a_search_scores_as_teacher_forcing_does(kind: str, name: str) -> None:
    network = make(KINDS[kind], name=name)
    search = TranslationSearch(
        beam_size=3, penalty=LengthPenalty(kind="average"), max_length_factor=0.5
    )
    found = search([network], PAIRS.source, PAIRS.source_lengths, num_best=2)
    for b, one in ((b, one) for b, of_one in enumerate(found) for one in of_one):
        target_1T = torch.tensor([[*one.tokens, END]])
        source = only(PAIRS, b)
        rescored = network.target_log_probs(
            source._replace(target=target_1T, target_lengths=torch.tensor([target_1T.shape[1]]))
        )
        assert float(rescored.sum()) == pytest.approx(one.log_prob, abs=1e-9)
        assert START not in one.tokens


@pytest.mark.parametrize(("encoder", "decoder"), [*itertools.product(MODELS, MODELS)])
def test_any_recurrence_hands_over_to_any_other(encoder: str, decoder: str) -> None:
    network = make({"decoder_model": decoder, "attention": "none"}, name=encoder)
    shapes = network.encoder.state_shapes == network.decoder.recurrence.state_shapes()
    assert (network.bridge.affine is None) == shapes
    loss, _ = network.loss(PAIRS)
    of_encoder = gradients(network, loss)["encoder.embedding.weight"]
    assert of_encoder.any(), "the source makes a difference"


@pytest.mark.parametrize(
    ("model", "options", "is_identity"),
    [
        ({"num_layers": 2}, {}, True),
        ({"num_layers": 2}, {"decoder_layers": 1}, False),
        ({"direction": "bidirectional"}, {}, False),
        ({}, {"decoder_size": 5}, False),
    ],
)
def test_states_that_fit_are_handed_over_as_they_are(
    model: dict[str, object], options: dict[str, object], is_identity: bool
) -> None:
    network = make({"attention": "none", **options}, name="lstm", model=model)
    assert (network.bridge.affine is None) == is_identity
    h_BSA, state = network.encoder(PAIRS.source, PAIRS.source_lengths)
    first = network.bridge(h_BSA, state, PAIRS.source_lengths)
    assert [part.shape[1:] for part in first] == [*network.decoder.recurrence.state_shapes()]
    if is_identity:
        assert all(one is other for one, other in zip(first, state, strict=True))


def test_a_reversed_source_is_read_from_its_end_on() -> None:
    forward, backward = make(), make({"source_order": "reversed"})
    backward.load_state_dict(forward.state_dict())
    turned = PAIRS.source.clone()
    for row, length in zip(turned, PAIRS.source_lengths.tolist(), strict=True):
        row[: length - 1] = row[: length - 1].flip(0)
    pairs = PAIRS._replace(source=turned)
    torch.testing.assert_close(backward.target_log_probs(PAIRS), forward.target_log_probs(pairs))
    a_BTS, b_BTS = backward.alignments(PAIRS), forward.alignments(pairs)
    assert a_BTS is not None
    assert b_BTS is not None
    torch.testing.assert_close(a_BTS[0, :, :4], b_BTS[0, :, :4].flip(1))
    torch.testing.assert_close(a_BTS[0, :, 4], b_BTS[0, :, 4])


@ALL_KINDS
def test_alignments_are_distributions_over_the_source(kind: str) -> None:
    network = make(KINDS[kind], model={"direction": "bidirectional"})
    found = TranslationSearch(beam_size=2)(
        [network], PAIRS.source, PAIRS.source_lengths, num_best=2
    )
    weights = alignments([network], PAIRS.source, PAIRS.source_lengths, found)
    for b, of_one in enumerate(weights):
        for one, a_TS in zip(found[b], of_one, strict=True):
            if KINDS[kind]["attention"] == "none":
                assert a_TS is None
                continue
            assert a_TS is not None
            assert a_TS.shape == (len(one.tokens) + 1, PAIRS.source_lengths[b])
            torch.testing.assert_close(a_TS.sum(1), torch.ones(len(a_TS), dtype=a_TS.dtype))
            if KINDS[kind]["attention"] == "mean":
                assert torch.equal(a_TS, a_TS[:1, :1].expand_as(a_TS))


def test_tied_weights_are_one_matrix() -> None:
    tied = make({"embeddings": "tied"})
    assert tied.output.weight is tied.embedding.weight
    assert tied.encoder.embedding.weight is not tied.embedding.weight
    shared = TranslationNetwork(
        {"name": "gru", "hidden_size": 6},
        tied.options.__class__(embeddings="shared", embedding_size=4),
        source_size=TARGET_SIZE,
        target_counts_V=torch.ones(TARGET_SIZE).long(),
    )
    assert shared.output.weight is shared.embedding.weight
    assert shared.encoder.embedding.weight is shared.embedding.weight
    assert shared.decoder.readout.size == 4


@pytest.mark.parametrize(
    ("options", "model", "message"),
    [
        ({"embeddings": "shared"}, {}, f"{SOURCE_SIZE} and {TARGET_SIZE} words"),
        ({"embeddings": "tied", "readout_size": 5}, {}, "tied embeddings.*size 6.*reads 5"),
        ({"embeddings": "tied", "readout": "linear"}, {}, "reads 12"),
        ({"handover": "backward"}, {}, "--model.direction bidirectional"),
        ({"encoder": "words"}, {}, "mean or zero"),
        ({"attention": "dot", "decoder_size": 5}, {}, "annotations of size 6 by outputs of size 5"),
        ({"feeding": "readout", "attend": "before"}, {}, "attend after"),
        ({"feeding": "readout", "readout": "linear"}, {}, "tanh or maxout"),
        ({"readout": "linear", "readout_size": 5}, {}, "has the 12 entries"),
        ({"decoder_model": "grus"}, {}, "unknown model 'grus'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, object], model: dict[str, object], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        make(options, model=model)


def test_a_decoder_reads_forward_whatever_the_encoder_does() -> None:
    model = {"direction": "bidirectional", "num_layers": 2, "peephole": "diagonal"}
    network = make(name="lstm", model=model)
    decoder = network.decoder.recurrence
    assert isinstance(network.encoder.recurrence, Deep)
    assert isinstance(decoder, Deep)
    assert (network.encoder.recurrence.is_causal, decoder.is_causal) == (False, True)
    assert [getattr(layer, "peephole", None) for layer in decoder.stack()] == ["diagonal"] * 2


@pytest.mark.parametrize("init", ["uniform", "bahdanau", "parts"])
def test_weights_begin_as_the_papers_have_them(init: str) -> None:
    options: dict[str, object] = {
        "init": init,
        "init_range": 0.08,
        "attention": "additive",
        "attend": "before",
    }
    network = make(options, model={"init_scale": 0.5})
    of = dict(network.named_parameters())
    largest = {name: float(weight.detach().abs().max()) for name, weight in of.items()}
    attention = {name: value for name, value in largest.items() if ".attention." in name}
    if init == "uniform":
        assert max(largest.values()) <= 0.08
        assert min(largest.values()) > 0.0
    elif init == "bahdanau":
        assert max(attention.values()) < 0.006
        assert largest["decoder.attention.v_K"] == 0.0
        assert 0.1 < largest["decoder.recurrence.U_GH"] <= 0.5
        assert 0.006 < largest["embedding.weight"] < 0.06
    else:
        assert largest["embedding.weight"] <= 0.08 < largest["decoder.recurrence.U_GH"]
