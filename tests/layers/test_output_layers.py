"""Output layers: exact losses, gradients and normalisation against the plain formulas."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.layers import OUTPUT_LAYERS, OutputLayer, build_output_layer, products
from bench.layers import full as full_module
from bench.layers.classes import class_bounds
from bench.layers.products import Products
from bench.text.data.streams import IGNORE

KINDS = sorted(OUTPUT_LAYERS)
V, H = 53, 7


def zipf(vocabulary_size: int) -> Tensor:
    return (1000 / torch.arange(1, vocabulary_size + 1)).long() + 1


def layer_of(kind: str, *, products: Products = "float32", num_classes: int = 6) -> OutputLayer:
    torch.manual_seed(0)
    num_classes = num_classes if kind == "classes" else 0
    layer = build_output_layer(kind, H, zipf(V), num_classes=num_classes, products=products)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return layer


def batch(num_rows: int, *, ignored: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_rows)
    h_NH = torch.randn(num_rows, H, dtype=torch.float64, generator=generator)
    target_N = torch.randint(0, V, (num_rows,), generator=generator)
    if ignored:
        target_N[:: max(2, num_rows // 3)] = IGNORE
    return h_NH.requires_grad_(), target_N


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("num_rows", "ignored"), [(1, False), (5, True), (31, True), (200, False)])
def test_loss_and_gradients_equal_the_plain_formula(
    kind: str, num_rows: int, ignored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tiny buffer makes 200 rows cross several chunk boundaries.
    monkeypatch.setattr(full_module, "CHUNK_BYTES", {"training": 1, "inference": 1})
    monkeypatch.setattr(full_module, "MIN_CHUNK_ROWS", 32)
    layer = layer_of(kind).double()
    h_NH, target_N = batch(num_rows, ignored=ignored)
    parameters = [h_NH, *layer.parameters()]
    loss, count = layer.loss(h_NH, target_N)
    found = torch.autograd.grad(3.0 * loss, parameters, materialize_grads=True)
    distribution_NV = layer.log_distribution(h_NH)
    plain = nn.functional.nll_loss(distribution_NV, target_N, reduction="sum", ignore_index=IGNORE)
    wanted = torch.autograd.grad(3.0 * plain, parameters, materialize_grads=True)
    assert int(count) == int((target_N != IGNORE).sum())
    torch.testing.assert_close(loss, plain)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_every_distribution_sums_to_one(kind: str) -> None:
    layer = layer_of(kind).double()
    sums_N = layer.log_distribution(batch(40)[0]).logsumexp(1)
    torch.testing.assert_close(sums_N, torch.zeros_like(sums_N), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_log_probs_are_the_distribution_at_the_targets(kind: str) -> None:
    layer = layer_of(kind).double()
    h_NH, target_N = batch(150)
    wanted_N = layer.log_distribution(h_NH).gather(1, target_N.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(layer.log_probs(h_NH, target_N), wanted_N)
    with torch.no_grad():
        loss, count = layer.loss(h_NH, target_N)
    torch.testing.assert_close(loss, -wanted_N.sum())
    assert int(count) == 150


@pytest.mark.parametrize("kind", ["full", "classes"])
def test_the_unigram_start_predicts_training_frequencies(kind: str) -> None:
    # Not so the adaptive one: the library's tails have no bias.
    layer = build_output_layer(kind, H, zipf(V))
    probability_V = layer.log_distribution(torch.zeros(1, H)).exp().squeeze(0)
    smoothed_V = zipf(V) + 1
    wanted_V = (smoothed_V / smoothed_V.sum()).float()
    torch.testing.assert_close(probability_V, wanted_V)


@pytest.mark.parametrize("kind", ["full", "classes"])
@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_extreme_scores_stay_finite(kind: str, scale: float) -> None:
    layer = layer_of(kind)
    h_NH, target_N = batch(20)
    h_NH = (h_NH.detach().float() * scale).requires_grad_()
    loss, _ = layer.loss(h_NH, target_N)
    torch.autograd.backward(loss)
    assert math.isfinite(float(loss.detach()))
    assert h_NH.grad is not None
    assert bool(h_NH.grad.isfinite().all())


@pytest.mark.parametrize("num_classes", [1, 30, V])
def test_gradients_of_any_number_of_classes_equal_the_plain_formula(num_classes: int) -> None:
    layer = layer_of("classes", num_classes=num_classes).double()
    h_NH, target_N = batch(200)
    parameters = [h_NH, *layer.parameters()]
    distribution_NV = layer.log_distribution(h_NH)
    plain = nn.functional.nll_loss(distribution_NV, target_N, reduction="sum")
    found = torch.autograd.grad(layer.loss(h_NH, target_N)[0], parameters)
    wanted = torch.autograd.grad(plain, parameters)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_padding_alone_costs_nothing(kind: str) -> None:
    layer = layer_of(kind).double()
    h_NH, _ = batch(3)
    loss, count = layer.loss(h_NH, torch.full((3,), IGNORE))
    (gradient_NH,) = torch.autograd.grad(loss, h_NH)
    assert (loss.item(), count.item(), gradient_NH.abs().max().item()) == (0, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [-1, V])
def test_a_target_that_is_no_word_is_refused(kind: str, wrong: int) -> None:
    h_NH, _ = batch(3)
    with pytest.raises((IndexError, RuntimeError), match=r"out of (bounds|range)|should be in"):
        layer_of(kind).double().loss(h_NH, torch.tensor([1, wrong, 2]))


def wide(kind: str, products: Products) -> tuple[OutputLayer, Tensor, Tensor]:
    """A layer large enough for bfloat16: the library keeps tiny products in float32."""
    torch.manual_seed(0)
    layer = build_output_layer(kind, 256, zipf(1000), products=products)
    return layer, torch.randn(300, 256), torch.randint(0, 1000, (300,))


@pytest.mark.parametrize("kind", ["full", "classes"])
def test_bfloat16_products_stay_within_their_rounding(kind: str) -> None:
    exact, h_NH, target_N = wide(kind, "float32")
    rounded, _, _ = wide(kind, "bfloat16")
    h_NH.requires_grad_()
    wanted_loss, found_loss = (layer.loss(h_NH, target_N)[0] for layer in (exact, rounded))
    torch.testing.assert_close(found_loss, wanted_loss, rtol=1e-3, atol=0)
    wanted = torch.autograd.grad(wanted_loss, [h_NH, *exact.parameters()])
    found = torch.autograd.grad(found_loss, [h_NH, *rounded.parameters()])
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).norm() <= 2**-7 * other.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_reported_precision_is_the_actual_one(kind: str) -> None:
    exact, h_NH, target_N = wide(kind, "float32")
    rounded, _, _ = wide(kind, "bfloat16")
    before_N = exact.log_probs(h_NH, target_N)
    # Another order of summing moves the last bits, rounded factors move the third digit.
    differs = float((rounded.log_probs(h_NH, target_N) - before_N).abs().max()) > 1e-4
    assert exact.products_in_effect == "float32"
    assert differs == rounded.products_in_effect.startswith("bfloat16")
    rounded.loss(h_NH, target_N)
    assert torch.equal(exact.log_probs(h_NH, target_N), before_N)  # the global switch is back


@pytest.mark.parametrize("rounds", [True, False])
def test_the_probe_sees_whether_factors_are_rounded(
    rounds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def product(a_MK: Tensor, b_KN: Tensor, _: object, out_MN: Tensor) -> Tensor:
        if rounds:
            a_MK, b_KN = a_MK.bfloat16().float(), b_KN.bfloat16().float()
        return out_MN.copy_(a_MK @ b_KN)

    monkeypatch.setattr(products, "product", product)
    products._rounds_factors.cache_clear()
    found = products.products_in_effect("bfloat16", torch.device("cpu"))
    products._rounds_factors.cache_clear()
    assert found.startswith("bfloat16") == rounds


@pytest.mark.parametrize("num_classes", [1, 2, 10, 1000])
def test_classes_cover_the_vocabulary_in_order(num_classes: int) -> None:
    bounds = class_bounds(zipf(500), num_classes)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 500
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(bounds))
    assert all(begin < end for begin, end in bounds)
    assert len(bounds) <= num_classes


def test_classes_hold_about_equal_mass() -> None:
    counts_V = zipf(5000)
    mass = [float(counts_V[a:b].sum() / counts_V.sum()) for a, b in class_bounds(counts_V, 20)]
    heaviest_word = float(counts_V[0] / counts_V.sum())
    assert max(mass) <= 1 / 20 + heaviest_word


def test_tied_weights_are_the_embedding() -> None:
    layer = layer_of("full")
    embedding = nn.Embedding(V, H)
    layer.tie(embedding)
    h_NH, target_N = batch(4)
    torch.autograd.backward(layer.loss(h_NH.float(), target_N)[0])
    assert embedding.weight.grad is not None


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: layer_of("classes").tie(nn.Embedding(V, H)), "only the full softmax has them"),
        (lambda: layer_of("full").tie(nn.Embedding(V, H + 1)), "set --objective.embedding-size 7"),
    ],
)
def test_impossible_ties_are_refused(action: Callable[[], None], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        action()
