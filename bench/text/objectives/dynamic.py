"""Dynamic evaluation: the network goes on learning from the text that it has predicted.

T. Mikolov et al., "Recurrent neural network based language model", Interspeech 2010, section 2.2;
B. Krause, E. Kahembwe, I. Murray and S. Renals, "Dynamic evaluation of neural sequence models",
ICML 2018. The text is read in segments; each is predicted with the weights that the segments
before it left, then

    W <- W - lr sum_{t in segment} grad -log p(w_t).

Gradients stay within a segment, the state is carried on.

Shapes: B = 1 stream, T steps of a segment, N tokens.
"""

from __future__ import annotations

import numpy as np
import torch

from bench.text.data.streams import Streams
from bench.text.objectives.language_model import LanguageModel
from bench.text.outputs import Floats


def dynamic_log_probs(
    model: LanguageModel, split: str, *, lr: float, segment_length: int
) -> Floats:
    """Log-probability of each token of a split [N], each segment's before it is learned from.

    The model has its trained weights again at the end. Numbers that a too large `lr` drove out of
    range are returned as they came.
    """
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    segments = Streams(
        model.corpus.splits[split],
        batch_size=1,
        bptt_length=segment_length,
        first_input=model.corpus.first_input,
    )
    # One array for all: small ones that stay would each keep apart the large ones that go.
    log_p_N = np.empty(len(model.corpus.splits[split]))
    model.eval().begin_sequence()
    start = 0
    try:
        for input_BT, target_BT in segments:
            end = start + target_BT.numel()
            log_p_N[start:end] = _score_and_learn(model, input_BT, target_BT.flatten(), lr)
            start = end
    finally:
        model.load_state_dict(trained)
    return log_p_N


def _score_and_learn(
    model: LanguageModel, input_BT: torch.Tensor, target_N: torch.Tensor, lr: float
) -> Floats:
    parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
    with torch.enable_grad():
        y_NH = model.read(input_BT).flatten(0, 1)
        log_p_N = model.output.log_probs(y_NH.detach(), target_N)
        loss, _ = model.output.loss(y_NH, target_N)
        gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        torch._foreach_add_(parameters, gradients, alpha=-lr)
    return log_p_N.double().numpy()
