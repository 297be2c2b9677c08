"""The transducer loss against enumeration, the plain double loop and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from lattices import (
    ATOL,
    Batch,
    batch_of,
    enumerated,
    lattice_loss,
    plain_log_likelihood,
    plain_losses,
)
from torch import Tensor

from bench.core.errors import BenchError
from bench.speech import transducer_loss as loss_module
from bench.speech.transducer_loss import log_moves, occupancies, transducer_loss

TINY = [(1, 0), (1, 1), (1, 4), (5, 0), (4, 1), (3, 3), (2, 5), (5, 4)]
"""(frames, labels) with one frame, no label, and more labels than frames among them."""
MIXED = [[(4, 2)], [(7, 3), (7, 3)], [(9, 0), (1, 0)], [(6, 4), (1, 4), (6, 0), (3, 2)], TINY]


def gradient_of(loss_B: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a weighted sum, a different weight for each utterance."""
    weight_B = torch.arange(1, len(loss_B) + 1).to(loss_B)
    return torch.autograd.grad((weight_B * loss_B).sum(), inputs, materialize_grads=True)


@pytest.mark.parametrize("size", TINY)
def test_the_loss_is_the_sum_over_all_alignments(size: tuple[int, int]) -> None:
    batch = batch_of([size], scale=2.0)
    z_TSV, target_U = batch.alone(0)
    wanted = -enumerated(z_TSV.log_softmax(2), target_U)
    assert transducer_loss(*batch.arguments).item() == pytest.approx(wanted, abs=ATOL)
    assert plain_losses(batch).item() == pytest.approx(wanted, abs=ATOL)


def test_an_independent_implementation_gives_the_same() -> None:
    # warprnnt-numba 0.4.1, its numpy form, which sums in float32.
    z = 3 * torch.arange(3 * 6 * 4 * 5, dtype=torch.float64).sin().view(3, 6, 4, 5)
    target = torch.tensor([[1, 2, 4], [3, 3, 1], [4, 1, 2]])
    loss_B = transducer_loss(z, target, torch.tensor([6, 4, 5]), torch.tensor([3, 1, 0]))
    assert loss_B.tolist() == pytest.approx([12.435080, 5.098339, 16.022010], abs=2e-6)


