"""The output network of Graves 2013, and its loss in chunks against the loss of whole scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lattices import ATOL
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.core.errors import BenchError
from bench.speech import joint as joint_module
from bench.speech.joint import Joint, joint_loss
from bench.speech.transducer_loss import transducer_loss

E, P, J, V = 6, 4, 7, 5
LENGTHS = [(5, 3), (1, 2), (4, 0), (2, 3)]


def network(dtype: torch.dtype = torch.float64) -> Joint:
    torch.manual_seed(0)
    return Joint(E, P, V, hidden_size=J).to(dtype)


def inputs(lengths: list[tuple[int, int]] = LENGTHS) -> tuple[Tensor, ...]:
    """Encoder, prediction network, targets and lengths of a batch."""
    torch.manual_seed(1)
    frames, labels = (torch.tensor(column) for column in zip(*lengths, strict=True))
    B, T, U = len(lengths), int(frames.max()), int(labels.max())
    encoder = torch.randn(B, T, E).double().requires_grad_()
    prediction = torch.randn(B, U + 1, P).double().requires_grad_()
    return encoder, prediction, torch.randint(1, V, (B, U)), frames, labels


def whole_scores(joint: Joint, encoder: Tensor, prediction: Tensor) -> Tensor:
    """Equations (1) to (3) written out with one product for each matrix."""
    l_BTJ = encoder @ joint.transcription.weight.t() + joint.transcription.bias
    a_BTJ = l_BTJ @ joint.from_transcription.weight.t() + joint.from_transcription.bias
    a_BSJ = prediction @ joint.from_prediction.weight.t()
    h_BTSJ = torch.tanh(a_BTJ[:, :, None] + a_BSJ[:, None])
    return h_BTSJ @ joint.output.weight.t() + joint.output.bias


@pytest.mark.parametrize("chunk_bytes", [1, 400, 1 << 20])
def test_the_loss_in_chunks_equals_that_of_whole_scores(
    chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint_module, "CHUNK_BYTES", {"cpu": chunk_bytes, "cuda": chunk_bytes})
    joint = network()
    encoder, prediction, *rest = inputs()
    variables = [encoder, prediction, *joint.parameters()]
    found_B = joint.loss(encoder, prediction, *rest)
    wanted_B = transducer_loss(whole_scores(joint, encoder, prediction), *rest)
    torch.testing.assert_close(found_B, wanted_B, rtol=0, atol=ATOL)
    weight_B = torch.arange(1.0, 5.0).double()
    found, wanted = (
        torch.autograd.grad((weight_B * loss_B).sum(), variables) for loss_B in (found_B, wanted_B)
    )
    torch.testing.assert_close(found, wanted, rtol=0, atol=ATOL)


def test_gradients_equal_finite_differences() -> None:
    joint = network()
    encoder, prediction, *rest = inputs([(3, 2), (2, 0)])
    parts = joint.project_frames(encoder).detach(), joint.project_predictions(prediction).detach()
    variables = [*parts, joint.output.weight.detach(), joint.output.bias.detach()]
    variables = [variable.requires_grad_() for variable in variables]
    assert torch.autograd.gradcheck(lambda *v: joint_loss(*v, *rest), variables)


def test_padding_changes_nothing() -> None:
    joint = network()
    encoder, prediction, target, *lengths = inputs()
    clean_B = joint.loss(encoder, prediction, target, *lengths)
    with torch.no_grad():
        for b, (t, u) in enumerate(LENGTHS):
            encoder[b, t:], prediction[b, u + 1 :], target[b, u:] = torch.nan, torch.inf, -100
    loss_B = joint.loss(encoder, prediction, target, *lengths)
    assert torch.equal(loss_B, clean_B)
    parts = joint.project_frames(encoder), joint.project_predictions(prediction)
    weights = joint.output.weight, joint.output.bias
    loss_B = joint_loss(*parts, *weights, target, *lengths)
    found = torch.autograd.grad(loss_B.sum(), [*parts, *weights])
    assert all(bool(gradient.isfinite().all()) for gradient in found)
    for b, (t, u) in enumerate(LENGTHS):
        assert found[0][b, t:].abs().sum() == found[1][b, u + 1 :].abs().sum() == 0


@pytest.mark.parametrize("b", range(len(LENGTHS)))
def test_an_utterance_alone_has_the_loss_it_has_in_a_batch(b: int) -> None:
    joint = network()
    encoder, prediction, target, frames, labels = inputs()
    t, u = LENGTHS[b]
    alone = encoder[b : b + 1, :t], prediction[b : b + 1, : u + 1], target[b : b + 1, :u]
    alone_B = joint.loss(*alone, frames[b : b + 1], labels[b : b + 1])
    batch_B = joint.loss(encoder, prediction, target, frames, labels)
    torch.testing.assert_close(alone_B[0], batch_B[b], rtol=1e-13, atol=0)


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the most numbers that any one tensor was given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numel = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        parts = result if isinstance(result, (tuple, list)) else (result,)
        owned = [part for part in parts if isinstance(part, Tensor) and part._base is None]
        self.numel = max([self.numel, *(part.untyped_storage().nbytes() // 8 for part in owned)])
        return result


def test_no_tensor_grows_with_nodes_times_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the kept tensors the skewed moves of both directions are the largest: 2 B (T + U) S.
    monkeypatch.setattr(joint_module, "CHUNK_BYTES", {"cpu": 1000, "cuda": 1000})
    torch.manual_seed(0)
    joint = Joint(E, P, 20, hidden_size=30).double()
    B, T, U = 2, 16, 10
    encoder, prediction = torch.randn(B, T, E).double(), torch.randn(B, U + 1, P).double()
    target, lengths = torch.randint(1, 20, (B, U)), (torch.full((B,), T), torch.full((B,), U))
    with Largest() as largest:
        loss = joint.loss(encoder, prediction, target, *lengths).sum()
        loss.backward()  # type: ignore[no-untyped-call]
    assert 0 < largest.numel <= 2 * B * (T + U + 1) * (U + 1)
    assert largest.numel < B * T * (U + 1) * 30 / 4


def test_without_gradient_the_value_is_the_same() -> None:
    joint = network()
    wanted_B = joint.loss(*inputs()).detach()
    with torch.no_grad():
        assert torch.equal(joint.loss(*inputs()), wanted_B)


def test_float32_stays_close_to_float64() -> None:
    wide = network()
    encoder, prediction, *rest = inputs([(200, 30), (150, 40)])
    losses = []
    for joint in (wide, network().float()):
        dtype = joint.output.weight.dtype
        loss_B = joint.loss(encoder.to(dtype), prediction.to(dtype), *rest)
        gradients = torch.autograd.grad(loss_B.sum(), list(joint.parameters()))
        losses.append((loss_B.double(), gradients))
    (wanted_B, wanted), (found_B, found) = losses
    torch.testing.assert_close(found_B, wanted_B, rtol=1e-6, atol=0)
    for one, other in zip(found, wanted, strict=True):
        assert (one.double() - other).norm() <= 1e-5 * other.norm()


def test_log_probs_are_those_of_the_loss() -> None:
    joint = network()
    encoder, prediction, *_ = inputs()
    frames, predictions = joint.project_frames(encoder), joint.project_predictions(prediction)
    log_p = joint.log_probs(frames[:, :, None], predictions[:, None])
    whole = whole_scores(joint, encoder, prediction).log_softmax(3)
    torch.testing.assert_close(log_p, whole, rtol=0, atol=ATOL)


def test_the_output_network_of_the_paper_has_its_weights() -> None:
    # l: 500 x 250 + 250; h: 2 x 250 x 250 + 250; z: 250 x 62 + 62.
    joint = Joint(500, 250, 62, hidden_size=250)
    assert sum(parameter.numel() for parameter in joint.parameters()) == 266_062
    assert isinstance(joint, nn.Module)
    assert joint.flops_per_node() == 2 * 250 * 62


def test_a_target_that_is_no_label_is_refused() -> None:
    encoder, prediction, target, *lengths = inputs()
    with pytest.raises(BenchError, match=f"target {V} is no label"):
        network().loss(encoder, prediction, torch.full_like(target, V), *lengths)
