"""The laws of the contract, for every architecture and option. A line in MODELS inherits them.

Shapes: B batch, T time, D input, H output.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from recurrence_cases import (
    CASES,
    COVER,
    DEFAULTS,
    EVERY_CASE,
    INPUT_SIZE,
    Case,
    combinations,
    pairs_of,
)
from torch import Tensor

from bench.models import MODELS
from bench.models.recurrence import Recurrence, State

Run = Callable[..., tuple[Tensor, State]]
BATCH_SIZE = 3
WRAPPERS: list[dict[str, object]] = [
    {"num_layers": 2},
    {"direction": "bidirectional"},
    {"num_layers": 2, "direction": "bidirectional"},
]


def test_a_few_cases_cover_every_pair_of_options() -> None:
    for name in MODELS:
        every, few = set(combinations(name)), {case for case in COVER if case.name == name}
        assert few <= every
        assert set().union(*map(pairs_of, few)) == set().union(*map(pairs_of, every))
    assert set(DEFAULTS) <= COVER
    assert len(COVER) < len(CASES) / 2


def draw(num_steps: int) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(BATCH_SIZE, num_steps, INPUT_SIZE, dtype=torch.float64)


def some_state(recurrence: Recurrence, like: Tensor) -> State:
    return tuple(torch.randn_like(part) for part in recurrence.initial_state(len(like), like))


def close(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


def values_and_gradients(
    recurrence: Recurrence, run: Run, x_BTD: Tensor, state: State | None, lengths: Tensor | None
) -> tuple[Tensor, ...]:
    """y, the state after, and the gradients of a random functional of both by everything."""
    x_BTD = x_BTD.clone().requires_grad_()
    state = None if state is None else tuple(part.clone().requires_grad_() for part in state)
    torch.manual_seed(3)
    y_BTH, after = run(x_BTD, state, lengths)
    loss = torch.zeros((), dtype=x_BTD.dtype)
    for part in (y_BTH, *after):
        loss = loss + (part * torch.randn(part.shape, dtype=part.dtype)).sum()
    sources = [x_BTD, *(state or ()), *recurrence.parameters()]
    return y_BTH.detach(), *(part.detach() for part in after), *torch.autograd.grad(loss, sources)


def assert_equation(
    recurrence: Recurrence, num_steps: int, carried: bool, lengths_B: Tensor | None
) -> None:
    x_BTD = draw(num_steps)
    state = some_state(recurrence, x_BTD) if carried else None
    fast, plain = (
        values_and_gradients(recurrence, run, x_BTD, state, lengths_B)
        for run in (recurrence.forward, recurrence.forward_reference)
    )
    close(fast, plain)


@pytest.mark.parametrize(
    ("num_steps", "carried", "lengths"),
    [
        (1, True, None),
        (6, False, None),
        (6, True, None),
        (6, False, [6, 2, 4]),
        (6, True, [0, 6, 1]),
        (6, True, [2, 0, 3]),
        (70, True, None),
    ],
)
@EVERY_CASE
def test_equation(case: Case, num_steps: int, carried: bool, lengths: list[int] | None) -> None:
    lengths_B = None if lengths is None else torch.tensor(lengths)
    assert_equation(case.build(), num_steps, carried, lengths_B)


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=str)
@pytest.mark.parametrize("lengths", [None, [6, 2, 0]])
@pytest.mark.parametrize("inner", DEFAULTS, ids=str)
def test_equation_wrapped(
    inner: Case, wrapper: dict[str, object], lengths: list[int] | None
) -> None:
    lengths_B = None if lengths is None else torch.tensor(lengths)
    assert_equation(inner.build(dropout=0.3, **wrapper), 6, True, lengths_B)


def assert_chunking(recurrence: Recurrence) -> None:
    x_BTD = draw(9)
    state = some_state(recurrence, x_BTD)
    y_BTH, after = recurrence(x_BTD, state)
    pieces = []
    for chunk_BTD in x_BTD.tensor_split([4, 5, 5], dim=1):
        piece_BTH, state = recurrence(chunk_BTD, state)
        pieces.append(piece_BTH)
    close((torch.cat(pieces, dim=1), *state), (y_BTH, *after))


def assert_causality(recurrence: Recurrence) -> None:
    x_BTD = draw(7)
    changed_BTD = x_BTD.clone()
    changed_BTD[:, 4:] += 1
    first_BTH, second_BTH = recurrence(x_BTD)[0], recurrence(changed_BTD)[0]
    close((first_BTH[:, :4],), (second_BTH[:, :4],))
    assert not torch.allclose(first_BTH[:, 4], second_BTH[:, 4])


def assert_padding(recurrence: Recurrence) -> None:
    """A padded row equals the row alone, and garbage in padding changes not one bit."""
    x_BTD, lengths_B = draw(6), torch.tensor([6, 3, 1])
    state = some_state(recurrence, x_BTD)
    y_BTH, after = recurrence(x_BTD, state, lengths_B)
    for row, length in enumerate(lengths_B.tolist()):
        alone = tuple(part[row : row + 1] for part in state)
        row_BTH, row_after = recurrence(x_BTD[row : row + 1, :length], alone)
        close((y_BTH[row : row + 1, :length],), (row_BTH,))
        close(tuple(part[row : row + 1] for part in after), row_after)
        assert not y_BTH[row, length:].any()
    garbage_BTD = x_BTD.clone()
    garbage_BTD[1, 3:], garbage_BTD[2, 1:] = 1e30, float("nan")
    expected = values_and_gradients(recurrence, recurrence, x_BTD, state, lengths_B)
    for a, b in zip(
        values_and_gradients(recurrence, recurrence, garbage_BTD, state, lengths_B),
        expected,
        strict=True,
    ):
        assert torch.equal(a, b)


def assert_batching(recurrence: Recurrence) -> None:
    x_BTD, lengths_B, order = draw(6), torch.tensor([6, 3, 1]), torch.tensor([2, 0, 1])
    state = some_state(recurrence, x_BTD)
    y_BTH, after = recurrence(x_BTD, state, lengths_B)
    turned = tuple(part[order] for part in state)
    turned_BTH, turned_after = recurrence(x_BTD[order], turned, lengths_B[order])
    close((turned_BTH, *turned_after), (y_BTH[order], *(part[order] for part in after)))


LAWS = [assert_chunking, assert_causality, assert_padding, assert_batching]


@pytest.mark.parametrize("law", LAWS)
@EVERY_CASE
def test_law(case: Case, law: Callable[[Recurrence], None]) -> None:
    law(case.build())


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=str)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("inner", DEFAULTS, ids=str)
def test_law_wrapped(
    inner: Case, law: Callable[[Recurrence], None], wrapper: dict[str, object]
) -> None:
    recurrence = inner.build(**wrapper)
    assert recurrence.is_causal == ("direction" not in wrapper)
    if recurrence.is_causal or law not in (assert_chunking, assert_causality):
        law(recurrence)
    elif law is assert_causality:
        with pytest.raises(AssertionError):
            law(recurrence)


@EVERY_CASE
def test_single_precision_stays_near_double(case: Case) -> None:
    recurrence, x_BTD = case.build(init_scale=0.3), draw(20)
    exact_BTH, _ = recurrence.forward_reference(x_BTD)
    y_BTH, after = recurrence.float()(x_BTD.float(), None, torch.tensor([20, 20, 20]))
    assert {part.dtype for part in (y_BTH, *after)} == {torch.float32}
    torch.testing.assert_close(y_BTH.double(), exact_BTH, rtol=1e-5, atol=1e-5)


@EVERY_CASE
def test_no_steps_change_nothing(case: Case) -> None:
    recurrence, x_BTD = case.build(), draw(0)
    state = some_state(recurrence, x_BTD)
    y_BTH, after = recurrence(x_BTD, state)
    assert y_BTH.shape == (BATCH_SIZE, 0, recurrence.output_size)
    close(after, state)


@EVERY_CASE
def test_inference_mode_gives_the_same(case: Case) -> None:
    recurrence, x_BTD = case.build(), draw(6)
    y_BTH, after = recurrence(x_BTD)
    with torch.inference_mode():
        inferred_BTH, inferred_after = recurrence(x_BTD)
    close((y_BTH, *after), (inferred_BTH, *inferred_after))


@EVERY_CASE
def test_reference_ignores_padding_too(case: Case) -> None:
    recurrence, x_BTD, lengths_B = case.build(), draw(6), torch.tensor([6, 3, 1])
    run = recurrence.forward_reference
    expected = values_and_gradients(recurrence, run, x_BTD, None, lengths_B)
    x_BTD[1, 3:], x_BTD[2, 1:] = float("inf"), float("nan")
    close(values_and_gradients(recurrence, run, x_BTD, None, lengths_B), expected)


@EVERY_CASE
def test_autocast_runs(case: Case) -> None:
    recurrence, x_BTD = case.build().float(), draw(6).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y_BTH, _ = recurrence(x_BTD, None, torch.tensor([6, 3, 1]))
    y_BTH.float().sum().backward()
    exact_BTH, _ = recurrence.forward_reference(x_BTD, None, torch.tensor([6, 3, 1]))
    torch.testing.assert_close(y_BTH.float(), exact_BTH, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_empty_batch_and_no_steps_are_read(case: Case) -> None:
    model = case.build()
    for batch_size, length in ((0, 5), (3, 0), (0, 0)):
        x_BTD = torch.zeros(batch_size, length, INPUT_SIZE, dtype=torch.float64)
        for forward in (model, model.forward_reference):
            y_BTH, state = forward(x_BTD)
            assert y_BTH.shape == (batch_size, length, model.output_size)
            assert y_BTH.dtype == torch.float64
            assert [part.shape[1:] for part in state] == list(model.state_shapes())
            assert all(len(part) == batch_size for part in state)