def test_the_probabilities_of_all_label_sequences_sum_to_one() -> None:
    # One label and scores that do not depend on u: the number of labels in 2 frames is a sum of two
    # geometric variables, of which 80 leave nothing worth counting.
    blank = torch.tensor([[0.4], [0.7]], dtype=torch.float64).expand(81, 2, 81)
    label = (1 - blank[..., :-1]).log()
    loss_B = lattice_loss(blank.log(), label, torch.full((81,), 2), torch.arange(81))
    torch.testing.assert_close((-loss_B).exp().sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize("lengths", MIXED)
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_values_and_gradients_equal_the_plain_loop(
    lengths: list[tuple[int, int]], chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "CHUNK_BYTES", {"cpu": chunk_bytes, "cuda": chunk_bytes})
    batch = batch_of(lengths)
    wanted_B = plain_losses(batch)
    (wanted,) = gradient_of(wanted_B, batch.z)
    found_B = transducer_loss(*batch.arguments)
    torch.testing.assert_close(found_B, wanted_B, rtol=0, atol=ATOL)
    (found,) = gradient_of(found_B, batch.z)
    torch.testing.assert_close(found, wanted, rtol=0, atol=ATOL)


@pytest.mark.parametrize("lengths", MIXED)
def test_the_loss_of_a_lattice_equals_the_plain_loop(lengths: list[tuple[int, int]]) -> None:
    batch = batch_of(lengths)
    log_p = batch.z.detach().log_softmax(3)
    index = batch.target[:, None, :, None].expand(-1, log_p.shape[1], -1, 1)
    blank = log_p[..., 0].clone().requires_grad_()
    label = log_p[:, :, :-1].gather(3, index)[..., 0].requires_grad_()
    found_B = lattice_loss(blank, label, batch.frames, batch.labels)
    rebuilt = torch.zeros_like(log_p)
    rebuilt[:, :, :-1] = rebuilt[:, :, :-1].scatter(3, index, label[..., None])
    rebuilt = torch.cat([blank[..., None], rebuilt[..., 1:]], dim=3)
    wanted_B = torch.stack(
        [
            -plain_log_likelihood(rebuilt[b, :t, : u + 1], batch.target[b, :u])
            for b, (t, u) in enumerate(lengths)
        ]
    )
    torch.testing.assert_close(found_B, wanted_B, rtol=0, atol=ATOL)
    found, wanted = (gradient_of(loss_B, blank, label) for loss_B in (found_B, wanted_B))
    torch.testing.assert_close(found, wanted, rtol=0, atol=ATOL)


def test_gradients_equal_finite_differences() -> None:
    batch = batch_of([(4, 2), (2, 3), (1, 0)])
    inputs = batch.arguments
    assert torch.autograd.gradcheck(transducer_loss, inputs)
    blank, label, _ = log_moves(batch.z.detach(), batch.target)
    lattice = blank.requires_grad_(), label.requires_grad_()
    assert torch.autograd.gradcheck(lattice_loss, (*lattice, batch.frames, batch.labels))


@pytest.mark.parametrize("lengths", MIXED)
def test_each_alignment_leaves_every_frame_and_every_position_once(
    lengths: list[tuple[int, int]],
) -> None:
    batch = batch_of(lengths, scale=3.0)
    blank, label, _ = log_moves(batch.z.detach(), batch.target)
    _, in_blank, in_label = occupancies(blank, label, batch.frames, batch.labels)
    for b, (t, u) in enumerate(lengths):
        of_frames, of_labels = in_blank[b].sum(1), in_label[b].sum(0)
        torch.testing.assert_close(of_frames[:t], torch.ones(t).double(), rtol=0, atol=ATOL)
        torch.testing.assert_close(of_labels[:u], torch.ones(u).double(), rtol=0, atol=ATOL)
        assert of_frames[t:].abs().sum() == of_labels[u:].abs().sum() == 0


@pytest.mark.parametrize("padding", [0.0, 1e30, math.inf, math.nan])
def test_nothing_depends_on_what_stands_in_padding(padding: float) -> None:
    batch = batch_of(TINY)
    with torch.no_grad():
        for b, (t, u) in enumerate(TINY):
            batch.z[b, t:] = padding
            batch.z[b, :, u + 1 :] = padding
            batch.target[b, u:] = -100
    loss_B = transducer_loss(*batch.arguments)
    (found,) = gradient_of(loss_B, batch.z)
    for b, (t, u) in enumerate(TINY):
        z_TSV, target_U = (part[None].detach() for part in batch.alone(b))
        z_TSV.requires_grad_()
        alone_B = transducer_loss(z_TSV, target_U, torch.tensor([t]), torch.tensor([u]))
        (wanted,) = torch.autograd.grad((b + 1) * alone_B.sum(), z_TSV)
        torch.testing.assert_close(loss_B[b], alone_B[0], rtol=1e-13, atol=0)
        torch.testing.assert_close(found[b, :t, : u + 1], wanted[0], rtol=0, atol=1e-13)
        rest = found[b].clone()
        rest[:t, : u + 1] = 0
        assert torch.equal(rest, torch.zeros_like(rest))


def test_the_order_of_a_batch_does_not_matter() -> None:
    batch = batch_of(TINY)
    order = torch.randperm(len(TINY), generator=torch.Generator().manual_seed(1))
    shuffled = Batch(
        z=batch.z[order],
        target=batch.target[order],
        frames=batch.frames[order],
        labels=batch.labels[order],
    )
    found_B = transducer_loss(*shuffled.arguments)
    assert torch.equal(found_B, transducer_loss(*batch.arguments)[order])


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_float32_stays_close_to_float64(scale: float) -> None:
    batch = batch_of([(120, 25), (80, 40)], num_outputs=35, scale=scale)
    narrow = batch.z.detach().float().requires_grad_()
    wide = narrow.detach().double().requires_grad_()
    found_B, wanted_B = (transducer_loss(z, *batch.arguments[1:]) for z in (narrow, wide))
    assert found_B.dtype == torch.float32
    torch.testing.assert_close(found_B.double(), wanted_B, rtol=1e-6, atol=0)
    (found,), (wanted,) = gradient_of(found_B, narrow), gradient_of(wanted_B, wide)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_extreme_scores_give_no_nan(scale: float) -> None:
    batch = batch_of([(6, 3)], scale=scale, dtype=torch.float32)
    loss_B = transducer_loss(*batch.arguments)
    (gradient,) = gradient_of(loss_B, batch.z)
    assert bool(loss_B.isfinite().all() and gradient.isfinite().all())


def test_an_impossible_sequence_has_an_infinite_loss_and_no_gradient() -> None:
    blank = torch.full((2, 3, 3), -1.0, requires_grad=True)
    label = torch.full((2, 3, 2), -1.0)
    label[0, :, 1] = -math.inf
    loss_B = lattice_loss(blank, label, torch.tensor([3, 3]), torch.tensor([2, 2]))
    assert loss_B.isinf().tolist() == [True, False]
    (gradient,) = gradient_of(loss_B, blank)
    assert gradient[0].abs().max() == 0
    assert gradient[1].isfinite().all()


def test_without_gradient_the_value_is_the_same() -> None:
    batch = batch_of(TINY)
    with_gradient_B = transducer_loss(*batch.arguments).detach()
    with torch.no_grad():
        torch.testing.assert_close(transducer_loss(*batch.arguments), with_gradient_B)


@pytest.mark.parametrize(
    ("lengths", "target", "message"),
    [
        ((0, 2), 1, "1 frame at least"),
        ((4, 2), 1, "4 to 4 frames in a batch of 3"),
        ((3, 3), 1, "room for 2"),
        ((3, -1), 1, "room for 2"),
        ((3, 2), 0, "target 0 is no label: labels run from 1 to 4, 0 is the blank"),
        ((3, 2), 5, "target 5 is no label"),
    ],
)
def test_what_is_no_lattice_is_refused(lengths: tuple[int, int], target: int, message: str) -> None:
    z_BTSV, target_BU = torch.zeros(1, 3, 3, 5), torch.full((1, 2), target)
    frames_B, labels_B = (torch.tensor([length]) for length in lengths)
    with pytest.raises(BenchError, match=message):
        transducer_loss(z_BTSV, target_BU, frames_B, labels_B)
