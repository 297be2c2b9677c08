"""The networks of the papers, written out a word at a time, values and gradients.

Shapes: H hidden, E embedding, A annotation, V vocabulary; vectors have no batch dimension here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from small_networks import gradients, make, only, sentences
from torch import Tensor

from bench.translation.network import Pairs, TranslationNetwork

Weights = Mapping[str, Tensor]
Program = Callable[[Weights, list[int], list[int]], Tensor]
START = 1
PAIRS = sentences([5, 2, 4], [4, 6, 1])


def gru(w: Weights, where: str, x: Tensor, h: Tensor) -> Tensor:
    """K. Cho et al., 2014, as in Bahdanau's appendix A.1.1; (C c) is a part of (W x)."""
    W_r, W_z, W = w[f"{where}.W_GD"].chunk(3)
    U_r, U_z, U = w[f"{where}.U_GH"].chunk(3)
    b_r, b_z, b = w[f"{where}.b_G"].chunk(3)
    r = torch.sigmoid(W_r @ x + U_r @ h + b_r)
    z = torch.sigmoid(W_z @ x + U_z @ h + b_z)
    return (1 - z) * h + z * torch.tanh(W @ x + U @ (r * h) + b)


def lstm(w: Weights, where: str, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    a = w[f"{where}.W_GD"] @ x + w[f"{where}.U_GH"] @ h + w[f"{where}.b_G"]
    a_i, a_f, a_g, a_o = a.chunk(4)
    c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
    return torch.sigmoid(a_o) * torch.tanh(c), c


def log_p(w: Weights, r: Tensor, y: int) -> Tensor:
    return (w["output.weight"] @ r + w["output.bias"]).log_softmax(0)[y]


def weighted(scores: list[Tensor], annotations: list[Tensor]) -> Tensor:
    a = torch.stack(scores).softmax(0)
    return sum((weight * h for weight, h in zip(a, annotations, strict=True)), torch.zeros(()))


def bahdanau(w: Weights, source: list[int], target: list[int]) -> Tensor:
    """Sections 3.1 and 3.2 and appendix A.2 (s_{i-1} in the readout, as printed)."""
    zero = w["encoder.embedding.weight"].new_zeros(6)
    ahead, back = [zero], [zero]
    for x in source:
        ahead.append(
            gru(w, "encoder.recurrence.ahead", w["encoder.embedding.weight"][x], ahead[-1])
        )
    for x in reversed(source):
        back.append(gru(w, "encoder.recurrence.back", w["encoder.embedding.weight"][x], back[-1]))
    h = [torch.cat(pair) for pair in zip(ahead[1:], reversed(back[1:]), strict=True)]
    s = torch.tanh(w["bridge.affine.weight"] @ back[-1] + w["bridge.affine.bias"])
    total, before = torch.zeros(()), START
    for y in target:
        e = [
            w["decoder.attention.v_K"]
            @ torch.tanh(
                w["decoder.attention.of_query.weight"] @ s
                + w["decoder.attention.of_annotation.weight"] @ h_j
            )
            for h_j in h
        ]
        c, Ey = weighted(e, h), w["embedding.weight"][before]
        t = w["decoder.readout.affine.weight"] @ torch.cat([s, c, Ey])
        t = t + w["decoder.readout.affine.bias"]
        total = total + log_p(w, torch.maximum(t[0::2], t[1::2]), y)
        s, before = gru(w, "decoder.recurrence", torch.cat([Ey, c]), s), y
    return total


def luong(w: Weights, source: list[int], target: list[int], *, feeds: bool) -> Tensor:
    """Sections 3 (global attention, `general` where W_a is there) and 3.3, one layer."""
    h = c_cell = w["encoder.embedding.weight"].new_zeros(6)
    annotations = []
    for x in source:
        h, c_cell = lstm(w, "encoder.recurrence", w["encoder.embedding.weight"][x], h, c_cell)
        annotations.append(h)
    total, before = torch.zeros(()), START
    h_tilde = h.new_zeros(len(w["decoder.readout.affine.weight"]))
    W_a = w.get("decoder.attention.of_annotation.weight")
    for y in target:
        x_t = w["embedding.weight"][before]
        x_t = torch.cat([x_t, h_tilde]) if feeds else x_t
        h, c_cell = lstm(w, "decoder.recurrence", x_t, h, c_cell)
        e = [h @ (h_s if W_a is None else W_a @ h_s) for h_s in annotations]
        context = weighted(e, annotations)
        h_tilde = torch.tanh(w["decoder.readout.affine.weight"] @ torch.cat([h, context]))
        total, before = total + log_p(w, h_tilde, y), y
    return total


def luong_feeding(w: Weights, source: list[int], target: list[int]) -> Tensor:
    return luong(w, source, target, feeds=True)


def luong_without(w: Weights, source: list[int], target: list[int]) -> Tensor:
    return luong(w, source, target, feeds=False)


def sutskever(w: Weights, source: list[int], target: list[int]) -> Tensor:
    """Section 3: two layers here, the source reversed, its end last."""
    zero = w["embedding.weight"].new_zeros(6)
    state = [(zero, zero), (zero, zero)]

    def read(side: str, x: Tensor) -> Tensor:
        for layer in range(2):
            state[layer] = lstm(w, f"{side}.recurrence.layers.{layer}", x, *state[layer])
            x = state[layer][0]
        return x

    for x in [*reversed(source[:-1]), source[-1]]:
        read("encoder", w["encoder.embedding.weight"][x])
    total, before = torch.zeros(()), START
    for y in target:
        h = read("decoder", w["embedding.weight"][before])
        total, before = total + log_p(w, h, y), y
    return total


def bag_of_words(w: Weights, source: list[int], target: list[int]) -> Tensor:
    """The same weights for all words, which are their vectors; the context is read at each step."""
    words = [w["encoder.embedding.weight"][x] for x in source]
    c = torch.stack(words).mean(0)
    h, total, before = torch.zeros(6, dtype=c.dtype), torch.zeros(()), START
    for y in target:
        h = gru(w, "decoder.recurrence", torch.cat([w["embedding.weight"][before], c]), h)
        total, before = total + log_p(w, torch.cat([h, c]), y), y
    return total


PAPERS: dict[str, tuple[Program, TranslationNetwork]] = {
    "bahdanau": (
        bahdanau,
        make(
            {
                "attention": "additive",
                "attention_size": 5,
                "attend": "before",
                "handover": "backward",
                "readout": "maxout",
                "readout_size": 3,
            },
            model={"direction": "bidirectional"},
        ),
    ),
    "luong dot feeding": (
        luong_feeding,
        make({"attention": "dot", "feeding": "readout", "readout_size": 4}, name="lstm"),
    ),
    "luong general feeding": (
        luong_feeding,
        make({"attention": "general", "feeding": "readout"}, name="lstm"),
    ),
    "luong dot": (luong_without, make({"attention": "dot"}, name="lstm")),
    "luong general": (luong_without, make({"attention": "general"}, name="lstm")),
    "sutskever": (
        sutskever,
        make(
            {"attention": "none", "readout": "linear", "source_order": "reversed"},
            name="lstm",
            model={"num_layers": 2},
        ),
    ),
    "bag of words": (
        bag_of_words,
        make(
            {
                "attention": "mean",
                "attend": "before",
                "encoder": "words",
                "handover": "zero",
                "readout": "linear",
            }
        ),
    ),
}


def log_prob(program: Program, weights: Weights, pairs: Pairs, b: int) -> Tensor:
    one = only(pairs, b)
    return program(weights, one.source[0].tolist(), one.target[0].tolist())


@pytest.mark.parametrize("paper", PAPERS)
def test_the_network_is_that_of_the_paper(paper: str) -> None:
    program, network = PAPERS[paper]
    weights = dict(network.named_parameters())
    expected = [log_prob(program, weights, PAIRS, b) for b in range(3)]
    found_B = network.target_log_probs(PAIRS).sum(1)
    torch.testing.assert_close(found_B, torch.stack(expected).detach())
    loss, count = network.loss(PAIRS)
    assert int(count) == 4 + 6 + 1
    plain = gradients(network, -torch.stack(expected).sum())
    torch.testing.assert_close(gradients(network, loss), plain)
    assert sum(bool(gradient.any()) for gradient in plain.values()) == len(plain)
